using System.Collections.Immutable;
using System.CommandLine;
using System.Text;
using Ka.Core.Documents;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka nodes history|drain|undrain|export|import</c> and <c>ka stop</c>.</summary>
static class NodeUseCommands
{
    public static IEnumerable<Command> OfNodes() => [History(), Drain(), Undrain(), Export(), Import()];

    static Command History()
    {
        var name = new Argument<string>("NODE") { Description = "As in gris-3" };
        var limit = new Option<int>("--limit", "-n") { Description = "How many, the newest first", DefaultValueFactory = _ => 20 };
        var command = new Command("history", "What happened to a node: operations, causes, times") { name, limit };
        command.SetAction(async (parsed, cancel) =>
        {
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync($"api/v1/nodes/{Uri.EscapeDataString(parsed.GetValue(name)!)}/history?limit={parsed.GetValue(limit)}", RestJson.Default.RunRowArray, cancel);
            if (reply.Value is not { } rows)
                return Terminal.Say(reply.Problem!);
            if (parsed.GetValue(Common.Output) == OutputForm.Table)
                Terminal.Table(
                    ["OPERATION", "KIND", "ENVIRONMENT", "OWNER", "BEGAN", "TOOK", "RESULT", "CAUSE"],
                    rows.Select(r => new[]
                    {
                        r.Operation, r.Kind, r.Environment, r.Owner, r.StartedAt.ToLocalTime().ToString("yyyy-MM-dd HH:mm"), Terminal.Duration(r.EndedAt - r.StartedAt), r.Result,
                        r.Code is null ? r.Failures > 0 ? $"after {r.Failures} failure(s)" : "" : $"{r.Code} at {r.Step}",
                    }));
            else
                StatsCommands.Print(parsed, rows, RestJson.Default.RunRowArray, StatsCommands.RunHeads, StatsCommands.RunFields);
            return ExitCodes.Done;
        });
        return command;
    }

    static Command Drain()
    {
        var command = new Command("drain", "Take nodes out of use; what runs on them goes on");
        var selection = new Selection(command);
        var reason = new Option<string>("--reason") { Description = "Why, for the others", Required = true };
        command.Add(reason);
        command.SetAction(async (parsed, cancel) =>
        {
            if (selection.Read(parsed, out var wrong) is not { } nodes)
                return wrong;
            using var server = Common.Connect(parsed);
            var reply = await server.PostAsync("api/v1/nodes/drain", new DrainBody(nodes, parsed.GetValue(reason)!), RestJson.Default.DrainBody, RestJson.Default.DrainedReply, cancel);
            return Said(parsed, reply, r => $"{r.Nodes} ({r.Count}) out of use");
        });
        return command;
    }

    static Command Undrain()
    {
        var command = new Command("undrain", "Put nodes back into use");
        var selection = new Selection(command);
        command.SetAction(async (parsed, cancel) =>
        {
            if (selection.Read(parsed, out var wrong) is not { } nodes)
                return wrong;
            using var server = Common.Connect(parsed);
            var reply = await server.DeleteAsync("api/v1/nodes/drain?nodes=" + Uri.EscapeDataString(nodes), RestJson.Default.DrainedReply, cancel);
            return Said(parsed, reply, r => r.Count == 0 ? "none of these nodes was out of use" : $"{r.Nodes} ({r.Count}) back in use");
        });
        return command;
    }

    static int Said(ParseResult parsed, Answer<DrainedReply> reply, Func<DrainedReply, string> line)
    {
        if (reply.Value is not { } drained)
            return Terminal.Say(reply.Problem!);
        if (Common.IsJson(parsed))
            Terminal.Json(drained, RestJson.Default.DrainedReply);
        else
            Console.WriteLine(line(drained));
        return ExitCodes.Done;
    }

    static readonly ImmutableArray<string> Heads = ["name", "cluster", "mac", "address", "firmware", "rack", "power", "state", "environment", "drained"];

    static Command Export()
    {
        var command = new Command("export", "Print nodes as CSV");
        var selection = new Selection(command);
        command.SetAction(async (parsed, cancel) =>
        {
            if (!selection.TryRead(parsed, out var words, out var unread))
                return unread;
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync("api/v1/nodes" + (words is not null ? "?nodes=" + Uri.EscapeDataString(words) : ""), RestJson.Default.NodeReplyArray, cancel);
            if (reply.Value is not { } nodes)
                return Terminal.Say(reply.Problem!);
            Console.WriteLine(Csv.Line(Heads));
            foreach (var n in nodes)
                Console.WriteLine(Csv.Line(n.Name, n.Cluster, n.Mac, n.Address, n.Firmware, n.Rack ?? "", n.Power, n.State, n.Environment ?? "", n.Drained?.Reason ?? ""));
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>The configuration is files that people keep; the server is not told behind their back.</summary>
    static Command Import()
    {
        var file = new Argument<string>("FILE") { Description = "CSV with a head: name, mac and address; firmware, rack if wanted; other columns are left out. - is standard input" };
        var cluster = new Option<string>("--cluster") { Description = "Name of the cluster", Required = true };
        var command = new Command("import", "Print a cluster file with the nodes of a CSV file, for the server's configuration") { file, cluster };
        command.SetAction(parsed =>
        {
            string text;
            try
            {
                text = parsed.GetValue(file) == "-" ? Console.In.ReadToEnd() : File.ReadAllText(parsed.GetValue(file)!);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"ka: {e.Message}  (nodes.invalid)");
                return ExitCodes.BadData;
            }
            var errors = new List<string>();
            var yaml = ClusterFile(parsed.GetValue(cluster)!, parsed.GetValue(file)!, text, errors);
            foreach (var error in errors)
                Console.Error.WriteLine(Terminal.Safe(error));
            if (errors.Count > 0)
                return ExitCodes.BadData;
            Console.Write(yaml);
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>The text of a cluster file, or every error with its line.</summary>
    internal static string ClusterFile(string cluster, string file, string text, List<string> errors)
    {
        if (Csv.Read(text, out var broken) is not { } records)
        {
            errors.Add($"{file}:{broken}: a quote is not closed, or stands inside a field without quotes");
            return "";
        }
        if (records.Count < 2 || new[] { "name", "mac", "address" }.Except(records[0].Fields, StringComparer.OrdinalIgnoreCase).ToArray() is { Length: > 0 })
        {
            errors.Add($"{file}:1: the head must have name, mac and address, and nodes must follow");
            return "";
        }
        var column = records[0].Fields.Select((head, i) => (Head: head.ToLowerInvariant(), i)).GroupBy(c => c.Head).ToDictionary(g => g.Key, g => g.First().i);
        var yaml = new StringBuilder($"cluster: {Quoted(cluster)}\nnodes:\n");
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (line, fields) in records.Skip(1))
        {
            string? Of(string head) => column.TryGetValue(head, out var i) && i < fields.Length && fields[i].Length > 0 ? fields[i] : null;
            if (Of("name") is not { } name || !NodeName.TryParse(name, out _))
                errors.Add($"{file}:{line}: '{DocumentError.Cut(Of("name") ?? "")}' is no node name");
            else if (!seen.TryAdd(name, line))
                errors.Add($"{file}:{line}: {name} stands on line {seen[name]} already");
            else if (Of("mac") is not { } mac || Of("address") is not { } address)
                errors.Add($"{file}:{line}: {name} lacks {(Of("mac") is null ? "mac" : "address")}");
            else
                yaml.Append($"  {Quoted(name)}: {{ {string.Join(", ", new[] { ("mac", mac), ("address", address), ("firmware", Of("firmware")), ("rack", Of("rack")) }.Where(p => p.Item2 is not null).Select(p => $"{p.Item1}: {Quoted(p.Item2!)}"))} }}\n");
        }
        return yaml.ToString();
    }

    /// <summary>A double-quoted scalar of YAML 1.2.</summary>
    static string Quoted(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (var c in text)
            quoted.Append(c switch { '"' => "\\\"", '\\' => "\\\\", _ when char.IsControl(c) || c > 0x7e => $"\\u{(int)c:x4}", _ => c.ToString() });
        return quoted.Append('"').ToString();
    }

    /// <summary><c>ka stop REASON | --release | --status</c>.</summary>
    public static Command Stop()
    {
        var reason = new Argument<string?>("REASON") { Description = "Why, for the others", Arity = ArgumentArity.ZeroOrOne };
        var release = new Option<bool>("--release") { Description = "Let things go on; what was ended stays ended" };
        var status = new Option<bool>("--status") { Description = "Only say whether everything is stopped" };
        var command = new Command("stop", "Stop everything that changes nodes, at once and over restarts, until it is released") { reason, release, status };
        command.SetAction(async (parsed, cancel) =>
        {
            var (why, free, ask) = (parsed.GetValue(reason), parsed.GetValue(release), parsed.GetValue(status));
            if ((why is null ? 0 : 1) + (free ? 1 : 0) + (ask ? 1 : 0) != 1)
                return Terminal.Misused("give a reason to stop everything, or --release, or --status");
            using var server = Common.Connect(parsed);
            var reply = why is not null ? await server.PostAsync("api/v1/stop", new StopBody(why), RestJson.Default.StopBody, RestJson.Default.StopReply, cancel)
                : free ? await server.DeleteAsync("api/v1/stop", RestJson.Default.StopReply, cancel)
                : await server.GetAsync("api/v1/stop", RestJson.Default.StopReply, cancel);
            if (reply.Value is not { } stop)
                return Terminal.Say(reply.Problem!);
            if (Common.IsJson(parsed))
                Terminal.Json(stop, RestJson.Default.StopReply);
            else
                Console.WriteLine(Terminal.Safe(stop.Stopped
                    ? $"everything is stopped by {stop.By} since {stop.At?.ToLocalTime():yyyy-MM-dd HH:mm:ss}: {stop.Reason}{(stop.Operations.IsEmpty ? "" : $"; ended: {string.Join(", ", stop.Operations)}")}"
                    : "nothing is stopped"));
            return ExitCodes.Done;
        });
        return command;
    }
}
