using System.CommandLine;
using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using Ka.Core.Documents;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka stats summary|failing|slow|durations|causes|deploys</c>.</summary>
static class StatsCommands
{
    /// <summary>Lines of a report: the server's own limit, and the most that it gives at once.</summary>
    const int UsualRows = 1000, MostRows = 100_000;

    public static Command Build()
    {
        var stats = new Command("stats", "How operations fared: what fails where, of what, and how long things take");
        stats.Add(Report("summary", "Count operations and their nodes", RestJson.Default.SummaryRowArray, false,
            ["KIND", "CLUSTER", "OPERATIONS", "RUNS", "OK", "FAILED", "CANCELLED", "OK_SHARE"],
            r => [r.Kind, r.Cluster, N(r.Operations), N(r.Runs), N(r.Ok), N(r.Failed), N(r.Cancelled), N(r.OkShare)]));
        stats.Add(Report("failing", "Nodes on which operations fail, the surest first (lower bound of the share of failures, 95 %)", RestJson.Default.FailingRowArray, true,
            ["NODE", "CLUSTER", "RUNS", "FAILED", "SHARE", "LOWER", "CAUSE", "LAST", "SUGGESTED"],
            r => [r.Node, r.Cluster, N(r.Runs), N(r.Failed), N(r.Share), N(r.LowerBound), r.Cause ?? "", At(r.LastFailure), r.Drain ? "drain" : ""]));
        stats.Add(Report("slow", "Nodes that need longer than the others of their cluster", RestJson.Default.SlowRowArray, true,
            ["NODE", "KIND", "CLUSTER", "RUNS", "MEDIAN", "USUAL", "RATIO"], r => [r.Node, r.Kind, r.Cluster, N(r.Runs), N(r.Median), N(r.Usual), N(r.Ratio)]));
        stats.Add(Report("durations", "Seconds in each macro step and in all: half and 95 % of the nodes need less", RestJson.Default.DurationRowArray, false,
            ["KIND", "CLUSTER", "STEP", "RUNS", "P50", "P95", "LONGEST"], r => [r.Kind, r.Cluster, r.Step, N(r.Runs), N(r.P50), N(r.P95), N(r.Longest)]));
        stats.Add(Report("causes", "What operations fail of, and at which step", RestJson.Default.CauseRowArray, false,
            ["CODE", "MACRO", "STEP", "COUNT", "NODES", "LAST"], r => [r.Code, r.Macro ?? "", r.Step ?? "", N(r.Count), N(r.Nodes), At(r.Last)]));
        stats.Add(Report("deploys", "One line for each node of each deployment (--kind: of other operations)", RestJson.Default.RunRowArray, false, RunHeads, RunFields));
        return stats;
    }

    internal static readonly string[] RunHeads =
        ["OPERATION", "NODE", "KIND", "CLUSTER", "OWNER", "ENVIRONMENT", "STARTED", "ENDED", "RESULT", "CODE", "MACRO", "STEP", "FAILURES", "STEP1_S", "STEP2_S", "STEP3_S"];

    internal static string[] RunFields(RunRow r) =>
        [r.Operation, r.Node, r.Kind, r.Cluster, r.Owner, r.Environment, At(r.StartedAt), At(r.EndedAt), r.Result, r.Code ?? "", r.Macro ?? "", r.Step ?? "", N(r.Failures), N(r.Macro1), N(r.Macro2), N(r.Macro3)];

    static Command Report<T>(string name, string description, JsonTypeInfo<T[]> type, bool withMinimum, string[] heads, Func<T, string[]> fields)
    {
        var kind = new Option<string?>("--kind") { Description = "Only of this kind: deploy, reboot or power" };
        kind.AcceptOnlyFromAmong("deploy", "reboot", "power");
        var environment = new Option<string?>("--env") { Description = "Only of this environment: NAME or NAME:VERSION" };
        var operation = new Option<string?>("--operation") { Description = "Only of this operation" };
        var since = new Option<string?>("--since") { Description = "Only what began since then (default -90d): " + Moments.Form };
        var until = new Option<string?>("--until") { Description = "Only what began before then" };
        var limit = new Option<int?>("--limit", "-n") { Description = "At most so many lines (default 1000)" };
        var minimum = new Option<int?>("--min-runs") { Description = "Leave out nodes with fewer runs (default 3)" };
        var columns = new Option<string?>("--columns") { Description = "Only these columns of the table or CSV, in this order: NAME,…" };
        var sort = new Option<string?>("--sort") { Description = "In the order of these columns: NAME,… or -NAME for the greatest first" };
        var command = new Command(name, description) { kind, environment, operation, since, until, limit, columns, sort };
        var selection = new Selection(command);
        var share = new Option<double?>("--min-share") { Description = "Leave out nodes that fail more seldom, 0 to 1" };
        if (withMinimum)
            command.Add(minimum);
        if (name == "failing")
            command.Add(share);
        var failures = new Option<int?>("--min-failures") { Description = "Only runs in which at least so many tries failed" };
        if (name == "deploys")
            command.Add(failures);
        command.SetAction(async (parsed, cancel) =>
        {
            var now = DateTimeOffset.UtcNow;
            foreach (var option in (Option<string?>[])[since, until])
                if (parsed.GetValue(option) is { } text && !Moments.TryParse(text, now, out _))
                    return Terminal.Misused($"{option.Name} '{text}' is not {Moments.Form}");
            if (Chosen(parsed, columns, heads, signed: false) is not { } shown || Chosen(parsed, sort, heads, signed: true) is not { } order)
                return ExitCodes.Usage;
            if (!selection.TryRead(parsed, out var nodes, out var unread))
                return unread;
            var least = parsed.GetValue(failures);
            // What is chosen from here must come whole.
            var whole = order.Length > 0 || least is not null;
            var most = whole ? MostRows : parsed.GetValue(limit);
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync(
                $"api/v1/stats/{name}?" + RightsCommands.Query(
                    ("nodes", nodes), ("kind", parsed.GetValue(kind)), ("environment", parsed.GetValue(environment)), ("operation", parsed.GetValue(operation)),
                    ("since", Time(parsed.GetValue(since), now)), ("until", Time(parsed.GetValue(until), now)), ("limit", most?.ToString()),
                    ("minRuns", withMinimum ? parsed.GetValue(minimum)?.ToString() : null)),
                type, cancel);
            if (reply.Value is not { } rows)
                return Terminal.Say(reply.Problem!);
            rows = [.. rows.Where(r => (r is not FailingRow failing || !(failing.Share < parsed.GetValue(share))) && (r is not RunRow run || !(run.Failures < least)))];
            if (whole)
                rows = [.. Columns.Ordered(rows, fields, order).Take(parsed.GetValue(limit) ?? UsualRows)];
            if (shown.Length == 0)
                Print(parsed, rows, type, heads, fields);
            else
                Print(parsed, rows, type, [.. shown.Select(c => heads[c.Column])], r => [.. shown.Select(c => fields(r)[c.Column])]);
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>The columns that an option names, none without it; null when it names none of these.</summary>
    static (int Column, bool Descending)[]? Chosen(ParseResult parsed, Option<string?> option, string[] heads, bool signed)
    {
        if (parsed.GetValue(option) is not { } text)
            return [];
        if (Columns.TryRead(text, heads, signed, out var columns, out var error))
            return columns;
        Console.Error.WriteLine(Terminal.Safe($"ka: {option.Name}: {error}"));
        return null;
    }

    internal static void Print<T>(ParseResult parsed, T[] rows, JsonTypeInfo<T[]> type, string[] heads, Func<T, string[]> fields)
    {
        switch (parsed.GetValue(Common.Output))
        {
            case OutputForm.Json:
                Terminal.Json(rows, type);
                break;
            case OutputForm.Csv:
                Console.WriteLine(Csv.Line(heads.Select(h => h.ToLowerInvariant())));
                foreach (var row in rows)
                    Console.WriteLine(Csv.Line(fields(row)));
                break;
            case OutputForm.Table or OutputForm.Name or OutputForm.Nodeset:
                Terminal.Table(heads, rows.Select(fields));
                break;
        }
    }

    static string? Time(string? text, DateTimeOffset now) => text is not null && Moments.TryParse(text, now, out var at) ? At(at) : null;

    static string N(double? value) => value?.ToString("0.###", CultureInfo.InvariantCulture) ?? "";

    internal static string At(DateTimeOffset? at) => at?.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'") ?? "";
}
