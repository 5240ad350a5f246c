using System.CommandLine;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka ops ls|show|watch|logs|cancel</c>.</summary>
static class OpsCommands
{
    /// <summary>Which operation; with <c>NAME:</c> before it, of that context.</summary>
    public static readonly Argument<string> Id = new("ID") { Description = "As in D-4M7Q2K, or site1:D-4M7Q2K" };

    public static Command Build()
    {
        var ops = new Command("ops", "Operations: what runs and what ran");
        var limit = new Option<int>("--limit", "-n") { Description = "How many, the newest first", DefaultValueFactory = _ => 20 };
        var list = new Command("ls", "List operations") { limit };
        list.SetAction((parsed, cancel) => ListAsync(parsed, parsed.GetValue(limit), cancel));
        ops.Add(list);
        ops.Add(WithId("show", "Show one operation with every node", ShowAsync));
        ops.Add(WithId("watch", "Follow an operation to its end", WatchAsync));
        ops.Add(Wait());
        ops.Add(Retry());
        ops.Add(WithId("cancel", "End an operation; its nodes are left as they are", CancelAsync));
        var node = new Option<string?>("--nodes", "-w") { Description = "Only these nodes" };
        var logs = new Command("logs", "What the steps said on the nodes") { Id, node };
        logs.SetAction((parsed, cancel) => LogsAsync(parsed, parsed.GetValue(Id)!, parsed.GetValue(node), cancel));
        ops.Add(logs);
        return ops;
    }

    static Command WithId(string name, string description, Func<ParseResult, string, CancellationToken, Task<int>> run)
    {
        var command = new Command(name, description) { Id };
        command.SetAction((parsed, cancel) => run(parsed, parsed.GetValue(Id)!, cancel));
        return command;
    }

    static Command Wait()
    {
        var timeout = new Option<int?>("--timeout") { Description = "Stop waiting after so many seconds; the operation goes on" };
        var command = new Command("wait", "Wait for the end of an operation and say how it ended") { Id, timeout };
        command.SetAction(async (parsed, cancel) =>
        {
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync(Path(parsed.GetValue(Id)!), RestJson.Default.OperationReply, cancel);
            return reply.Value is { } operation
                ? (await Following.RunAsync(server, operation, parsed, verbose: false, parsed.GetValue(timeout), cancel, quiet: true)).Status
                : Terminal.Say(reply.Problem!);
        });
        return command;
    }

    static Command Retry()
    {
        var failed = new Option<bool>("--failed") { Description = "Only on the nodes that did not end well" };
        var command = new Command("retry", "Begin an ended operation again, with everything as it was then") { Id, failed };
        var manner = new Manner(command);
        command.SetAction(async (parsed, cancel) =>
        {
            using var server = Common.Connect(parsed);
            return await manner.CarryOutAsync(
                server, parsed, $"begin {parsed.GetValue(Id)} again on",
                dryRun => server.CreateAsync(Path(parsed.GetValue(Id)!) + "/retry", new RetryBody(parsed.GetValue(failed), dryRun), RestJson.Default.RetryBody, RestJson.Default.OperationReply, cancel), cancel);
        });
        return command;
    }

    static string Path(string id) => $"api/v1/operations/{Uri.EscapeDataString(id[(id.IndexOf(':', StringComparison.Ordinal) + 1)..])}";

    static async Task<int> ListAsync(ParseResult parsed, int limit, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync($"api/v1/operations?limit={limit}", RestJson.Default.OperationReplyArray, cancel);
        if (reply.Value is not { } operations)
            return Terminal.Say(reply.Problem!);
        switch (parsed.GetValue(Common.Output))
        {
            case OutputForm.Json:
                Terminal.Json(operations, RestJson.Default.OperationReplyArray);
                break;
            case OutputForm.Name or OutputForm.Nodeset:
                foreach (var operation in operations)
                    Console.WriteLine(operation.Id);
                break;
            case OutputForm.Table or OutputForm.Csv:
                Terminal.Table(
                    ["ID", "STATE", "WHAT", "OWNER", "NODES", "OK", "FAILED", "STARTED"],
                    operations.Select(o => new[] { o.Id, o.State, o.Wish ?? o.Environment, o.Owner, o.Nodes, Count(o.Ok), Count(o.Failed), Terminal.Ago(o.CreatedAt, DateTimeOffset.UtcNow) }));
                break;
        }
        return ExitCodes.Done;

        static string Count(string nodes) => nodes.Length == 0 ? "0" : NodeSet.Parse(nodes).Count.ToString();
    }

    static async Task<int> ShowAsync(ParseResult parsed, string id, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync(Path(id), RestJson.Default.OperationReply, cancel);
        if (reply.Value is not { } operation)
            return Terminal.Say(reply.Problem!);
        if (parsed.GetValue(Common.Output) == OutputForm.Nodeset)
            Console.WriteLine(operation.Nodes);
        else if (Common.IsJson(parsed))
            Terminal.Json(operation, RestJson.Default.OperationReply);
        else
        {
            Summary.Print(operation);
            Console.WriteLine();
            Terminal.Table(
                ["NODE", "STATE", "STEP", "TRY", "FAULT"],
                operation.PerNode.Select(n => new[] { n.Node, n.State, n.Step is null ? "" : $"{n.Strategy}/{n.Step}", n.Step is null ? "" : (n.Try + 1).ToString(), n.Fault ?? "" }));
        }
        return ExitCodes.Done;
    }

    static async Task<int> WatchAsync(ParseResult parsed, string id, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync(Path(id), RestJson.Default.OperationReply, cancel);
        return reply.Value is { } operation ? (await Following.RunAsync(server, operation, parsed, verbose: true, null, cancel)).Status : Terminal.Say(reply.Problem!);
    }

    static async Task<int> LogsAsync(ParseResult parsed, string id, string? nodes, CancellationToken cancel)
    {
        var set = NodeSet.Empty;
        if (nodes is not null && !NodeSet.TryParse(nodes, out set, out var error))
        {
            Console.Error.WriteLine($"ka: node set: {error}  (nodes.invalid)");
            return ExitCodes.BadData;
        }
        using var server = Common.Connect(parsed);
        var reply = await server.GetAsync(Path(id) + "/logs", RestJson.Default.LogLineArray, cancel);
        if (reply.Value is not { } lines)
            return Terminal.Say(reply.Problem!);
        var wanted = lines.Where(l => nodes is null || set.Contains(NodeName.Parse(l.Node))).ToArray();
        if (Common.IsJson(parsed))
            Terminal.Json(wanted, RestJson.Default.LogLineArray);
        else
            foreach (var line in wanted)
                Console.WriteLine(Terminal.Safe($"{line.At.ToLocalTime():HH:mm:ss} {line.Node} {line.Step}: {line.Text.TrimEnd().Replace("\n", "\n    ", StringComparison.Ordinal)}"));
        return ExitCodes.Done;
    }

    static async Task<int> CancelAsync(ParseResult parsed, string id, CancellationToken cancel)
    {
        using var server = Common.Connect(parsed);
        var reply = await server.PostAsync(Path(id) + "/cancel", new VersionReply("", "", ""), RestJson.Default.VersionReply, RestJson.Default.OperationReply, cancel);
        if (reply.Value is null)
            return Terminal.Say(reply.Problem!);
        Console.Error.WriteLine($"{id} is being cancelled; its nodes are left as they are.");
        return ExitCodes.Done;
    }
}
