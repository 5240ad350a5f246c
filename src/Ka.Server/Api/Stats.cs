using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Ka.Server.Statistics;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>Which runs a report is about.</summary>
/// <param name="Since">Default: 90 days ago.</param>
/// <param name="MinRuns">Nodes with fewer are left out; default 3.</param>
public sealed record StatsQuery(string? Nodes, string? Kind, string? Environment, string? Operation, DateTimeOffset? Since, DateTimeOffset? Until, int? MinRuns);

/// <summary><c>/api/v1/stats</c>: reports over how nodes fared in ended operations.</summary>
public static class Stats
{
    static readonly TimeSpan Usual = TimeSpan.FromDays(90);

    const int UsualRuns = 3, UsualLimit = 1000, MostRows = 100_000;

    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/api/v1/stats");
        Report(group, "summary", (runs, _, _) => Results.Json(Reports.Summary(runs), RestJson.Default.ImmutableArraySummaryRow)).Produces<ImmutableArray<SummaryRow>>();
        Report(group, "failing", (runs, q, cut) => Results.Json(cut.Of(Reports.Failing(runs, q.MinRuns ?? UsualRuns)), RestJson.Default.ImmutableArrayFailingRow)).Produces<ImmutableArray<FailingRow>>();
        Report(group, "slow", (runs, q, cut) => Results.Json(cut.Of(Reports.Slow(runs, q.MinRuns ?? UsualRuns)), RestJson.Default.ImmutableArraySlowRow)).Produces<ImmutableArray<SlowRow>>();
        Report(group, "durations", (runs, _, _) => Results.Json(Reports.Durations(runs, MacrosOf), RestJson.Default.ImmutableArrayDurationRow)).Produces<ImmutableArray<DurationRow>>();
        Report(group, "causes", (runs, _, cut) => Results.Json(cut.Of(Reports.Causes(runs)), RestJson.Default.ImmutableArrayCauseRow)).Produces<ImmutableArray<CauseRow>>();
        Report(group, "deploys", (runs, _, cut) => Results.Json(cut.Newest(runs), RestJson.Default.ImmutableArrayRunRow)).Produces<ImmutableArray<RunRow>>();
    }

    static RouteHandlerBuilder Report(RouteGroupBuilder group, string name, Func<ImmutableArray<NodeRun>, StatsQuery, Cutting, IResult> report) =>
        group.MapGet(name, ([AsParameters] StatsQuery query, [AsParameters] PageQuery part, RunTable table, Site site, TimeProvider clock, HttpContext context) =>
        {
            var (page, wrong) = Page.Read(part, name, UsualLimit, MostRows);
            if (page is null)
                return wrong!;
            NodeSet? set = null;
            if (query.Nodes is { } words && Nodes.Refuse(words, site, out set) is { } refusal)
                return refusal;
            if (query.Kind is not (null or "deploy" or "reboot" or "power"))
                return Refuse($"'{DocumentError.Cut(query.Kind)}' is no kind of operation: deploy, reboot or power is expected");
            if (query.MinRuns is < 1)
                return Page.Refuse("minRuns", "'minRuns' is at least 1", query.MinRuns.ToString());
            var runs = table.Read(new RunFilter(query.Kind ?? (name == "deploys" ? "deploy" : null), query.Environment, query.Operation, query.Since ?? clock.GetUtcNow() - Usual, query.Until));
            return report(set is null ? runs : [.. runs.Where(r => set.Contains(NodeName.Parse(r.Node)))], query, new Cutting(page, context));
        }).Needs(Audience.Users, Right.View);

    /// <summary>The macro steps of each kind of operation.</summary>
    internal static ImmutableArray<string> MacrosOf(string kind) => kind switch
    {
        "deploy" => ["SetDeploymentEnv", "BroadcastEnv", "BootNewEnv"],
        "reboot" => ["Reboot"],
        _ => ["Power"],
    };

    /// <summary>What of a report is on the page that is asked for.</summary>
    sealed record Cutting(Page Page, HttpContext Context)
    {
        public ImmutableArray<T> Of<T>(ImmutableArray<T> rows) => Page.CutByNumber(rows, Context);

        /// <summary>Runs, the newest first: what has ended since the page before shifts nothing.</summary>
        public ImmutableArray<RunRow> Newest(ImmutableArray<NodeRun> runs) =>
            [.. Page.Cut(runs.Where(r => Page.After is null || string.CompareOrdinal(Place(r), Page.After) > 0), Place, Context).Select(Reports.Row)];

        static string Place(NodeRun run) => $"{long.MaxValue - run.StartedAt.ToUnixTimeMilliseconds():D19} {run.Workflow} {run.Node}";
    }

    static IResult Refuse(string why) => Problems.Of(Fault.Of(FaultCodes.RequestInvalid, why));
}
