using System.Collections.Immutable;
using System.Text.Json;
using Dapper;
using Ka.Engine.Workflows;

namespace Ka.Store;

/// <summary>A workflow as it is stored.</summary>
public sealed record StoredWorkflow(Workflow Workflow, WorkflowState State, long Fence, DateTimeOffset? EndedAt);

/// <summary>A node that another workflow holds.</summary>
public sealed record BusyNode(string Node, string Workflow);

/// <summary>Which workflows are wanted; null is all. Words are in lower case.</summary>
/// <param name="Before">With <paramref name="After"/> the last one that was seen: those that come after it in the order, the newest first.</param>
public sealed record WorkflowFilter(string? State, string? Kind, string? Owner, DateTimeOffset? Since, DateTimeOffset? Until, DateTimeOffset? Before, string? After);

/// <summary>Workflows and the leases of their nodes; both change together or not at all.</summary>
public sealed class WorkflowTable(Database database)
{
    /// <summary>Records the workflow and takes its nodes in one transaction. When any node is held, nothing changes and the holders are returned.</summary>
    public (long Fence, ImmutableArray<BusyNode> Busy) Accept(Workflow workflow) => database.Write((c, t) =>
    {
        var held = c.Query<(string Node, string Workflow)>("select node, workflow from leases", transaction: t).ToDictionary(r => r.Node, r => r.Workflow);
        var busy = workflow.NodeNames.Where(held.ContainsKey).Select(n => new BusyNode(n, held[n])).ToImmutableArray();
        if (!busy.IsEmpty)
            return (0, busy);
        var fence = NextFence(c, t);
        c.Execute(
            "insert into workflows (id, kind, owner, state, fence, document, created_at) values (@Id, @Kind, @Owner, @State, @fence, @document, @at)",
            new
            {
                workflow.Id,
                Kind = workflow.Kind.ToString(),
                workflow.Owner,
                State = nameof(WorkflowState.Running),
                fence,
                document = JsonSerializer.Serialize(workflow, StoreJson.Options),
                at = workflow.CreatedAt.ToUnixTimeMilliseconds(),
            },
            t);
        c.Execute("insert into leases (node, workflow, fence) values (@Node, @Id, @fence)", workflow.NodeNames.Select(n => new { Node = n, workflow.Id, fence }), t);
        return (fence, ImmutableArray<BusyNode>.Empty);
    });

    /// <summary>A new owner after a restart: the workflow and its leases get a higher fence, and the old one is refused from here on.</summary>
    public long TakeOver(string id) => database.Write((c, t) =>
    {
        var fence = NextFence(c, t);
        c.Execute("update workflows set fence = @fence where id = @id", new { fence, id }, t);
        c.Execute("update leases set fence = @fence where workflow = @id", new { fence, id }, t);
        return fence;
    });

    /// <summary>Ends the workflow and gives its nodes back. Has no effect when the fence is an older one.</summary>
    public bool End(string id, WorkflowState state, long fence, DateTimeOffset at) => database.Write((c, t) =>
    {
        var rows = c.Execute(
            "update workflows set state = @state, ended_at = @at where id = @id and fence = @fence and state = 'Running'",
            new { state = state.ToString(), at = at.ToUnixTimeMilliseconds(), id, fence }, t);
        if (rows == 1)
            c.Execute("delete from leases where workflow = @id", new { id }, t);
        return rows == 1;
    });

    public StoredWorkflow? Find(string id) => database.Read(c => Rows(c, "where id = @id", new { id }).SingleOrDefault());

    /// <summary>The one whose id ends with this after its dash.</summary>
    public StoredWorkflow? FindBySuffix(string suffix) => database.Read(c => Rows(c, "where substr(id, 3) = @suffix", new { suffix }).FirstOrDefault());

    public ImmutableArray<StoredWorkflow> Running() => database.Read(c => Rows(c, "where state = 'Running' order by created_at", new { }).ToImmutableArray());

    /// <summary>The newest first.</summary>
    public ImmutableArray<StoredWorkflow> Recent(int limit) => database.Read(c => Rows(c, "order by created_at desc, id limit @limit", new { limit }).ToImmutableArray());

    /// <summary>Those of a kind, the newest first, read in parts as they are needed.</summary>
    public IEnumerable<StoredWorkflow> Read(WorkflowFilter filter)
    {
        var (before, after) = (filter.Before, filter.After ?? "");
        while (true)
        {
            var part = database.Read(c => Rows(
                c,
                """
                where (@State is null or lower(state) = @State) and (@Kind is null or lower(kind) = @Kind) and (@Owner is null or owner = @Owner)
                  and (@since is null or created_at >= @since) and (@until is null or created_at < @until) and (@before is null or created_at < @before or (created_at = @before and id > @after))
                order by created_at desc, id limit 200
                """,
                new { filter.State, filter.Kind, filter.Owner, since = filter.Since?.ToUnixTimeMilliseconds(), until = filter.Until?.ToUnixTimeMilliseconds(), before = before?.ToUnixTimeMilliseconds(), after }).ToArray());
            foreach (var workflow in part)
                yield return workflow;
            if (part.Length < 200)
                yield break;
            (before, after) = (part[^1].Workflow.CreatedAt, part[^1].Workflow.Id);
        }
    }

    /// <summary>Workflows that run or have ended since then, as they are stored.</summary>
    public ImmutableArray<string> Documents(DateTimeOffset since) => database.Read(c => c.Query<string>(
        "select document from workflows where state = 'Running' or ended_at is null or ended_at >= @at", new { at = since.ToUnixTimeMilliseconds() }).ToImmutableArray());

    /// <summary>How many workflows there are of each kind and state, both in lower case.</summary>
    public ImmutableArray<(string Kind, string State, long Count)> Counts() => database.Read(c =>
        c.Query<(string, string, long)>("select lower(kind), lower(state), count(*) from workflows group by kind, state order by kind, state").ToImmutableArray());

    /// <summary>Which workflow holds each leased node.</summary>
    public ImmutableDictionary<string, string> Leases() => database.Read(c =>
        c.Query<(string Node, string Workflow)>("select node, workflow from leases").ToImmutableDictionary(r => r.Node, r => r.Workflow));

    static long NextFence(Microsoft.Data.Sqlite.SqliteConnection c, Microsoft.Data.Sqlite.SqliteTransaction t) =>
        c.ExecuteScalar<long>("update fences set last = last + 1 where id = 1 returning last", transaction: t);

    static IEnumerable<StoredWorkflow> Rows(Microsoft.Data.Sqlite.SqliteConnection c, string where, object parameters) =>
        c.Query<(string Document, string State, long Fence, long? EndedAt)>($"select document, state, fence, ended_at from workflows {where}", parameters)
            .Select(r => new StoredWorkflow(
                JsonSerializer.Deserialize<Workflow>(r.Document, StoreJson.Options)!,
                Enum.Parse<WorkflowState>(r.State),
                r.Fence,
                r.EndedAt is { } at ? DateTimeOffset.FromUnixTimeMilliseconds(at) : null));
}
