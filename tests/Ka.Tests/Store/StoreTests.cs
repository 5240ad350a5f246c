using System.Collections.Immutable;
using Dapper;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Workflows;
using Ka.Simulation;
using Ka.Store;

namespace Ka.Tests.Store;

public sealed class StoreTests : IDisposable
{
    static readonly DateTimeOffset Noon = DateTimeOffset.UnixEpoch.AddHours(12);

    readonly TemporaryDirectory _directory = new();
    readonly Database _database;
    readonly WorkflowTable _workflows;

    public StoreTests()
    {
        _database = new Database(_directory["ka.db"]);
        _workflows = new WorkflowTable(_database);
    }

    public void Dispose()
    {
        _database.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public async Task The_journal_gives_back_every_kind_of_event_as_it_was_written()
    {
        EngineEvent[] events =
        [
            new EngineEvent.Started(NodeBits.From([0, 1, 2, 70])),
            new EngineEvent.Results(3, NodeBits.Of(2), [new NodeFault(NodeBits.From([0, 70]), Fault.Of(FaultCodes.DiskIoError, "it's \"broken\"", "line\nline"))]),
            new EngineEvent.Results(4, NodeBits.Empty, [new NodeFault(NodeBits.Of(1), Fault.Of(FaultCodes.AgentLost, "gone"))]),
            new EngineEvent.GatherElapsed(new Position(1, 2, 3, 4)),
            new EngineEvent.Cancelled("alice"),
        ];
        Assert.Equal(
            typeof(EngineEvent).GetNestedTypes().Where(t => t.IsSubclassOf(typeof(EngineEvent))).Select(t => t.Name).Order(),
            events.Select(e => e.GetType().Name).Distinct().Order());
        _workflows.Accept(Workflow("D-AAAAAA", "gris-1"));
        var journal = new Journal(_database);
        await journal.AppendAsync("D-AAAAAA", [.. events.Select((e, i) => new JournalEntry(i + 1, Noon, e))], TestContext.Current.CancellationToken);
        var read = journal.Read("D-AAAAAA");
        Assert.Equal(events.Select(Text), read.Select(e => Text(e.Event)));
        Assert.Equal(events.Length, read.Length);
        Assert.All(read, e => Assert.Equal(Noon, e.At));
        Assert.Equal([3L, 4L], journal.Read("D-AAAAAA", after: 2, limit: 2).Select(e => e.Seq));
    }

    [Fact]
    public async Task The_same_entry_is_never_written_twice()
    {
        _workflows.Accept(Workflow("D-AAAAAA", "gris-1"));
        var journal = new Journal(_database);
        ImmutableArray<JournalEntry> entries = [new JournalEntry(1, Noon, new EngineEvent.Cancelled("alice"))];
        await journal.AppendAsync("D-AAAAAA", entries, TestContext.Current.CancellationToken);
        await Assert.ThrowsAnyAsync<Exception>(() => journal.AppendAsync(
            "D-AAAAAA", [new JournalEntry(2, Noon, new EngineEvent.Cancelled("bob")), .. entries], TestContext.Current.CancellationToken));
        Assert.Single(journal.Read("D-AAAAAA"));
    }

    [Fact]
    public void Nodes_that_are_held_are_refused_by_name_and_nothing_changes()
    {
        _workflows.Accept(Workflow("D-AAAAAA", "gris-1", "gris-2"));
        var (fence, busy) = _workflows.Accept(Workflow("D-BBBBBB", "gris-2", "gris-3"));
        Assert.Equal([new BusyNode("gris-2", "D-AAAAAA")], busy);
        Assert.Equal(0, fence);
        Assert.Null(_workflows.Find("D-BBBBBB"));
        Assert.Equal(["gris-1", "gris-2"], _workflows.Leases().Keys.Order());
    }

    [Fact]
    public void Fences_only_grow()
    {
        var first = _workflows.Accept(Workflow("D-AAAAAA", "gris-1")).Fence;
        var second = _workflows.Accept(Workflow("D-BBBBBB", "gris-2")).Fence;
        var taken = _workflows.TakeOver("D-AAAAAA");
        Assert.True(0 < first && first < second && second < taken);
        Assert.Equal(taken, _workflows.Find("D-AAAAAA")!.Fence);
    }

    [Fact]
    public void Only_the_newest_owner_can_end_a_workflow_and_only_once()
    {
        var old = _workflows.Accept(Workflow("D-AAAAAA", "gris-1")).Fence;
        var now = _workflows.TakeOver("D-AAAAAA");
        Assert.False(_workflows.End("D-AAAAAA", WorkflowState.Done, old, Noon));
        Assert.Equal("D-AAAAAA", _workflows.Leases()["gris-1"]);
        Assert.True(_workflows.End("D-AAAAAA", WorkflowState.Partial, now, Noon));
        Assert.False(_workflows.End("D-AAAAAA", WorkflowState.Done, now, Noon));
        Assert.Empty(_workflows.Leases());
        Assert.Equal((WorkflowState.Partial, Noon), (_workflows.Find("D-AAAAAA")!.State, _workflows.Find("D-AAAAAA")!.EndedAt));
        Assert.Empty(_workflows.Running());
    }

    [Fact]
    public void A_workflow_comes_back_with_all_that_was_accepted()
    {
        var workflow = Workflow("D-AAAAAA", "gris-1", "gris-2");
        _workflows.Accept(workflow);
        var found = _workflows.Find("D-AAAAAA")!.Workflow;
        Assert.Equal(workflow.NodeNames, found.NodeNames);
        Assert.Equal(workflow.Environment.Image, found.Environment.Image);
        Assert.Equal(workflow.Cluster.Boot, found.Cluster.Boot);
        Assert.Equal(workflow.Cluster.Nodes[0].Layout.Partitions, found.Cluster.Nodes[0].Layout.Partitions);
        Assert.Equal(workflow.AuthorizedKeys, found.AuthorizedKeys);
    }

    [Fact]
    public void An_environment_is_registered_once_and_found_by_its_highest_version()
    {
        var catalogue = new EnvironmentCatalogue(_database);
        var first = SimulatedDeployment.SampleEnvironment;
        Assert.True(catalogue.Add(first));
        Assert.True(catalogue.Add(first with { Version = 10 }));
        Assert.False(catalogue.Add(first with { Description = "another" }));
        Assert.Equal("", catalogue.Find(first.Name, 1)!.Description);
        Assert.Equal(10, catalogue.Find(first.Name, null)!.Version);
        Assert.Null(catalogue.Find(first.Name, 2));
        Assert.True(catalogue.Remove(first.Name, 10));
        Assert.Equal([1], catalogue.All().Select(e => e.Version));
    }

    [Fact]
    public void Facts_and_states_are_replaced_and_logs_are_cut_at_their_limit()
    {
        var nodes = new NodeTable(_database);
        nodes.SetFacts("D-A", [("gris-1", "nonce", "one"), ("gris-2", "nonce", "two")]);
        nodes.SetFacts("D-A", [("gris-1", "nonce", "three")]);
        Assert.Equal(("three", "two", null), (nodes.Fact("D-A", "gris-1", "nonce"), nodes.Fact("D-A", "gris-2", "nonce"), nodes.Fact("D-B", "gris-1", "nonce")));
        var failed = new NodeState("gris-1", "failed", "debian12:1", "D-A", Fault.Of(FaultCodes.DiskFull, "full", "df"), Noon);
        nodes.SetStates([failed with { State = "deploying", Fault = null }]);
        nodes.SetStates([failed]);
        Assert.Equal(failed, nodes.States()["gris-1"]);
        var logs = new LogTable(_database);
        logs.Add("D-A", new NodeLog(Noon, "gris-1", "format", new string('x', LogTable.TextLimit) + "end"));
        var text = Assert.Single(logs.Read("D-A", "gris-1", 10)).Text;
        Assert.Equal(LogTable.TextLimit, text.Length);
        Assert.EndsWith("end", text);
        Assert.Empty(logs.Read("D-A", "gris-2", 10));
    }

    [Fact]
    public void What_was_written_is_there_after_a_restart_and_a_newer_schema_is_refused()
    {
        _workflows.Accept(Workflow("D-AAAAAA", "gris-1"));
        _database.Dispose();
        using (var again = new Database(_directory["ka.db"]))
        {
            Assert.Equal(["gris-1"], new WorkflowTable(again).Leases().Keys);
            again.Write((c, t) => c.Execute("pragma user_version=999", transaction: t));
        }
        var refused = Assert.Throws<InvalidOperationException>(() => new Database(_directory["ka.db"]));
        Assert.Contains("newer version", refused.Message);
    }

    static string Text(EngineEvent happened) => System.Text.Json.JsonSerializer.Serialize(happened, EngineJson.Default.EngineEvent);

    static Workflow Workflow(string id, params string[] nodes) => new(
        id, WorkflowKind.Deploy, "root", SimulatedDeployment.SampleEnvironment, SimulatedDeployment.SampleCluster([.. nodes]), ["ssh-ed25519 AAAA me"], Noon);
}
