using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Server.Workflows;

/// <summary>Two complementary trees, each with half of the chunks.</summary>
sealed class StripedSending(Delivery delivery, BroadcastKey key, ImmutableArray<ImmutableArray<ChainLink>> links) : ISending
{
    public static Task<Opening> OpenAsync(Delivery delivery, CancellationToken cancel) => Task.FromResult(Open(delivery));

    static Opening Open(Delivery delivery)
    {
        if (!BroadcastKey.TryParse(delivery.Key, out var key))
            return Fault.Of(FaultCodes.RequestInvalid, "A broadcast key has 64 hexadecimal digits.");
        return delivery.Parts.Source.RegisterStripes(key, delivery.Path, delivery.Image.Bytes, delivery.Manifest.ChunkBytes) is { } refused
            ? refused
            : new Opening(new StripedSending(delivery, key, TwoTreePlan.Of(delivery.Peers, delivery.Server)), null);
    }

    public (ReceiveImage?, Fault?) For(int index, int place, ReceiveImage plain) =>
        (plain with { Stripes = [.. links[place].Select(l => new StripeSources([.. l.Upstreams.Select(Delivery.Address)], l.Successors))] }, null);

    public ValueTask DisposeAsync()
    {
        delivery.Parts.Source.UnregisterStripes(key);
        return ValueTask.CompletedTask;
    }
}
