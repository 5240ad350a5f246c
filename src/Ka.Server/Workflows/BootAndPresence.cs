using System.Collections.Immutable;
using System.Net;
using System.Runtime.CompilerServices;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Drivers.Probes;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Server.Agents;
using Ka.Server.Boot;
using Ka.Store;

namespace Ka.Server.Workflows;

/// <summary>The boot port of one workflow.</summary>
sealed class BootPort(Workflow workflow, NodeBoots boots) : IBoot
{
    readonly ImmutableArray<ClusterNode> _roster = workflow.Cluster.Nodes;

    public async IAsyncEnumerable<NodeResult> ChooseAsync(
        NodeBits nodes, BootChoice choice, AttemptId attempt, [EnumeratorCancellation] CancellationToken cancel)
    {
        Fault? fault = null;
        try
        {
            string[] names = [.. nodes.Select(i => _roster[i].Name)];
            await Task.Run(() => boots.Choose(workflow.Id, names, choice, choice == BootChoice.Profile ? [.. nodes.Select(i => ProfileOf(_roster[i]))] : null), cancel);
        }
        catch (Exception e) when (e is System.Data.Common.DbException or IOException)
        {
            fault = Fault.Of(FaultCodes.BootWriteFailed, "the boot profile could not be made durable", e.Message);
        }
        foreach (var node in nodes)
            yield return new NodeResult(node, fault);
    }

    /// <exception cref="InvalidOperationException">The planner let a profile pass that has no rendering.</exception>
    NodeProfile ProfileOf(ClusterNode node)
    {
        var profile = workflow.Options.Profile!;
        return profile.TryRender(TemplateValues.Of(node, workflow.Cluster, workflow.Environment), out var parameters, out var errors)
            ? new NodeProfile(node.Name, workflow.Id, profile.Kernel.Sha256, profile.Initrd?.Sha256, parameters.ToString())
            : throw new InvalidOperationException(errors[0]);
    }
}

/// <summary>The presence port of one workflow: agents by their nonce, deployed systems by their host key.</summary>
sealed class PresencePort(string workflow, ImmutableArray<ClusterNode> roster, AgentHub hub, NodeBoots boots, NodeTable table, DeployedAddresses addresses, TimeProvider clock) : IPresence
{
    static readonly TimeSpan LookPeriod = TimeSpan.FromMilliseconds(250);

    public IAsyncEnumerable<NodeResult> AgentsAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, (index, token) => AgentAsync(roster[index].Name, pace, token), index => Late(roster[index].Name), cancel);

    async Task<Fault?> AgentAsync(string node, Pace pace, CancellationToken cancel)
    {
        var arrival = hub.ArrivalAsync(workflow, node, cancel);
        if (pace.FirstSign is { } patience && patience < pace.Deadline)
        {
            await Task.WhenAny(arrival, Task.Delay(patience, clock, cancel));
            if (!arrival.IsCompleted && !cancel.IsCancellationRequested && boots.WishOf(node).Stage == BootStage.Nothing)
                return Fault.Of(FaultCodes.BootNoDhcp, $"no DHCP request came within {patience.TotalSeconds:0} s of the reset");
        }
        await arrival;
        return null;
    }

    public IAsyncEnumerable<NodeResult> LoadedAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(nodes, pace, (index, token) => LoadedAsync(roster[index].Name, token), index => Late(roster[index].Name), cancel);

    async Task<Fault?> LoadedAsync(string node, CancellationToken cancel)
    {
        while (boots.WishOf(node).Stage != BootStage.Kernel)
            await Task.Delay(LookPeriod, clock, cancel);
        return null;
    }

    Fault Late(string node) => boots.WishOf(node) switch
    {
        { Stage: BootStage.Nothing } => Fault.Of(FaultCodes.BootNoDhcp, "no DHCP request came after the reset"),
        { Stage: BootStage.Dhcp, SeenAt: var at } => Fault.Of(FaultCodes.BootNoScript, "the node asked DHCP but did not fetch its boot script", $"last seen at {at:HH:mm:ss}"),
        { Stage: BootStage.Script, SeenAt: var at } => Fault.Of(FaultCodes.BootNoKernel, "the node fetched its boot script but no kernel", $"last seen at {at:HH:mm:ss}"),
        { Stage: BootStage.Kernel, SeenAt: var at } => Fault.Of(FaultCodes.BootNoAgent, "the node loaded the minimal environment, its agent never reported", $"last seen at {at:HH:mm:ss}"),
        var other => Fault.Of(FaultCodes.BootNoAgent, $"the agent never reported ({other.Stage})"),
    };

    public IAsyncEnumerable<NodeResult> DeployedAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel)
    {
        var seen = new Dictionary<int, string>();
        var probe = new HostKeyProbe(clock);
        return FanOut.Over(
            nodes,
            pace,
            async (index, token) =>
            {
                var node = roster[index];
                var hostKey = table.Fact(workflow, node.Name, "hostKey");
                await probe.AwaitAsync(await addresses.OfAsync(node, text => seen[index] = text, token), hostKey, text => seen[index] = text, token);
                return null;
            },
            index => HostKeyProbe.Late(seen.GetValueOrDefault(index)),
            cancel);
    }
}
