using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary>How an operation is begun, followed and ended, the same for every command that starts one.</summary>
sealed class Manner
{
    readonly Option<bool> _dryRun = new("--dry-run") { Description = "Say what would be done and change nothing" };
    readonly Option<bool> _wait = new("--wait") { Description = "Follow to the end (default)" };
    readonly Option<bool> _noWait = new("--no-wait") { Description = "Return as soon as the server has accepted" };
    readonly Option<bool> _yes = new("--yes", "-y") { Description = "Do not ask" };
    readonly Option<int?> _timeout = new("--timeout") { Description = "Stop watching after so many seconds; the operation goes on" };
    readonly Option<bool> _verbose = new("--verbose", "-v") { Description = "Every step of every node" };
    readonly Option<string?> _ok = new("--ok-nodes") { Description = "Write the nodes that ended well into this file, one a line" };
    readonly Option<string?> _ko = new("--ko-nodes") { Description = "Write the nodes that failed into this file, one a line" };
    readonly Option<string?> _script = new("--script") { Description = "Run this program at the end; it finds KA_OPERATION, KA_STATE, KA_OK and KA_FAILED in its environment" };
    readonly Option<string?> _id = new("--write-id") { Description = "Write the id of the operation into this file as soon as it is accepted" };
    readonly Option<string?> _minimum = new("--min-nodes") { Description = "Enough nodes for success: a number or a share as in 90%" };

    public Manner(Command command)
    {
        foreach (var option in (Option[])[_dryRun, _wait, _noWait, _yes, _timeout, _verbose, _ok, _ko, _script, _minimum, _id])
            command.Add(option);
        All.Add(command, this);
    }

    static readonly System.Runtime.CompilerServices.ConditionalWeakTable<Command, Manner> All = [];

    /// <summary>That of a command; null when it starts no operation.</summary>
    public static Manner? Of(Command command) => All.TryGetValue(command, out var manner) ? manner : null;

    public bool DryRun(ParseResult parsed) => parsed.GetValue(_dryRun);

    public bool Verbose(ParseResult parsed) => parsed.GetValue(_verbose);

    public bool NoWait(ParseResult parsed) => parsed.GetValue(_noWait);

    /// <summary>What is left of <c>--timeout</c>, in seconds; null without one.</summary>
    public int? Rest(ParseResult parsed, TimeSpan gone) => parsed.GetValue(_timeout) is { } seconds ? Math.Max(0, seconds - (int)gone.TotalSeconds) : null;

    /// <summary>The run on one of several servers; null where one is all there is.</summary>
    static SiteRun? Several => SiteRun.Current is { Alone: false } run ? run : null;

    /// <summary>Adds the id of an operation to the file that is to have it.</summary>
    public void WriteId(ParseResult parsed, string id)
    {
        if (parsed.GetValue(_id) is { } file)
            lock (Ids)
                File.AppendAllText(file, $"{(Several is { } several ? several.Name + ":" : "")}{id}\n");
    }

    public bool Asks(ParseResult parsed) => !DryRun(parsed) && !parsed.GetValue(_yes) && !Console.IsInputRedirected && Terminal.IsLive;

    /// <summary>What contradicts itself, said, with the exit status; null when all is well.</summary>
    public int? Misused(ParseResult parsed)
    {
        if (SiteRun.Current is { Alone: false })
            return null;
        var (ok, ko, script) = (parsed.GetValue(_ok), parsed.GetValue(_ko), parsed.GetValue(_script));
        string? why = null;
        if (parsed.GetValue(_noWait) && (ok ?? ko ?? script ?? parsed.GetValue(_minimum)) is not null)
            why = "--no-wait returns before there is anything to write, run or count: leave out --ok-nodes, --ko-nodes, --script and --min-nodes";
        else if (ok is not null && ko is not null && Path.GetFullPath(ok) == Path.GetFullPath(ko))
            why = $"--ok-nodes and --ko-nodes are the same file: {ok}";
        else if (script is not null && (!File.Exists(script) || (File.GetUnixFileMode(script) & (UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) == 0))
            why = $"--script {script} is no program that can be run";
        else if (parsed.GetValue(_minimum) is { } text && Minimum(text, 100) is null)
            why = $"--min-nodes '{text}' is neither a number nor a share such as 90%";
        else
            why = Empty(ok) ?? Empty(ko) ?? Empty(parsed.GetValue(_id));
        return why is null ? null : Terminal.Misused(why);
    }

    /// <summary>Makes the file anew, so that what cannot be written is said before anything is done; null when all is well.</summary>
    static string? Empty(string? file)
    {
        try
        {
            if (file is not null)
                File.WriteAllText(file, "");
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    /// <summary>Asks if need be, begins, follows and ends an operation of which nothing is erased.</summary>
    public async Task<int> CarryOutAsync(Server server, ParseResult parsed, string doing, Func<bool, Task<Answer<OperationReply>>> post, CancellationToken cancel)
    {
        if (Misused(parsed) is { } wrong)
            return wrong;
        if (DryRun(parsed) || Asks(parsed))
        {
            var plan = await post(true);
            if (plan.Value is not { } would)
                return Terminal.Say(plan.Problem!);
            if (DryRun(parsed))
            {
                if (Common.IsJson(parsed))
                    Terminal.Json(would, RestJson.Default.OperationReply);
                else
                    Console.WriteLine(Terminal.Safe($"Would {doing} {would.Count} node(s): {would.Nodes}"));
                Console.Error.WriteLine("Nothing was changed.");
                return ExitCodes.Done;
            }
            Console.Error.Write(Terminal.Safe($"{char.ToUpperInvariant(doing[0])}{doing[1..]} {would.Count} node(s): {would.Nodes}? [y/N] "));
            if (Console.ReadLine()?.Trim().ToLowerInvariant() is not ("y" or "yes"))
                return ExitCodes.Cancelled;
        }
        var accepted = await post(false);
        return accepted.Value is { } operation ? await EndAsync(server, parsed, operation, cancel) : Terminal.Say(accepted.Problem!);
    }

    /// <summary>What comes after an operation was accepted.</summary>
    public async Task<int> EndAsync(Server server, ParseResult parsed, OperationReply operation, CancellationToken cancel)
    {
        if (operation.Skipped is { } skipped)
            Console.Error.WriteLine(Terminal.Safe($"ka: left alone, because they have {operation.Environment} already: {skipped}"));
        if (operation.Id.Length == 0)
            return ExitCodes.Done;
        Several?.Operation = operation;
        WriteId(parsed, operation.Id);
        if (parsed.GetValue(_noWait))
        {
            if (Common.IsJson(parsed))
                Terminal.Json(operation, RestJson.Default.OperationReply);
            else
                Console.WriteLine(operation.Id);
            return ExitCodes.Done;
        }
        var (status, ended) = await Following.RunAsync(server, operation, parsed, parsed.GetValue(_verbose), parsed.GetValue(_timeout), cancel);
        return ended is null ? status : await AfterAsync(parsed, ended, status, cancel);
    }

    static readonly Lock Ids = new();

    /// <summary>What comes after the operations of several servers.</summary>
    public async Task<int> AfterAllAsync(ParseResult parsed, SiteRun[] runs, int status)
    {
        if (parsed.GetValue(_noWait) || DryRun(parsed))
            return status;
        var all = runs.All(r => r.Failed is not null) ? runs.Sum(r => r.Ok.Length + r.Failed!.Length) : int.MaxValue;
        // Scripts of Kadeploy3 read bare names.
        var bare = parsed.GetValue(Common.Sentences) is not null && runs.SelectMany(r => (string[])[.. r.Ok, .. r.Failed ?? []]) is var names && names.Distinct().Count() == names.Count();
        return await AfterAsync(
            parsed, string.Join(',', runs.Where(r => r.Operation is not null).Select(r => $"{r.Name}:{r.Operation!.Id}")), status == ExitCodes.Done ? "done" : status == ExitCodes.SomeFailed ? "partial" : "failed",
            [.. runs.SelectMany(r => r.Ok.Select(n => Name(r, n)))], [.. runs.SelectMany(r => (r.Failed ?? []).Select(n => Name(r, n)))], all, status, CancellationToken.None);

        string Name(SiteRun run, string node) => bare ? node : $"{run.Name}:{node}";
    }

    /// <summary>What is to be done when everything has ended: files, count, script; of several servers when all have.</summary>
    internal Task<int> AfterAsync(ParseResult parsed, OperationReply ended, int status, CancellationToken cancel)
    {
        Several?.Operation = ended;
        return Several is null ? AfterAsync(parsed, ended.Id, ended.State, Names(ended.Ok), Names(ended.Failed), ended.Count, status, cancel) : Task.FromResult(status);
    }

    async Task<int> AfterAsync(ParseResult parsed, string id, string state, string[] nodesOk, string[] nodesFailed, int count, int status, CancellationToken cancel)
    {
        try
        {
            if (parsed.GetValue(_ok) is { } ok)
                await File.WriteAllLinesAsync(ok, nodesOk, cancel);
            if (parsed.GetValue(_ko) is { } ko)
                await File.WriteAllLinesAsync(ko, nodesFailed, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"ka: {e.Message}");
            return ExitCodes.BadData;
        }
        if (status == ExitCodes.SomeFailed && parsed.GetValue(_minimum) is { } text && nodesOk.Length >= Minimum(text, count))
            status = ExitCodes.Done;
        if (parsed.GetValue(_script) is not { } script)
            return status;
        var start = new ProcessStartInfo(Path.GetFullPath(script)) { UseShellExecute = false };
        foreach (var (name, value) in ((string, string)[])[("KA_OPERATION", id), ("KA_STATE", state), ("KA_OK", Folded(nodesOk)), ("KA_FAILED", Folded(nodesFailed))])
            start.Environment[name] = value;
        using var run = Process.Start(start)!;
        await run.WaitForExitAsync(cancel);
        if (run.ExitCode != 0)
            Console.Error.WriteLine($"ka: {script} ended with status {run.ExitCode}");
        return status == ExitCodes.Done && run.ExitCode != 0 ? ExitCodes.AllFailed : status;
    }

    /// <summary>As a node set; with the server before each part where there are several.</summary>
    static string Folded(string[] names) => string.Join(',', names.GroupBy(n => n.Split(':') is [var site, _] ? site + ":" : "")
        .SelectMany(g => Selection.Terms(NodeSet.FromNames(g.Select(n => NodeName.Parse(n[g.Key.Length..]))).ToString()).Select(t => g.Key + t)));

    static string[] Names(string nodes) => nodes.Length == 0 ? [] : [.. NodeSet.Parse(nodes).Select(n => n.Value)];

    /// <summary>A number, or a share of all rounded up; null when the text is neither.</summary>
    internal static int? Minimum(string text, int all) =>
        text.EndsWith('%')
            ? int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var share) && share <= 100 ? (int)Math.Ceiling(all * share / 100.0) : null
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}
