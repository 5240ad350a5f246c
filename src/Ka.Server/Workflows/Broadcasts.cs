using Ka.Broadcast;
using Ka.Core.Clusters;
using Ka.Engine.Ports;

namespace Ka.Server.Workflows;

/// <summary>The broadcast port of each way, for one workflow.</summary>
sealed class Broadcasts(BroadcastParts parts)
{
    /// <exception cref="ArgumentException">A way that was refused when the workflow was accepted.</exception>
    public IBroadcast Of(BroadcastWay way) => way switch
    {
        BroadcastWay.Chain => new ImageBroadcast(parts, ChainPlan.Of, Watched),
        BroadcastWay.Tree => new ImageBroadcast(parts, (nodes, server) => TreePlan.Of(nodes, server), Watched),
        BroadcastWay.TwoTrees => new ImageBroadcast(parts, ChainPlan.Of, StripedSending.OpenAsync),
        BroadcastWay.Torrent => new ImageBroadcast(parts, ChainPlan.Of, TorrentSending.OpenAsync),
        BroadcastWay.Multicast => new ImageBroadcast(parts, ChainPlan.Of, MulticastSending.OpenAsync),
        BroadcastWay.Custom => new ImageBroadcast(parts, ChainPlan.Of, CustomSending.OpenAsync),
        BroadcastWay.Swarm => new ImageBroadcast(parts, ChainPlan.Of, SwarmSending.OpenAsync),
        BroadcastWay.Auto => throw new ArgumentException($"'{way.Word()}' passed the check but cannot be sent by", nameof(way)),
    };

    static Task<Opening> Watched(Delivery delivery, CancellationToken cancel) => Task.FromResult(new Opening(new WatchedSending(delivery), null));
}

/// <summary>A delivery that is under way on the server's side; it ends with the last node's result.</summary>
interface ISending : IAsyncDisposable
{
    /// <summary>What one node is told, over what the chain would tell it; or why it gets nothing.</summary>
    /// <param name="place">In the order of the delivery.</param>
    (Protocol.Agents.ReceiveImage? Order, Core.Faults.Fault? Fault) For(int index, int place, Protocol.Agents.ReceiveImage plain);

    /// <summary>Gives a node its order and follows it to its end.</summary>
    /// <param name="give">Takes what the node's progress is shown to.</param>
    Task<Core.Faults.Fault?> FollowAsync(int place, Func<Action<Protocol.Agents.AgentProgress>?, CancellationToken, Task<Core.Faults.Fault?>> give, CancellationToken cancel) => give(null, cancel);
}

/// <summary>A delivery that has begun, or why it has not.</summary>
sealed record Opening(ISending? Sending, Core.Faults.Fault? Fault)
{
    public static implicit operator Opening(Core.Faults.Fault fault) => new(null, fault);
}
