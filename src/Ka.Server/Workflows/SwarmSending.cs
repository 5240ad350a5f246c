using System.Collections.Immutable;
using Ka.Broadcast.Swarm;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Server.Workflows;

/// <summary>A swarm: each node is told a few peers; the server is one that has every chunk.</summary>
sealed class SwarmSending(Delivery delivery, ImmutableArray<SwarmLink> links) : ISending
{
    public static Task<Opening> OpenAsync(Delivery delivery, CancellationToken cancel) =>
        Task.FromResult(new Opening(new SwarmSending(delivery, SwarmPlan.Of(delivery.Peers)), null));

    public (ReceiveImage?, Fault?) For(int index, ReceiveImage plain)
    {
        var link = links[delivery.Order.IndexOf(index)];
        var (image, mounted) = (delivery.Image, delivery.Image.Raw is null && delivery.Partition is null);
        return (plain with
        {
            Swarm = new SwarmFetch(
                [.. link.Peers.Select(p => new PeerAddress(p.Host, p.Port))], new PeerAddress(delivery.Server.Host, delivery.Server.Port), link.IsFirstHand, link.Place,
                mounted ? WholeImage.OnTarget(image.Bytes, image.UnpackedBytes) : 0),
        }, null);
    }

    public ValueTask DisposeAsync()
    {
        delivery.Say($"by a swarm of {delivery.Order.Length} node(s): the server gave {delivery.Parts.Source.Report(delivery.Key)?.BytesOut ?? 0} bytes of {delivery.Image.Bytes}");
        return ValueTask.CompletedTask;
    }
}
