using System.Collections.Immutable;
using Ka.Protocol.Rest;
using Ka.Store;

namespace Ka.Server.Statistics;

/// <summary>What the runs of nodes say together. Pure.</summary>
public static class Reports
{
    /// <summary>Of the normal distribution, for a two-sided 95 % interval.</summary>
    const double Z = 1.959964;

    /// <summary>From this lower bound on a node is more likely to fail than not, with some certainty: it should be taken out of use.</summary>
    const double DrainFrom = 0.5;

    /// <summary>Codes of nodes that were ended by somebody: neither success nor failure.</summary>
    static readonly ImmutableHashSet<string> Ended = ["operation.cancelled", "rights.ended", "server.stopped"];

    /// <summary><c>ok</c>, <c>failed</c> or <c>cancelled</c>.</summary>
    public static string Result(string? code) => code is null ? "ok" : Ended.Contains(code) ? "cancelled" : "failed";

    /// <summary>Lower bound of the share that <paramref name="hits"/> of <paramref name="all"/> stand for (Wilson's score interval, 95 %): 1 of 1 says less than 40 of 60.</summary>
    public static double WilsonLower(int hits, int all)
    {
        if (all == 0)
            return 0;
        var (p, n) = (hits / (double)all, (double)all);
        return Math.Max(0, (p + Z * Z / (2 * n) - Z * Math.Sqrt((p * (1 - p) + Z * Z / (4 * n)) / n)) / (1 + Z * Z / n));
    }

    /// <summary>The value below which a share of the sorted values lies (nearest rank).</summary>
    public static double Percentile(IReadOnlyList<double> sorted, double share) => sorted[Math.Clamp((int)Math.Ceiling(share * sorted.Count) - 1, 0, sorted.Count - 1)];

    public static ImmutableArray<SummaryRow> Summary(IEnumerable<NodeRun> runs) =>
    [
        .. runs.GroupBy(r => (r.Kind, r.Cluster)).OrderBy(g => g.Key).Select(g =>
        {
            var results = g.CountBy(r => Result(r.Code)).ToDictionary();
            var (ok, failed) = (results.GetValueOrDefault("ok"), results.GetValueOrDefault("failed"));
            return new SummaryRow(
                g.Key.Kind, g.Key.Cluster, g.Select(r => r.Workflow).Distinct().Count(), g.Count(), ok, failed, results.GetValueOrDefault("cancelled"), ok + failed == 0 ? null : Round(ok / (double)(ok + failed)));
        }),
    ];

    /// <summary>The worst first; nodes with fewer runs than the minimum are left out.</summary>
    public static ImmutableArray<FailingRow> Failing(IEnumerable<NodeRun> runs, int minimum) =>
    [
        .. runs.Where(r => Result(r.Code) != "cancelled").GroupBy(r => r.Node).Where(g => g.Count() >= minimum).Select(g =>
            {
                var failures = g.Where(r => r.Code is not null).ToArray();
                var lower = WilsonLower(failures.Length, g.Count());
                return new FailingRow(
                    g.Key, g.First().Cluster, g.Count(), failures.Length, Round(failures.Length / (double)g.Count()), Round(lower),
                    failures.CountBy(r => r.Code!).OrderByDescending(c => c.Value).ThenBy(c => c.Key, StringComparer.Ordinal).Select(c => c.Key).FirstOrDefault(),
                    failures.Length == 0 ? null : failures.Max(r => r.EndedAt), lower >= DrainFrom);
            })
            .Where(r => r.Failed > 0).OrderByDescending(r => r.LowerBound).ThenBy(r => r.Node, StringComparer.Ordinal),
    ];

    /// <summary>Nodes whose median is the furthest above that of all nodes of their cluster, for what went well.</summary>
    public static ImmutableArray<SlowRow> Slow(IEnumerable<NodeRun> runs, int minimum) =>
    [
        .. runs.Where(r => r.Code is null).GroupBy(r => (r.Kind, r.Cluster)).SelectMany(alike =>
            {
                var usual = Percentile(Seconds(alike), 0.5);
                return alike.GroupBy(r => r.Node).Where(g => g.Count() >= minimum).Select(g =>
                {
                    var median = Percentile(Seconds(g), 0.5);
                    return new SlowRow(g.Key, alike.Key.Kind, alike.Key.Cluster, g.Count(), Round(median), Round(usual), usual > 0 ? Round(median / usual) : 1);
                });
            })
            .OrderByDescending(r => r.Ratio).ThenBy(r => r.Node, StringComparer.Ordinal),
    ];

    /// <param name="names">Names of the macro steps of a kind of operation.</param>
    public static ImmutableArray<DurationRow> Durations(IEnumerable<NodeRun> runs, Func<string, ImmutableArray<string>> names) =>
    [
        .. from alike in runs.GroupBy(r => (r.Kind, r.Cluster))
           orderby alike.Key
           let macros = names(alike.Key.Kind)
           from part in Enumerable.Range(0, macros.Length).Select(i => (Name: macros[i], Values: alike.Select(r => r.Macros[i]).OfType<long>().Select(ms => ms / 1000.0)))
               .Append((Name: "whole", Values: alike.Where(r => r.Code is null).Select(r => (r.EndedAt - r.StartedAt).TotalSeconds)))
           let sorted = part.Values.Order().ToArray()
           where sorted.Length > 0
           select new DurationRow(alike.Key.Kind, alike.Key.Cluster, part.Name, sorted.Length, Round(Percentile(sorted, 0.5)), Round(Percentile(sorted, 0.95)), Round(sorted[^1])),
    ];

    public static ImmutableArray<CauseRow> Causes(IEnumerable<NodeRun> runs) =>
    [
        .. runs.Where(r => Result(r.Code) == "failed").GroupBy(r => (r.Code, r.Macro, r.Step))
            .Select(g => new CauseRow(g.Key.Code!, g.Key.Macro, g.Key.Step, g.Count(), g.Select(r => r.Node).Distinct().Count(), g.Max(r => r.EndedAt)))
            .OrderByDescending(r => r.Count).ThenBy(r => r.Code, StringComparer.Ordinal).ThenBy(r => r.Step, StringComparer.Ordinal),
    ];

    public static RunRow Row(NodeRun run) => new(
        run.Workflow, run.Node, run.Kind, run.Cluster, run.Owner, run.Environment, run.StartedAt, run.EndedAt, Result(run.Code), run.Code, run.Macro, run.Step, run.Failures,
        run.Macros[0] / 1000.0, run.Macros[1] / 1000.0, run.Macros[2] / 1000.0);

    static double[] Seconds(IEnumerable<NodeRun> runs) => [.. runs.Select(r => (r.EndedAt - r.StartedAt).TotalSeconds).Order()];

    static double Round(double value) => Math.Round(value, 3);
}
