using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Kadeploy3;

/// <summary>How an operation ended, in the sentences that scripts look for.</summary>
static class OldSentences
{
    public static void Print(OperationReply operation)
    {
        foreach (var line in Lines(operation))
            Console.WriteLine(Terminal.Safe(line));
    }

    public static IEnumerable<string> Lines(OperationReply operation)
    {
        var what = operation.Kind switch { "deploy" => "deployment", "reboot" => "reboot", _ => "power operation" };
        if (operation.Ok.Length > 0)
            yield return $"The {what} is successful on nodes";
        foreach (var node in Names(operation.Ok))
            yield return node;
        if (operation.Failed.Length > 0)
            yield return $"The {what} failed on nodes";
        foreach (var failure in operation.Failures)
            foreach (var node in Names(failure.Nodes))
                yield return $"{node} ({failure.Message})";
    }

    static IEnumerable<string> Names(string nodes) => nodes.Length == 0 ? [] : NodeSet.Parse(nodes).Select(n => n.Value);
}
