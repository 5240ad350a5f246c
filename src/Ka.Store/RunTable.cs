using System.Collections.Immutable;
using Dapper;

namespace Ka.Store;

/// <summary>How one node fared in one ended workflow.</summary>
/// <param name="Kind"><c>deploy</c>, <c>reboot</c> or <c>power</c>.</param>
/// <param name="Environment"><c>name:version</c>, or empty.</param>
/// <param name="Code">Final fault; null when it went well.</param>
/// <param name="Macro">Macro step of the last failure, its step beside it; null without one.</param>
/// <param name="Failures">How often a step failed on it, also where a later try mended it.</param>
/// <param name="Macros">How long it was in each macro step, in milliseconds; null for those it did not finish.</param>
public sealed record NodeRun(
    string Workflow, string Node, string Kind, string Cluster, string Owner, string Environment, DateTimeOffset StartedAt, DateTimeOffset EndedAt, string? Code, string? Macro, string? Step,
    int Failures, ImmutableArray<long?> Macros);

/// <summary>Which runs are wanted; null is all.</summary>
/// <param name="Since">Inclusive, of the start.</param>
/// <param name="Until">Exclusive, of the start.</param>
public sealed record RunFilter(string? Kind = null, string? Environment = null, string? Workflow = null, DateTimeOffset? Since = null, DateTimeOffset? Until = null, int Limit = RunTable.MostRows);

/// <summary>How often nodes of a cluster ended in one way.</summary>
public sealed record RunCount(string Kind, string Cluster, string? Code, long Count);

/// <summary>The runs of nodes, for statistics; always the fold of the journal.</summary>
public sealed class RunTable(Database database)
{
    /// <summary>Most rows that one question reads; the newest.</summary>
    public const int MostRows = 500_000;

    const string Columns = "workflow, node, kind, cluster, owner, environment, started_at, ended_at, code, macro, step, failures, macro1, macro2, macro3";

    const string Selected = "workflow, node, kind, cluster, owner, environment, started_at as StartedAt, ended_at as EndedAt, code, macro, step, failures, macro1, macro2, macro3";

    sealed record Row(
        string Workflow, string Node, string Kind, string Cluster, string Owner, string Environment, long StartedAt, long EndedAt, string? Code, string? Macro, string? Step, long Failures,
        long? Macro1, long? Macro2, long? Macro3);

    /// <summary>Writes the runs of one workflow; those that are there already stay as they are.</summary>
    public void Add(IEnumerable<NodeRun> runs) => database.Write((c, t) => c.Execute(
        $"insert into runs ({Columns}) values (@Workflow, @Node, @Kind, @Cluster, @Owner, @Environment, @Started, @Ended, @Code, @Macro, @Step, @Failures, @Macro1, @Macro2, @Macro3) on conflict do nothing",
        runs.Select(r => new
        {
            r.Workflow,
            r.Node,
            r.Kind,
            r.Cluster,
            r.Owner,
            r.Environment,
            Started = r.StartedAt.ToUnixTimeMilliseconds(),
            Ended = r.EndedAt.ToUnixTimeMilliseconds(),
            r.Code,
            r.Macro,
            r.Step,
            r.Failures,
            Macro1 = r.Macros.ElementAtOrDefault(0),
            Macro2 = r.Macros.ElementAtOrDefault(1),
            Macro3 = r.Macros.ElementAtOrDefault(2),
        }),
        t));

    /// <summary>The newest first.</summary>
    public ImmutableArray<NodeRun> Read(RunFilter filter) => database.Read(c => c.Query<Row>(
            $"""
            select {Selected} from runs
            where (@Kind is null or kind = @Kind) and (@Environment is null or environment = @Environment or environment like @Environment || ':%') and (@Workflow is null or workflow = @Workflow)
              and (@since is null or started_at >= @since) and (@until is null or started_at < @until)
            order by started_at desc, workflow, node limit @Limit
            """,
            new { filter.Kind, filter.Environment, filter.Workflow, since = filter.Since?.ToUnixTimeMilliseconds(), until = filter.Until?.ToUnixTimeMilliseconds(), filter.Limit })
        .Select(Of).ToImmutableArray());

    /// <summary>What happened to one node, the newest first.</summary>
    public ImmutableArray<NodeRun> OfNode(string node, int limit) => database.Read(c => c.Query<Row>(
            $"select {Selected} from runs where node = @node order by started_at desc limit @limit",
            new { node, limit })
        .Select(Of).ToImmutableArray());

    /// <summary>Workflows that have ended and have no runs yet.</summary>
    public ImmutableArray<string> Missing() => database.Read(c =>
        c.Query<string>("select id from workflows w where state <> 'Running' and not exists (select 1 from runs r where r.workflow = w.id)").ToImmutableArray());

    public ImmutableArray<RunCount> Counts() => database.Read(c =>
        c.Query<(string Kind, string Cluster, string? Code, long Count)>("select kind, cluster, code, count(*) from runs group by kind, cluster, code order by kind, cluster, code")
            .Select(r => new RunCount(r.Kind, r.Cluster, r.Code, r.Count)).ToImmutableArray());

    /// <summary>How many nodes needed at most so many seconds for a macro step, one number for each bound, then all of them and their sum in seconds.</summary>
    /// <param name="macro">1, 2 or 3.</param>
    public ImmutableArray<(string Kind, string Cluster, ImmutableArray<long> Within, long All, double Seconds)> Buckets(int macro, IReadOnlyList<int> bounds)
    {
        var column = macro switch { 1 => "macro1", 2 => "macro2", 3 => "macro3", _ => throw new ArgumentOutOfRangeException(nameof(macro), macro, "1 to 3") };
        var sums = string.Join(", ", bounds.Select(b => $"sum({column} <= {b}000)"));
        return database.Read(c =>
        {
            var rows = ImmutableArray.CreateBuilder<(string, string, ImmutableArray<long>, long, double)>();
            using var reader = c.ExecuteReader($"select kind, cluster, count(*), sum({column}), {sums} from runs where {column} is not null group by kind, cluster order by kind, cluster");
            while (reader.Read())
                rows.Add((reader.GetString(0), reader.GetString(1), [.. Enumerable.Range(4, bounds.Count).Select(reader.GetInt64)], reader.GetInt64(2), reader.GetInt64(3) / 1000.0));
            return rows.ToImmutable();
        });
    }

    static NodeRun Of(Row r) => new(
        r.Workflow, r.Node, r.Kind, r.Cluster, r.Owner, r.Environment, DateTimeOffset.FromUnixTimeMilliseconds(r.StartedAt), DateTimeOffset.FromUnixTimeMilliseconds(r.EndedAt), r.Code, r.Macro, r.Step,
        (int)r.Failures, [r.Macro1, r.Macro2, r.Macro3]);
}
