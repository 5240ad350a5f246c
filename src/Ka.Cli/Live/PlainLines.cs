using Ka.Protocol.Rest;

namespace Ka.Cli.Live;

/// <summary>What a log or a pipe gets: one line for each thing worth knowing.</summary>
static class PlainLines
{
    public static void Print(OperationReply operation, OperationEvent happened, WatchState state, bool verbose)
    {
        foreach (var line in Of(operation, happened, state, verbose))
            Console.Error.WriteLine(Terminal.Safe($"{happened.At.ToLocalTime():HH:mm:ss} {operation.Id} {line}"));
    }

    public static IEnumerable<string> Of(OperationReply operation, OperationEvent happened, WatchState state, bool verbose)
    {
        if (happened.Kind == "started")
            yield return $"start {operation.Wish ?? operation.Environment} nodes={happened.Nodes}";
        foreach (var fault in happened.Faults)
            yield return $"fault {fault.Nodes} {happened.Strategy}/{happened.Step} {fault.Code}: {fault.Message}";
        if (verbose && happened.Kind == "step_ok")
            yield return $"ok {happened.Nodes} {happened.Strategy}/{happened.Step}";
        foreach (var follow in happened.Follows)
        {
            if (follow.What is "retry" or "fallback")
                yield return $"{follow.What} {follow.Nodes} {follow.Strategy}/{follow.Step} try {follow.Try + 1}";
            else if (follow.What == "ok")
                yield return $"done {follow.Nodes} ({state.Done}/{operation.Count})";
            else if (follow.What == "failed")
                yield return $"failed {follow.Nodes}";
            else if (follow.Macro is not null && follow.Macro != happened.Macro && happened.Macro is not null)
                yield return $"{happened.Macro} ok {happened.Nodes} ({state.Past(state.Macros.IndexOf(happened.Macro) + 1)}/{operation.Count})";
        }
        if (happened.Kind == "ended")
            yield return $"end {happened.State} ok={state.Done} failed={state.Failed}";
    }
}
