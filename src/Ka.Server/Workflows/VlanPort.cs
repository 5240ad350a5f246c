using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Nodes;
using Ka.Drivers.Programs;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Server.Configuration;

namespace Ka.Server.Workflows;

/// <summary>Switch ports by the site's program, which is run once for all nodes that come together. To run it again does no harm: a port is where it shall be.</summary>
sealed class VlanPort(ImmutableArray<ClusterNode> roster, VlanSettings? settings, TimeProvider clock) : INetwork
{
    public async IAsyncEnumerable<NodeResult> PlaceAsync(NodeBits nodes, string vlan, AttemptId attempt, Pace pace, [EnumeratorCancellation] CancellationToken cancel)
    {
        var fault = await PlacedAsync(NodeSet.FromNames(nodes.Select(i => NodeName.Parse(roster[i].Name))).ToString(), vlan, cancel);
        foreach (var node in nodes)
            yield return new NodeResult(node, fault);
    }

    async Task<Fault?> PlacedAsync(string nodes, string vlan, CancellationToken cancel)
    {
        if (settings is null)
            return Fault.Of(FaultCodes.VlanUnconfigured, "the site's configuration has no 'vlan' any more");
        using var late = new CancellationTokenSource(settings.Patience, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            var ended = await Task.Run(() => ExternalProgram.RunAsync(settings.Command[0], settings.Arguments(vlan, nodes), either.Token), cancel);
            return ended.Ok ? null : Fault.Of(
                FaultCodes.VlanFailed, $"{settings.Command[0]} {(ended.ExitCode is { } status ? $"ended with status {status}" : "could not be started")} for VLAN {vlan}", ended.Evidence);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return Fault.Of(FaultCodes.VlanFailed, $"{settings.Command[0]} did not end within {settings.Patience.TotalSeconds:0} s for VLAN {vlan}");
        }
    }
}

/// <summary>Where the deployed system of a node answers.</summary>
sealed class DeployedAddresses(Workflow workflow, VlanSettings? settings, TimeProvider clock)
{
    static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    /// <summary>The node's own address; in a VLAN with names, what DNS says, asked until it says something.</summary>
    /// <param name="seen">Told what was in the way.</param>
    public async Task<IPAddress> OfAsync(ClusterNode node, Action<string> seen, CancellationToken cancel)
    {
        if (workflow.Options.Vlan?.Name is not { } vlan || settings?.NameOf(node.Name, vlan) is not { } name)
            return IPAddress.Parse(node.Address);
        while (true)
        {
            try
            {
                if ((await Dns.GetHostAddressesAsync(name, AddressFamily.InterNetwork, cancel)).FirstOrDefault() is { } address)
                    return address;
            }
            catch (SocketException)
            {
            }
            seen($"DNS knows no {name}");
            await Task.Delay(Period, clock, cancel);
        }
    }
}
