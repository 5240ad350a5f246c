using System.Diagnostics;
using Ka.Agent.Machine;
using Ka.Broadcast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="ReceiveImage"/>: chain, decompressor, then GNU tar or a block device.</summary>
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
            var outcome = await Into(place.Sink, new ChainTicket(key, manifest, [.. order.Upstreams.Select(u => new ChainPeer(u.Host, u.Port))], order.Successors), context, report, cancel);
            return outcome.Fault is null && await place.Done(cancel) is { } fault ? fault : outcome;
        }
    }

    static async Task<OrderOutcome> Into(IImageSink sink, ChainTicket ticket, OrderContext context, Report report, CancellationToken cancel)
    {
        var node = new ChainNode(ticket, context.Chain, sink.Input, context.ChainOptions);
        var began = Stopwatch.GetTimestamp();
        var served = false;
        try
        {
            var outcome = await Receive(node, sink, report, cancel);
            if (outcome.Fault is null)
            {
                served = true;
                context.Unpacked = Stopwatch.GetElapsedTime(began);
                context.Serving = Task.WhenAll(context.Serving, ServeOn(node));
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

    static async Task<OrderOutcome> Receive(ChainNode node, IImageSink sink, Report report, CancellationToken cancel)
    {
        ChainOutcome received;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        await using (cancel.Register(sink.Kill))
        {
            var receiving = node.Receive(stop.Token);
            while (await Task.WhenAny(receiving, Task.Delay(ReportPeriod, CancellationToken.None)) != receiving)
            {
                var p = node.Progress;
                report("receive", p.Verified, p.Total, p.BytesIn, p.BytesOut);
                if (sink.HasFailed)
                {
                    await stop.CancelAsync();
                }
            }
            try
            {
                received = await receiving;
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                received = new ChainOutcome(Fault.Of(FaultCodes.ImageExtractFailed, "The unpacking or writing program ended too early."), SinkFailed: true, node.Progress);
            }
        }
        return await End(received, node, sink, report, cancel);
    }

    static async Task<OrderOutcome> End(
        ChainOutcome received, ChainNode node, IImageSink sink, Report report, CancellationToken cancel)
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
        var progress = node.Progress;
        return OrderOutcome.Found(
            ("bytesIn", progress.BytesIn.ToString()),
            ("bytesOut", progress.BytesOut.ToString()),
            ("verified", progress.Verified.ToString()),
            ("unpacked", sink.Bytes.ToString()),
            ("switches", progress.Switches.ToString()));
    }

    static async Task ServeOn(ChainNode node)
    {
        await node.Linger();
        node.Dispose();
    }
}
