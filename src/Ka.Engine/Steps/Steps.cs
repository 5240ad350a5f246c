using System.Runtime.CompilerServices;
using Ka.Core.Clusters;
using Ka.Core.Nodes;
using Ka.Engine.Automata;
using Ka.Engine.Ports;

namespace Ka.Engine.Steps;

/// <summary>Writes what the nodes boot next.</summary>
public sealed record ChooseBoot(BootChoice Choice, TimeSpan Turn)
    : MicroStep(Choice switch { BootChoice.Minimal => "boot_minimal", BootChoice.LocalDisk => "boot_local_disk", BootChoice.Profile => "boot_profile" }, Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Boot.ChooseAsync(run.Nodes, Choice, run.Attempt, cancel);
}

/// <summary>Resets the nodes out of band. Each further try starts one level higher: what was accepted without effect is not repeated.</summary>
public sealed record PowerReboot(Level Start, TimeSpan Turn) : MicroStep("reboot", Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Power.ApplyAsync(run.Nodes, PowerAction.Reboot, LevelOf(run.Try), run.Attempt, new Pace(run.Windows.Reboot, TurnTimeout, world.Clock), cancel);

    public Level LevelOf(int attempt) => (Level)Math.Min((int)Level.VeryHard, (int)Start + attempt);
}

/// <summary>Changes the power of the nodes and observes the change. Each further try starts one level higher.</summary>
public sealed record PowerStep(PowerAction Action, Level Start, TimeSpan Turn)
    : MicroStep(Action switch { PowerAction.On => "power_on", PowerAction.Off => "power_off", PowerAction.Reboot => "reboot", PowerAction.Cycle => "power_cycle" }, Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Power.ApplyAsync(
            run.Nodes, Action, (Level)Math.Min((int)Level.VeryHard, (int)Start + run.Try), run.Attempt, new Pace(run.Windows.Reboot, TurnTimeout, world.Clock), cancel);
}

/// <summary>Puts the switch ports of the nodes into a VLAN.</summary>
public sealed record SetVlan(string Vlan, TimeSpan Turn) : MicroStep("set_vlan", Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Network.PlaceAsync(run.Nodes, Vlan, run.Attempt, new Pace(run.Windows.Agents, TurnTimeout, world.Clock), cancel);
}

/// <summary>Waits until each node has fetched the kernel of its boot profile.</summary>
public sealed record AwaitLoaded(TimeSpan Turn) : MicroStep("await_loaded", Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Presence.LoadedAsync(run.Nodes, run.Attempt, new Pace(run.Windows.Waiting, TurnTimeout, world.Clock), cancel);
}

/// <summary>Waits for each node's agent of the boot that was just caused.</summary>
public sealed record AwaitAgent(TimeSpan Turn, TimeSpan? FirstSign) : MicroStep("await_agent", Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Presence.AgentsAsync(run.Nodes, run.Attempt, new Pace(run.Windows.Waiting, TurnTimeout, world.Clock, FirstSign), cancel);
}

/// <summary>Gives the agents one order and waits for their answers.</summary>
/// <param name="OnlyAgain">Only on a second or later try: a first one has a fresh file system already.</param>
public sealed record AgentStep(AgentTask Task, string Word, TimeSpan Turn, bool OnlyAgain = false) : MicroStep(Word, Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        OnlyAgain && run.Try == 0
            ? AllDone(run.Nodes, cancel)
            : world.Agents.DoAsync(run.Nodes, Task, run.Attempt, new Pace(run.Windows.Agents, TurnTimeout, world.Clock), cancel);

    static async IAsyncEnumerable<NodeResult> AllDone(NodeBits nodes, [EnumeratorCancellation] CancellationToken cancel)
    {
        await ValueTask.CompletedTask;
        cancel.ThrowIfCancellationRequested();
        foreach (var node in nodes)
            yield return NodeResult.Done(node);
    }
}

/// <summary>Does something in the systems that run on the nodes, without their firmware.</summary>
public sealed record SystemStep(SystemTask Task, string Word, TimeSpan Turn) : MicroStep(Word, Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Systems.DoAsync(run.Nodes, Task, run.Attempt, new Pace(run.Windows.Systems, TurnTimeout, world.Clock), cancel);
}

/// <summary>An operation of the site or of the user, tried again where it failed.</summary>
public sealed record OperationStep(CustomOperation Operation) : MicroStep("custom." + Operation.Name, Operation.Timeout)
{
    public override async IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, [EnumeratorCancellation] CancellationToken cancel)
    {
        var left = run.Nodes;
        for (var again = 0; !left.IsEmpty; again++)
        {
            var failed = NodeBits.Empty;
            var pace = new Pace(run.Windows.Agents, TurnTimeout, world.Clock);
            await foreach (var result in world.Agents.OperateAsync(left, Operation, again, run.Attempt, pace, cancel))
            {
                if (result.Ok || again == Operation.Retries)
                    yield return result;
                else
                    failed |= NodeBits.Of(result.Node);
            }
            left = failed;
        }
    }
}

/// <summary>Sends an image to the whole set at once; each node unpacks or writes it as it comes.</summary>
/// <param name="Part">Which image of the environment; 0 is the first.</param>
public sealed record SendImage(TimeSpan Turn, int Part = 0) : MicroStep(Part == 0 ? "send_image" : $"send_image_{Part}", Turn, Gathers: true)
{
    public BroadcastWay Way { get; init; } = BroadcastWay.Chain;

    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Broadcast(Way).SendAsync(run.Nodes, Part, run.Attempt, new Pace(run.Windows.Agents, TurnTimeout, world.Clock), cancel);
}

/// <summary>Waits for each node's deployed system: its ssh port, with the host key of this deployment.</summary>
public sealed record AwaitDeployed(TimeSpan Turn) : MicroStep("await_deployed", Turn)
{
    public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) =>
        world.Presence.DeployedAsync(run.Nodes, run.Attempt, new Pace(run.Windows.Waiting, TurnTimeout, world.Clock), cancel);
}
