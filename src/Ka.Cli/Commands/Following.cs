using System.CommandLine;
using Ka.Cli.Kadeploy3;
using Ka.Cli.Live;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary>Watches an operation and says how it ended. Ctrl-C leaves; the operation goes on.</summary>
static class Following
{
    /// <returns>The exit status, and the operation when it has ended.</returns>
    public static async Task<(int Status, OperationReply? Ended)> RunAsync(Server server, OperationReply operation, ParseResult parsed, bool verbose, int? timeout, CancellationToken cancel, bool quiet = false)
    {
        using var over = new CancellationTokenSource(timeout is { } seconds ? TimeSpan.FromSeconds(seconds) : Timeout.InfiniteTimeSpan);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancel);
        try
        {
            quiet |= parsed.GetValue(Common.Quiet);
            if (await new Watcher(server, verbose, quiet).FollowAsync(operation, either.Token) is { } problem)
                return (Terminal.Say(problem), null);
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine($"ka: {operation.Id} goes on; watch it: ka ops watch {operation.Id}   stop it: ka ops cancel {operation.Id}");
            return (over.IsCancellationRequested ? ExitCodes.StillRunning : ExitCodes.Left, null);
        }
        var ended = await server.GetAsync($"api/v1/operations/{operation.Id}", RestJson.Default.OperationReply, cancel);
        if (ended.Value is not { } result)
            return (Terminal.Say(ended.Problem!), null);
        if (Common.IsJson(parsed))
            Terminal.Json(result, RestJson.Default.OperationReply);
        else if (parsed.GetValue(Common.Sentences) is not null)
            OldSentences.Print(result);
        else
            Summary.Print(result);
        return (ExitCodes.OfState(result.State), result);
    }
}

/// <summary>How an operation ended: step, cause, evidence, next command.</summary>
static class Summary
{
    public static void Print(OperationReply operation)
    {
        foreach (var line in Lines(operation))
            Console.WriteLine(Terminal.Safe(line));
    }

    public static IEnumerable<string> Lines(OperationReply operation)
    {
        var failed = operation.Failures.Sum(f => f.Count);
        var took = operation.EndedAt is { } end ? $" in {Terminal.Duration(end - operation.CreatedAt)}" : "";
        var ok = operation.Ok.Length == 0 ? 0 : NodeSet.Parse(operation.Ok).Count;
        var rest = operation.Count - ok - failed;
        yield return $"{operation.Id} {operation.State}{took}: {ok} ok, {failed} failed" + (rest > 0 ? $", {rest} under way" : "");
        if (operation.Broadcast is { } broadcast)
            yield return $"sent by  {broadcast}";
        if (operation.Ok.Length > 0)
            yield return $"ok       {operation.Ok}" + (
                operation.Breakpoint is { } breakpoint ? $"   left as they are before {breakpoint}"
                : operation.BootProfile is { } profile ? $"   boot {profile} from the network until another deployment" : "");
        foreach (var failure in operation.Failures)
            yield return $"failed   {failure.Nodes}   {failure.Macro} / {failure.Step}   {failure.Code}";
        foreach (var failure in operation.Failures)
        {
            yield return "";
            yield return $"{failure.Nodes}   {failure.Code} in {failure.Macro} / {failure.Step}" + (failure.Tries > 1 ? $", after {failure.Tries} failures" : "");
            yield return $"  what     {failure.Message}";
            if (failure.Evidence is { Length: > 0 } evidence)
                yield return $"  seen     {evidence.Trim().Replace("\n", "\n           ", StringComparison.Ordinal)}";
            yield return $"  next     {failure.Next}";
            yield return $"  more     ka explain {failure.Code}    ka ops logs {operation.Id} -w {failure.Nodes}";
        }
    }
}
