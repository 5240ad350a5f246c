using System.CommandLine;
using System.Text;
using System.Text.Json;
using Ka.Cli.Commands;
using Ka.Core.NodeSets;

namespace Ka.Cli;

/// <summary>
/// Carries out a command line: on one server, or, when its nodes are of several (<c>site1:node[1-4],site2:node[1-4]</c>) or several contexts are named, on each of them beside the others, with
/// one summary and one exit status. A server that fails stops no other.
/// </summary>
static class SeveralServers
{
    /// <summary>Servers of one command line.</summary>
    const int Most = 64;

    /// <summary>Exceptions are for the caller.</summary>
    static InvocationConfiguration AsItIs => new() { EnableDefaultExceptionHandler = false };

    public static async Task<int> InvokeAsync(ParseResult parsed)
    {
        try
        {
            return await CarryOutAsync(parsed);
        }
        catch (IOException e)
        {
            // What cannot be written may be standard error, too.
            try
            {
                await Console.Error.WriteLineAsync(Terminal.Safe($"ka: input or output failed: {e.Message}"));
            }
            catch (IOException)
            {
            }
            return ExitCodes.NotWritten;
        }
    }

    static async Task<int> CarryOutAsync(ParseResult parsed)
    {
        if (parsed.Errors.Count > 0)
            return parsed.Action is System.CommandLine.Invocation.ParseErrorAction ? WrongUse.Say(parsed) : await parsed.InvokeAsync(AsItIs);
        if (parsed.CommandResult.Command.Parents.Any(p => p.Name == "context"))
            return await parsed.InvokeAsync(AsItIs);
        var (contexts, wrong) = Contexts.Read(Common.ContextsPath(parsed));
        if (wrong is not null)
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: {wrong}  (config.invalid)"));
            return ExitCodes.BadConfiguration;
        }
        var (runs, refused) = Runs(parsed, contexts);
        if (refused is { } status)
            return status;
        if (runs.Length == 0)
            return await parsed.InvokeAsync(AsItIs);
        if (runs is [{ Alone: true } only])
        {
            only.Enter();
            return await parsed.InvokeAsync(AsItIs);
        }
        return await RunAsync(parsed, runs);
    }

    /// <summary>What is to be done on which server; none when the command is not about servers by name.</summary>
    static (SiteRun[] Runs, int? Refused) Runs(ParseResult parsed, Contexts contexts)
    {
        var named = Common.ContextNames(parsed, contexts);
        if (named.FirstOrDefault(n => contexts.Find(n) is null) is { } unknown)
            return ([], ContextCommands.Unknown(unknown, contexts));
        if (named.Length > 0 && parsed.GetValue(Common.Server) is not null)
            return ([], Terminal.Misused("--server and --context name two servers: leave out one"));
        if (parsed.GetResult(OpsCommands.Id) is not null && parsed.GetValue(OpsCommands.Id) is { } id && id.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon)
            named = [id[..colon]];
        var option = parsed.CommandResult.Command.Options.OfType<NodesOption>().FirstOrDefault();
        var text = option is null ? null : Selection.Written(parsed, option);
        var parts = text is null ? [] : SiteNodes.Split(text.Value.Nodes, text.Value.Without, null);
        if (parts.Any(p => p.Site is not null))
        {
            if (named is [var usual])
                parts = SiteNodes.Split(text!.Value.Nodes, text.Value.Without, usual);
            if (parts.FirstOrDefault(p => p.Site is null) is { Nodes: { } homeless })
                return ([], Terminal.Misused($"'{Core.Documents.DocumentError.Cut(homeless)}' is of no context, beside nodes that are: write NAME:NODES, or name one context with -C"));
            if (parts.FirstOrDefault(p => contexts.Find(p.Site!) is null) is { Site: { } foreign })
                return ([], ContextCommands.Unknown(foreign, contexts));
            if (parsed.GetValue(Common.Server) is not null)
                return ([], Terminal.Misused("--server names one server, the node set others by their contexts: leave out one"));
            return Several([.. parts.Select(p => (p.Site!, (string?)p.Nodes))], alone: false);
        }
        if (named.Length > 1 && text is not null)
            return ([], Terminal.Misused("with several contexts, say whose nodes are meant: -w NAME:NODES"));
        return named.Length == 0 ? ([], null)
            : contexts.Find(named[0]) is null ? ([], ContextCommands.Unknown(named[0], contexts))
            : Several([.. named.Select(n => (n, (string?)null))], alone: named.Length == 1);

        (SiteRun[], int?) Several((string Name, string? Nodes)[] sites, bool alone) => sites.Length > Most
            ? ([], Terminal.Misused($"more than {Most} servers"))
            : ([.. sites.Select(s => new SiteRun(s.Name, s.Nodes, Common.AddressOf(parsed, contexts.Find(s.Name)!)) { Alone = alone })], null);
    }

    static async Task<int> RunAsync(ParseResult parsed, SiteRun[] runs)
    {
        var manner = Manner.Of(parsed.CommandResult.Command);
        if (manner?.Misused(parsed) is { } misused)
            return misused;
        if (manner?.Asks(parsed) == true)
        {
            Console.Error.Write(Terminal.Safe($"Carry this out on {string.Join(", ", runs.Select(r => $"{r.Name}:{r.Nodes}"))}? [y/N] "));
            if (Console.ReadLine()?.Trim().ToLowerInvariant() is not ("y" or "yes"))
                return ExitCodes.Cancelled;
        }
        var errors = TextWriter.Synchronized(FlowConsole.Errors);
        await Task.WhenAll(runs.Select(run => Task.Run(async () =>
        {
            using var lines = new PrefixWriter(run.Name + ": ", errors);
            FlowConsole.Redirect(run.Output, lines);
            run.Enter();
            run.Status = await parsed.InvokeAsync(AsItIs);
            lines.End();
        })));
        var form = parsed.GetValue(Common.Output);
        Console.Write(Joined(form, runs));
        var status = Status([.. runs.Select(r => r.Status)]);
        if (runs.Any(r => r.Operation is not null))
            foreach (var line in Summary(runs))
                (form == OutputForm.Table ? Console.Out : Console.Error).WriteLine(Terminal.Safe(line));
        else
            foreach (var run in runs.Where(r => r.Status == ExitCodes.Unreachable))
                Console.Error.WriteLine(Terminal.Safe($"{run.Name} was not reached{(run.Nodes is null ? "" : $": {run.Nodes}")}"));
        return manner is null ? status : await manner.AfterAllAsync(parsed, runs, status);
    }

    static IEnumerable<string> Summary(SiteRun[] runs)
    {
        yield return "";
        foreach (var run in runs)
            yield return run.Operation is { } o
                ? $"{run.Name}  {o.Id} {o.State}: {run.Ok.Length} of {o.Count} ok"
                : $"{run.Name}  {(run.Status == ExitCodes.Unreachable ? "not reached" : "refused")}: {run.Nodes}";
        var failed = runs.Sum(r => r.Failed?.Length ?? 0);
        yield return $"{runs.Sum(r => r.Ok.Length)} ok, {failed} not ok on {runs.Length} servers";
    }

    /// <summary>One status for all: that of each when they are the same, else that some went well, or that none did.</summary>
    internal static int Status(int[] each) =>
        each.Distinct().Count() == 1 ? each[0]
        : each.Contains(ExitCodes.Left) ? ExitCodes.Left
        : each.Contains(ExitCodes.StillRunning) ? ExitCodes.StillRunning
        : each.Any(s => s is ExitCodes.Done or ExitCodes.SomeFailed) ? ExitCodes.SomeFailed
        : ExitCodes.AllFailed;

    /// <summary>The outputs of all as one, in the form that each is in.</summary>
    internal static string Joined(OutputForm form, IReadOnlyList<SiteRun> runs)
    {
        var text = new StringBuilder();
        switch (form)
        {
            case OutputForm.Json:
                return Json(runs);
            case OutputForm.Nodeset:
                return string.Join(',', runs.SelectMany(r => Lines(r).SelectMany(Selection.Terms).Select(t => $"{r.Name}:{t}"))) + "\n";
            case OutputForm.Name:
                foreach (var run in runs)
                    foreach (var line in Lines(run))
                        text.Append(run.Name).Append(':').Append(line).Append('\n');
                break;
            case OutputForm.Csv:
                foreach (var (run, i) in runs.Where(r => Lines(r).Length > 0).Select((r, i) => (r, i)))
                    foreach (var (line, j) in Lines(run).Select((l, j) => (l, j)).Skip(i == 0 ? 0 : 1))
                        text.Append(j == 0 ? "server" : run.Name).Append(',').Append(line).Append('\n');
                break;
            case OutputForm.Table:
                foreach (var run in runs)
                    foreach (var line in run.Output.ToString().TrimEnd('\n').Split('\n').Where(l => l.Length > 0 || run.Output.GetStringBuilder().Length > 1))
                        text.Append(run.Name).Append(": ").Append(line).Append('\n');
                break;
        }
        return text.ToString();
    }

    static string[] Lines(SiteRun run) => run.Output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);

    static string Json(IReadOnlyList<SiteRun> runs)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartArray();
            foreach (var run in runs)
            {
                writer.WriteStartObject();
                writer.WriteString("server", run.Name);
                writer.WriteNumber("status", run.Status);
                if (run.Output.ToString().Trim() is { Length: > 0 } answer)
                {
                    writer.WritePropertyName("answer");
                    using var document = JsonDocument.Parse(answer);
                    document.RootElement.WriteTo(writer);
                }
                writer.WriteEndObject();
            }
            writer.WriteEndArray();
        }
        return Encoding.UTF8.GetString(buffer.ToArray()) + "\n";
    }
}

/// <summary>Node sets of several servers: <c>site1:node[1-4],site2:node[1-4]</c>.</summary>
static class SiteNodes
{
    /// <summary>The parts by server, in the order they are named; nodes without a server are those of <paramref name="usual"/>.</summary>
    /// <param name="without">Nodes to leave out; those without a server are left out on each.</param>
    public static (string? Site, string Nodes)[] Split(string nodes, string? without, string? usual)
    {
        var parts = Selection.Terms(nodes).Select(Read).GroupBy(t => t.Site ?? usual).Select(g => (Site: g.Key, Nodes: string.Join(',', g.Select(t => t.Nodes)))).ToArray();
        if (without is not { Length: > 0 })
            return parts;
        var left = Selection.Terms(without).Select(Read).ToArray();
        return [.. parts.Select(p => (p.Site, string.Join('!', left.Where(l => l.Site is null || l.Site == p.Site).Select(l => l.Nodes).Prepend(p.Nodes))))];
    }

    /// <summary>A group's source stands before a colon, too, but behind an at sign.</summary>
    static (string? Site, string Nodes) Read(string term) =>
        term.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon && Contexts.IsName(term[..colon].Trim()) ? (term[..colon].Trim(), term[(colon + 1)..]) : (null, term);
}
