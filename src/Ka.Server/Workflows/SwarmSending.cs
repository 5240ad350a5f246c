using System.Collections.Immutable;
using Ka.Broadcast.Swarm;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Server.Workflows;

/// <summary>A swarm: each node is told a few peers; the server is one that has every chunk.</summary>
sealed class SwarmSending(Delivery delivery, ImmutableArray<SwarmLink> links) : ISending
{
    public static Task<Opening> OpenAsync(Delivery delivery, CancellationToken cancel) =>
        Task.FromResult(new Opening(new SwarmSending(delivery, SwarmPlan.Of(delivery.Peers)), null));

    public (ReceiveImage?, Fault?) For(int index, int place, ReceiveImage plain)
    {
        var link = links[place];
        return (plain with
        {
            Swarm = new SwarmFetch(
                [.. link.Peers.Select(Delivery.Address)], Delivery.Address(delivery.Server), link.IsFirstHand, link.Place,
                delivery.RoomOnTarget),
        }, null);
    }

    public ValueTask DisposeAsync()
    {
        delivery.Say($"by a swarm of {delivery.Order.Length} node(s): the server gave {delivery.Parts.Source.Report(delivery.Key)?.BytesOut ?? 0} bytes of {delivery.Image.Bytes}");
        return ValueTask.CompletedTask;
    }
}
