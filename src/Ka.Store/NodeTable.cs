using System.Collections.Immutable;
using System.Text.Json;
using Dapper;
using Ka.Core.Faults;

namespace Ka.Store;

/// <summary>What is known of a node between operations.</summary>
/// <param name="State"><c>unknown</c>, <c>deploying</c>, <c>deployed</c>, <c>at breakpoint</c>, <c>rebooting</c>, <c>up</c> (an unknown system answers), <c>minimal</c>, <c>profile</c>, <c>failed</c>.</param>
/// <param name="Environment"><c>name:version</c> of the last deployment.</param>
public sealed record NodeState(string Node, string State, string? Environment, string? Workflow, Fault? Fault, DateTimeOffset At);

/// <summary>What a node boots from the network when no workflow owns it, in place of its local disk.</summary>
/// <param name="Workflow">The one that brought it.</param>
/// <param name="Kernel">SHA-256 in the file store.</param>
/// <param name="Initrd">SHA-256 in the file store, or null.</param>
/// <param name="Params">The node's kernel line.</param>
public sealed record NodeProfile(string Node, string Workflow, string Kernel, string? Initrd, string Params);

/// <summary>Node states, inventories, and facts that belong to one node in one workflow (nonces, hashes of credentials, host keys).</summary>
public sealed class NodeTable(Database database)
{
    const string FactSql = "insert into facts (workflow, node, key, value) values (@workflow, @Node, @Key, @Value) on conflict (workflow, node, key) do update set value = excluded.value";

    public void SetStates(IEnumerable<NodeState> states) => database.Write((c, t) => c.Execute(
        """
        insert into node_states (node, state, environment, workflow, fault, at) values (@Node, @State, @Environment, @Workflow, @fault, @at)
        on conflict (node) do update set state = excluded.state, environment = excluded.environment, workflow = excluded.workflow,
          fault = excluded.fault, at = excluded.at
        """,
        states.Select(s => new
        {
            s.Node,
            s.State,
            s.Environment,
            s.Workflow,
            fault = s.Fault is null ? null : JsonSerializer.Serialize(s.Fault, StoreJson.Options),
            at = s.At.ToUnixTimeMilliseconds(),
        }),
        t));

    public ImmutableDictionary<string, NodeState> States() => database.Read(c =>
        c.Query<(string Node, string State, string? Environment, string? Workflow, string? Fault, long At)>(
                "select node, state, environment, workflow, fault, at from node_states")
            .Select(r => new NodeState(
                r.Node, r.State, r.Environment, r.Workflow,
                r.Fault is null ? null : JsonSerializer.Deserialize<Fault>(r.Fault, StoreJson.Options),
                DateTimeOffset.FromUnixTimeMilliseconds(r.At)))
            .ToImmutableDictionary(s => s.Node));

    public void SetInventory(string node, string document, DateTimeOffset at) => database.Write((c, t) => c.Execute(
        "insert into inventories (node, document, at) values (@node, @document, @at) on conflict (node) do update set document = excluded.document, at = excluded.at",
        new { node, document, at = at.ToUnixTimeMilliseconds() }, t));

    public ImmutableDictionary<string, string> Inventories() => database.Read(c =>
        c.Query<(string Node, string Document)>("select node, document from inventories").ToImmutableDictionary(r => r.Node, r => r.Document));

    public void SetFacts(string workflow, IEnumerable<(string Node, string Key, string Value)> facts) => database.Write((c, t) => c.Execute(
        FactSql, facts.Select(f => new { workflow, f.Node, f.Key, f.Value }), t));

    /// <summary>Makes durable what the nodes boot next: the facts of the workflow, and profiles in place of those that the nodes have.</summary>
    public void SetBoot(string workflow, IReadOnlyList<string> nodes, IEnumerable<(string Node, string Key, string Value)> facts, IEnumerable<NodeProfile> profiles) => database.Write((c, t) =>
    {
        c.Execute("delete from boot_profiles where node = @node", nodes.Select(node => new { node }), t);
        c.Execute("insert into boot_profiles (node, workflow, kernel, initrd, params) values (@Node, @Workflow, @Kernel, @Initrd, @Params)", profiles, t);
        c.Execute(FactSql, facts.Select(f => new { workflow, f.Node, f.Key, f.Value }), t);
    });

    public ImmutableArray<NodeProfile> BootProfiles() => database.Read(c =>
        c.Query<NodeProfile>("select node, workflow, kernel, initrd, params from boot_profiles order by node").ToImmutableArray());

    /// <summary>Removes the profiles of these nodes, unless a workflow holds any of them: then nothing changes and the holders are returned.</summary>
    public (ImmutableArray<string> Removed, ImmutableArray<BusyNode> Busy) RemoveBootProfiles(IReadOnlyCollection<string> nodes) => database.Write((c, t) =>
    {
        var busy = c.Query<(string Node, string Workflow)>("select node, workflow from leases", transaction: t).Where(l => nodes.Contains(l.Node)).Select(l => new BusyNode(l.Node, l.Workflow)).ToImmutableArray();
        return busy.IsEmpty
            ? (nodes.Where(node => c.Execute("delete from boot_profiles where node = @node", new { node }, t) > 0).ToImmutableArray(), busy)
            : (ImmutableArray<string>.Empty, busy);
    });

    public string? Fact(string workflow, string node, string key) => database.Read(c =>
        c.QuerySingleOrDefault<string>("select value from facts where workflow = @workflow and node = @node and key = @key", new { workflow, node, key }));

    /// <summary>What this fact was in earlier workflows, the newest first, at most five and each once.</summary>
    public ImmutableArray<string> RecentFacts(string node, string key, string exceptWorkflow) => database.Read(c =>
        c.Query<string>(
            """
            select f.value from facts f join workflows w on w.id = f.workflow
            where f.node = @node and f.key = @key and f.value <> '' and f.workflow <> @exceptWorkflow order by w.created_at desc limit 5
            """,
            new { node, key, exceptWorkflow }).Distinct().ToImmutableArray());

    /// <summary>All facts of one kind over all workflows that still run.</summary>
    public ImmutableArray<(string Workflow, string Node, string Value)> FactsOfRunning(string key) => database.Read(c =>
        c.Query<(string, string, string)>(
            "select f.workflow, f.node, f.value from facts f join workflows w on w.id = f.workflow where w.state = 'Running' and f.key = @key", new { key }).ToImmutableArray());

    public void RemoveFacts(string workflow, string key) => database.Write((c, t) =>
        c.Execute("delete from facts where workflow = @workflow and key = @key", new { workflow, key }, t));
}
