using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Nodes;
using Ka.Engine.Automata;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Statistics;
using Ka.Server.Workflows;
using Ka.Simulation;
using Ka.Store;

namespace Ka.Tests.Server;

/// <summary>Statistics: the fold of the journal, and what is made of it.</summary>
public sealed class FoldingRuns
{
    static readonly DateTimeOffset Noon = DateTimeOffset.UnixEpoch.AddHours(12);

    static NodeRun Run(string node, string? code = null, double seconds = 100, string workflow = "D-1", string kind = "deploy", string? step = null) => new(
        workflow, node, kind, "gris", "alice", "debian12:1", Noon, Noon.AddSeconds(seconds), code, step is null ? null : "SetDeploymentEnv", step, code is null ? 0 : 1, [(long)(seconds * 400), null, null]);

    static (Workflow Workflow, SimulatedOutcome Outcome) Deploy(params string[] faults)
    {
        var roster = new Roster([.. NodeSet.Parse("gris-[1-4]").Select(n => n.Value)]);
        Assert.True(FaultPlan.TryParse(faults, roster, out var plan, out var error), error);
        var cluster = SimulatedDeployment.SampleCluster(roster.Names);
        // As the simulation plans it: with keys, and the disk read back.
        var workflow = new Workflow("D-1", WorkflowKind.Deploy, "alice", SimulatedDeployment.SampleEnvironment, cluster, ["ssh-ed25519 AAAA me"], Noon, Ka.Core.Environments.VerifyMode.Sample);
        return (workflow, SimulatedDeployment.Run(roster, 1, SimulatedHardware.Sound, plan, cluster));
    }

    [Fact]
    public void The_runs_of_a_journal_say_of_every_node_once_what_the_operation_says()
    {
        var (workflow, outcome) = Deploy("gris-2 has a bad disk", "gris-3 ignores soft reboot");
        var runs = RunFold.Of(workflow, outcome.Journal).OrderBy(r => r.Node, StringComparer.Ordinal).ToArray();
        Assert.Equal(["gris-1", "gris-2", "gris-3", "gris-4"], runs.Select(r => r.Node));
        Assert.Equal([null, "disk.io_error", null, null], runs.Select(r => r.Code));
        Assert.Equal(("SetDeploymentEnv", "partition", 3), (runs[1].Macro, runs[1].Step, runs[1].Failures));
        Assert.True(runs[2].Failures > 0, "a mended failure counts as one");
        Assert.Equal((0, (string?)null), (runs[0].Failures, runs[0].Step));
        Assert.Equal(runs, RunFold.Of(workflow, outcome.Journal).OrderBy(r => r.Node, StringComparer.Ordinal), new ByText());
    }

    [Fact]
    public void The_macro_steps_of_a_run_that_went_well_add_up_to_its_time()
    {
        var (workflow, outcome) = Deploy();
        var begun = outcome.Journal[0].At;
        foreach (var run in RunFold.Of(workflow, outcome.Journal))
        {
            Assert.All(run.Macros, m => Assert.True(m > 0));
            Assert.Equal((run.EndedAt - begun).TotalMilliseconds, run.Macros.Sum(m => m!.Value), 5.0);
        }
    }

    sealed class ByText : IEqualityComparer<NodeRun>
    {
        public bool Equals(NodeRun? x, NodeRun? y) => x?.ToString() == y?.ToString() && x!.Macros.SequenceEqual(y!.Macros);

        public int GetHashCode(NodeRun run) => run.Node.GetHashCode(StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(1, 1, 0.207)]
    [InlineData(40, 60, 0.541)]
    [InlineData(0, 100, 0)]
    [InlineData(10, 10, 0.722)]
    public void The_lower_bound_is_that_of_Wilson(int hits, int all, double expected) => Assert.Equal(expected, Reports.WilsonLower(hits, all), 0.001);

    [Fact]
    public void Forty_failures_of_sixty_outrank_three_of_three_and_few_runs_say_nothing()
    {
        var runs = Enumerable.Range(0, 60).Select(i => Run("often", i < 40 ? FaultCodes.DiskIoError.Text : null))
            .Concat(Enumerable.Range(0, 3).Select(_ => Run("seldom", FaultCodes.BootNoDhcp.Text))).Append(Run("once", FaultCodes.BootNoDhcp.Text))
            .Concat(Enumerable.Range(0, 9).Select(_ => Run("stopped", FaultCodes.OperationCancelled.Text))).Append(Run("well"));
        var failing = Reports.Failing(runs, minimum: 3);
        Assert.Equal(["often", "seldom"], failing.Select(r => r.Node));
        Assert.Equal((60, 40, 0.667, "disk.io_error", true), (failing[0].Runs, failing[0].Failed, failing[0].Share, failing[0].Cause, failing[0].Drain));
        Assert.False(failing[1].Drain);
    }

    [Fact]
    public void What_somebody_ended_is_neither_success_nor_failure()
    {
        var row = Assert.Single(Reports.Summary([Run("a"), Run("b", "disk.io_error"), Run("c", "operation.cancelled"), Run("d", "rights.ended"), Run("e", "server.stopped", workflow: "D-2")]));
        Assert.Equal((2, 5, 1, 1, 3, 0.5), (row.Operations, row.Runs, row.Ok, row.Failed, row.Cancelled, row.OkShare));
    }

    [Fact]
    public void A_slow_node_is_slow_beside_its_own_cluster()
    {
        var runs = Enumerable.Range(0, 10).SelectMany(i => new[] { Run("quick", seconds: 100), Run("usual", seconds: 110), Run("slow", seconds: 330), Run("slow", "disk.io_error", 9999) });
        var slow = Reports.Slow(runs, 3);
        Assert.Equal(("slow", 330, 110, 3), (slow[0].Node, slow[0].Median, slow[0].Usual, slow[0].Ratio));
    }

    [Fact]
    public void Half_and_ninety_five_percent_are_by_nearest_rank()
    {
        var rows = Reports.Durations(Enumerable.Range(1, 20).Select(i => Run("n", seconds: i)), _ => ["SetDeploymentEnv", "BroadcastEnv", "BootNewEnv"]);
        Assert.Equal([("SetDeploymentEnv", 20, 4.0, 7.6), ("whole", 20, 10.0, 19.0)], rows.Select(r => (r.Step, r.Runs, r.P50, r.P95)));
    }

    [Fact]
    public void Causes_stand_with_the_step_where_they_strike()
    {
        var rows = Reports.Causes([Run("a", "disk.io_error", step: "partition"), Run("b", "disk.io_error", step: "partition"), Run("a", "disk.io_error", step: "format"), Run("a", "operation.cancelled"), Run("a")]);
        Assert.Equal([("disk.io_error", "partition", 2, 2), ("disk.io_error", "format", 1, 1)], rows.Select(r => (r.Code, r.Step, r.Count, r.Nodes)));
    }

    [Fact]
    public void Runs_are_stored_once_read_by_filter_and_counted()
    {
        using var directory = new TemporaryDirectory();
        using var database = new Database(directory["ka.db"]);
        var workflows = new WorkflowTable(database);
        var (workflow, outcome) = Deploy("gris-2 has a bad disk");
        var (fence, _) = workflows.Accept(workflow);
        workflows.End("D-1", WorkflowState.Partial, fence, Noon);
        var table = new RunTable(database);
        Assert.Equal(["D-1"], table.Missing());
        var runs = RunFold.Of(workflow, outcome.Journal);
        table.Add(runs);
        table.Add(runs);
        Assert.Empty(table.Missing());
        Assert.Equal(4, table.Read(new RunFilter()).Length);
        Assert.Equal(runs.Single(r => r.Node == "gris-2"), Assert.Single(table.OfNode("gris-2", 10)), new ByText());
        Assert.Equal(4, table.Read(new RunFilter("deploy", "debian12", "D-1", Noon, Noon.AddSeconds(1))).Length);
        foreach (var none in (RunFilter[])[new("power"), new(Environment: "debian1"), new(Workflow: "D-2"), new(Since: Noon.AddSeconds(1)), new(Until: Noon)])
            Assert.Empty(table.Read(none));
        Assert.Equal([(null, 3L), ("disk.io_error", 1L)], table.Counts().Select(c => (c.Code, c.Count)));
        var buckets = Assert.Single(table.Buckets(1, [1, 100_000]));
        Assert.Equal((0L, 3L, 3L), (buckets.Within[0], buckets.Within[1], buckets.All));
    }
}
