using System.Collections.Immutable;
using System.Diagnostics;
using Ka.Agent.Machine;
using Ka.Broadcast;
using Ka.Broadcast.Swarm;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>One way by which verified bytes come into a sink.</summary>
/// <param name="Receive">Runs until the sink has every byte, or a fault ends it.</param>
sealed record Reception(Func<CancellationToken, Task<ChainOutcome>> Receive, Func<ChainProgress> Progress);

/// <summary>Carries out <see cref="ReceiveImage"/>: chain or another way, decompressor, then GNU tar or a block device.</summary>
static class Receiving
{
    static readonly TimeSpan ReportPeriod = TimeSpan.FromMilliseconds(400);

    public static async Task<OrderOutcome> Run(ReceiveImage order, OrderContext context, Report report, CancellationToken cancel)
    {
        var manifest = new ImageManifest(order.Bytes, order.ImageSha256, order.ChunkBytes, order.ChunkHashes);
        if (!BroadcastKey.TryParse(order.Key, out var key) || !manifest.IsSound || order.Upstreams.IsEmpty)
        {
            return Fault.Of(FaultCodes.AgentProtocol, "The order to receive contradicts itself.", $"{order.Bytes} bytes, {order.ChunkHashes.Length} hashes, {order.Upstreams.Length} sources");
        }
        var (place, unready) = await ReceivePlace.Prepare(order, context, cancel);
        if (place is null)
        {
            return unready!;
        }
        await using (place)
        {
            var ticket = new ChainTicket(key, manifest, Peers(order.Upstreams), order.Successors);
            var outcome = !order.Stripes.IsDefaultOrEmpty
                ? await ByStripes(order, ticket, place.Sink, context, report, cancel)
                : order.Swarm is { } swarm
                ? await BySwarm(order, swarm, ticket, place.Sink, context, report, cancel)
                : order.Torrent is { } torrent
                ? await TorrentFetching.Run(order, torrent, manifest, place.Sink, context, report, cancel)
                : order.IsPlaced
                ? await PlacedImage.Unpack(manifest, place.Sink, context, report, cancel)
                : order.Multicast is { } multicast
                ? await MulticastReceiving.Run(multicast, ticket, place.Sink, context, report, () => ByChain(order, place.Sink, ticket, context, report, cancel), cancel)
                : await ByChain(order, place.Sink, ticket, context, report, cancel);
            return outcome.Fault is null && await place.Done(cancel) is { } fault ? fault : outcome;
        }
    }

    static async Task<OrderOutcome> ByChain(ReceiveImage order, IImageSink sink, ChainTicket ticket, OrderContext context, Report report, CancellationToken cancel)
    {
        var node = new ChainNode(ticket, context.Chain, sink.Input, Options(order, context));
        context.Receptions[order.Key] = node;
        try
        {
            return await Serving(node, new Reception(node.Receive, () => node.Progress), node.Linger, sink, context, report, cancel);
        }
        finally
        {
            context.Receptions.TryRemove(order.Key, out _);
        }
    }

    static Task<OrderOutcome> ByStripes(ReceiveImage order, ChainTicket ticket, IImageSink sink, OrderContext context, Report report, CancellationToken cancel)
    {
        if (order.Stripes.Length != Stripe.Pair || order.Stripes.Any(s => s.Upstreams.IsDefaultOrEmpty))
        {
            return Task.FromResult<OrderOutcome>(Fault.Of(FaultCodes.AgentProtocol, "The order to receive names other stripes than there are.", $"{order.Stripes.Length}"));
        }
        var links = order.Stripes.Select(s => new ChainLink(Peers(s.Upstreams), s.Successors));
        var node = new StripedNode(ticket.Key, ticket.Manifest, [.. links], context.Chain, sink.Input, Options(order, context));
        return Serving(node, new Reception(node.Receive, () => node.Progress), node.Linger, sink, context, report, cancel);
    }

    /// <summary>The image lies whole on the node for as long as others take from it.</summary>
    static async Task<OrderOutcome> BySwarm(
        ReceiveImage order, SwarmFetch swarm, ChainTicket ticket, IImageSink sink, OrderContext context, Report report, CancellationToken cancel)
    {
        var (place, noRoom) = WholePlace.Make(order.Bytes, swarm.RoomOnTarget, context.Paths);
        if (place is null)
        {
            return noRoom!;
        }
        var link = new SwarmLink(Peers(swarm.Peers), swarm.IsFirstHand, swarm.Place);
        var store = FileChunkStore.Create(place.File);
        var node = new SwarmNode(new SwarmTicket(ticket.Key, ticket.Manifest, link, Peer(swarm.Server)), context.Chain, store, sink.Input, context.ChainOptions);
        return await Serving(new InOrder(node, store, place), new Reception(node.Receive, () => node.Progress), node.Linger, sink, context, report, cancel);
    }

    static ChainOptions Options(ReceiveImage order, OrderContext context) => context.ChainOptions with { RingBytes = order.RingBytes ?? context.ChainOptions.RingBytes };

    static ImmutableArray<ChainPeer> Peers(ImmutableArray<PeerAddress> addresses) => [.. addresses.Select(Peer)];

    static ChainPeer Peer(PeerAddress address) => new(address.Host, address.Port);

    /// <summary>Receives, and goes on serving others once everything is here.</summary>
    static async Task<OrderOutcome> Serving(
        IDisposable node, Reception reception, Func<Task> linger, IImageSink sink, OrderContext context, Report report, CancellationToken cancel)
    {
        var served = false;
        try
        {
            var outcome = await Into(sink, reception, context, report, cancel);
            if (outcome.Fault is null)
            {
                served = true;
                context.Serving = Task.WhenAll(context.Serving, ServeOn(node, linger));
            }
            return outcome;
        }
        finally
        {
            if (!served)
            {
                node.Dispose();
            }
        }
    }

    /// <summary>Takes the verified bytes of a way into the sink, and judges what came of both.</summary>
    public static async Task<OrderOutcome> Into(IImageSink sink, Reception reception, OrderContext context, Report report, CancellationToken cancel)
    {
        var began = Stopwatch.GetTimestamp();
        var (received, _) = await Take(sink, reception, report, cancel);
        var outcome = await End(received, reception, sink, report, cancel);
        if (outcome.Fault is null)
        {
            context.Unpacked = Stopwatch.GetElapsedTime(began);
        }
        return outcome;
    }

    /// <summary>Receives until the way or the sink has ended.</summary>
    public static async Task<(ChainOutcome Received, bool SinkStopped)> Take(IImageSink sink, Reception reception, Report report, CancellationToken cancel)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        await using (cancel.Register(sink.Kill))
        {
            var receiving = reception.Receive(stop.Token);
            while (await Task.WhenAny(receiving, Task.Delay(ReportPeriod, CancellationToken.None)) != receiving)
            {
                var p = reception.Progress();
                report("receive", p.Verified, p.Total, p.BytesIn, p.BytesOut, p.RingCapacity > 0 ? new RingSeen(p.Written, p.RingBytes, p.RingCapacity, p.Upstream) : null);
                if (sink.HasFailed)
                {
                    await stop.CancelAsync();
                }
            }
            try
            {
                return (await receiving, false);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                return (new ChainOutcome(Fault.Of(FaultCodes.ImageExtractFailed, "The unpacking or writing program ended too early."), SinkFailed: true, reception.Progress()), true);
            }
        }
    }

    /// <summary>Judges a reception and what its sink made of it.</summary>
    public static async Task<OrderOutcome> End(
        ChainOutcome received, Reception reception, IImageSink sink, Report report, CancellationToken cancel)
    {
        if (received is { Fault: { } fault, SinkFailed: false })
        {
            sink.Kill();
            return fault;
        }
        report("extract", received.Progress.Verified, received.Progress.Total, received.Progress.BytesIn, received.Progress.BytesOut);
        if (await sink.Finish(complete: received.Fault is null, cancel) is { } failed)
        {
            return failed;
        }
        if (received.Fault is { } broken)
        {
            return broken;
        }
        if (sink.Persist() is { } notKept)
        {
            return notKept;
        }
        var progress = reception.Progress();
        return OrderOutcome.Found(
            ("bytesIn", progress.BytesIn.ToString()),
            ("bytesOut", progress.BytesOut.ToString()),
            ("verified", progress.Verified.ToString()),
            ("unpacked", sink.Bytes.ToString()),
            ("switches", progress.Switches.ToString()),
            ("badChunks", progress.BadChunks.ToString()),
            ("refetched", progress.Refetched.ToString()),
            ("dropped", string.Join(' ', progress.Dropped)));
    }

    static async Task ServeOn(IDisposable node, Func<Task> linger)
    {
        await linger();
        node.Dispose();
    }

    /// <summary>Disposes of several, the first first.</summary>
    sealed class InOrder(params IDisposable[] parts) : IDisposable
    {
        public void Dispose()
        {
            foreach (var part in parts)
            {
                part.Dispose();
            }
        }
    }
}
