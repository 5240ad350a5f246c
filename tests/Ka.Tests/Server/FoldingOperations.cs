using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Workflows;
using Ka.Server.Workflows;
using Ka.Simulation;

namespace Ka.Tests.Server;

public class FoldingOperations
{
    [Fact]
    public void A_node_that_failed_before_a_cancellation_keeps_its_cause()
    {
        var fold = Fold(
            new EngineEvent.Started(NodeBits.Range(3)),
            Failed(1, 0, FaultCodes.BootWriteFailed), Failed(2, 0, FaultCodes.BootWriteFailed), Failed(3, 0, FaultCodes.BootWriteFailed),
            Failed(1, 1, FaultCodes.BootWriteFailed),
            new EngineEvent.Cancelled("alice"));
        Assert.Equal(
            ["gris-1 boot.profile_failed after 3", "gris-[2-3] operation.cancelled after 0"],
            fold.Failures().Select(f => $"{f.Nodes} {f.Code} after {f.Tries}"));
        Assert.Equal(["boot.profile_failed", "operation.cancelled", "operation.cancelled"], fold.Nodes(_ => null).Select(n => n.Fault));
        Assert.Equal(WorkflowState.Cancelled, fold.State);
    }

    [Fact]
    public void A_whole_simulated_run_folds_into_what_the_engine_says()
    {
        var end = Engine.Simulated.Cluster("gris-[1-4]").With("gris-3 has a bad disk", "gris-2 hangs in kexec").Deploy();
        var fold = new OperationFold(Workflow(4));
        var last = end.Outcome.Journal.Select(fold.Apply).ToArray()[^1]; // Last() alone would apply one entry
        Assert.Equal(("ended", "partial", WorkflowState.Partial), (last.Kind, last.State, fold.State));
        var failure = Assert.Single(fold.Failures());
        Assert.Equal(("gris-3", "SetDeploymentEnv", "partition", 3, "disk.io_error"), (failure.Nodes, failure.Macro, failure.Step, failure.Tries, failure.Code));
        Assert.Equal(["ok", "ok", "failed", "ok"], fold.Nodes(_ => null).Select(n => n.State));
    }

    [Fact]
    public void Every_node_that_waits_for_the_others_is_said_to_wait()
    {
        var end = Engine.Simulated.Cluster("gris-[1-4]").Deploy();
        var fold = new OperationFold(Workflow(4));
        var waits = end.Outcome.Journal.SelectMany(e => fold.Apply(e).Follows).Where(f => f.What == "wait").ToArray();
        // They come one after the other; the last one waits for nobody.
        Assert.Equal(3, waits.Select(w => w.Nodes).Distinct().Count());
        Assert.All(waits, w => Assert.Equal(("BroadcastEnv", "send_image"), (w.Macro, w.Step)));
    }

    static EngineEvent.Results Failed(int group, int node, FaultCode code) =>
        new(group, NodeBits.Empty, [new NodeFault(NodeBits.Of(node), Fault.Of(code, "as said"))]);

    static OperationFold Fold(params EngineEvent[] events)
    {
        var fold = new OperationFold(Workflow(3));
        foreach (var (happened, i) in events.Select((e, i) => (e, i)))
            fold.Apply(new JournalEntry(i + 1, DateTimeOffset.UnixEpoch, happened));
        return fold;
    }

    static Workflow Workflow(int nodes) => new(
        "D-AAAAAA", WorkflowKind.Deploy, "root", SimulatedDeployment.SampleEnvironment,
        SimulatedDeployment.SampleCluster([.. Enumerable.Range(1, nodes).Select(i => $"gris-{i}")]), ["ssh-ed25519 AAAA me"], DateTimeOffset.UnixEpoch, VerifyMode.Sample);
}
