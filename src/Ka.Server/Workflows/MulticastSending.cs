using Ka.Broadcast;
using Ka.Broadcast.Multicast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Server.Workflows;

/// <summary>A multicast of one delivery: it begins when the nodes are there, and ends with the last node's result.</summary>
sealed class MulticastSending(Delivery delivery, MulticastSender sender, MulticastFetch fetch) : ISending
{
    public static Task<Opening> OpenAsync(Delivery delivery, CancellationToken cancel) => Task.FromResult(Open(delivery));

    static Opening Open(Delivery delivery)
    {
        if (delivery.Parts.Workflow.Cluster.Broadcast.Multicast is not { } settings || !BroadcastKey.TryParse(delivery.Key, out var key))
            return Fault.Of(FaultCodes.BroadcastUnavailable, "the cluster names no group for multicast");
        var (sender, fault) = MulticastSender.Open(key, delivery.Path, delivery.Manifest, settings, delivery.Parts.Address, delivery.Order.Length, MulticastOptions.Default);
        return sender is null
            ? fault!
            : new Opening(new MulticastSending(delivery, sender, new MulticastFetch(settings.Group, settings.Port, new PeerAddress(delivery.Parts.Address.ToString(), sender.Port))), null);
    }

    public (ReceiveImage?, Fault?) For(int index, int place, ReceiveImage plain) => (plain with { Multicast = fetch }, null);

    public ValueTask DisposeAsync()
    {
        var report = sender.Report;
        sender.Dispose();
        delivery.Say($"by multicast to {fetch.Group}:{fetch.Port}: {report.Receivers} of {delivery.Order.Length} node(s) heard of, {report.BytesOut} bytes sent of {delivery.Image.Bytes}, {report.Again} pieces again");
        return ValueTask.CompletedTask;
    }
}
