using System.Diagnostics;
using Ka.Agent.Machine;
using Ka.Broadcast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="ReceiveImage"/>: chain, decompressor, GNU tar, target.</summary>
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
        if (NotEmpty(context) is { } leftover)
        {
            return Fault.Of(FaultCodes.ImageExtractFailed, "The target holds a former try; it must be formatted first.", leftover);
        }
        Unpacking unpacking;
        try
        {
            unpacking = Unpacking.Start(order.Compression, context.Paths, context.Paths.Target);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return Fault.Of(FaultCodes.ImageExtractFailed, "A program that unpacks could not be started.", e.Message);
        }
        var began = Stopwatch.GetTimestamp();
        using (unpacking)
        {
            var ticket = new ChainTicket(key, manifest, [.. order.Upstreams.Select(u => new ChainPeer(u.Host, u.Port))], order.Successors);
            var node = new ChainNode(ticket, context.Chain, unpacking.Input, context.ChainOptions);
            var served = false;
            try
            {
                var outcome = await Receive(node, unpacking, context.Paths, report, cancel);
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
    }

    static async Task<OrderOutcome> Receive(ChainNode node, Unpacking unpacking, AgentPaths paths, Report report, CancellationToken cancel)
    {
        ChainOutcome received;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        await using (cancel.Register(unpacking.Kill))
        {
            var receiving = node.Receive(stop.Token);
            while (await Task.WhenAny(receiving, Task.Delay(ReportPeriod, CancellationToken.None)) != receiving)
            {
                var p = node.Progress;
                report("receive", p.Verified, p.Total, p.BytesIn, p.BytesOut);
                if (unpacking.HasFailed)
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
                received = new ChainOutcome(Fault.Of(FaultCodes.ImageExtractFailed, "The unpacking program ended too early."), SinkFailed: true, node.Progress);
            }
        }
        return await End(received, node, unpacking, paths, report, cancel);
    }

    static async Task<OrderOutcome> End(
        ChainOutcome received, ChainNode node, Unpacking unpacking, AgentPaths paths, Report report, CancellationToken cancel)
    {
        if (received is { Fault: { } fault, SinkFailed: false })
        {
            unpacking.Kill();
            return fault;
        }
        report("extract", received.Progress.Verified, received.Progress.Total, received.Progress.BytesIn, received.Progress.BytesOut);
        if (await unpacking.Finish(complete: received.Fault is null, cancel) is { } failed)
        {
            return failed;
        }
        if (received.Fault is { } broken)
        {
            return broken;
        }
        var error = Native.SyncFileSystem(paths.Target);
        if (error != 0)
        {
            return Fault.Of(error == Native.NoSpace ? FaultCodes.DiskFull : FaultCodes.DiskIoError, "The unpacked image could not be written to the disk.", Native.Message(error));
        }
        var progress = node.Progress;
        return OrderOutcome.Found(
            ("bytesIn", progress.BytesIn.ToString()),
            ("bytesOut", progress.BytesOut.ToString()),
            ("verified", progress.Verified.ToString()),
            ("unpacked", unpacking.TarBytes.ToString()),
            ("switches", progress.Switches.ToString()));
    }

    static async Task ServeOn(ChainNode node)
    {
        await node.Linger();
        node.Dispose();
    }

    /// <summary>What lies in the target besides the places where other partitions are mounted; null when it is fresh.</summary>
    static string? NotEmpty(OrderContext context)
    {
        var target = context.Paths.Target;
        if (!Directory.Exists(target))
        {
            return "the target is not mounted";
        }
        var mounts = Mounts.Below(Mounts.Read(context.Paths), target).Select(m => m.Directory).ToHashSet(StringComparer.Ordinal);
        return Leftover(target);

        string? Leftover(string directory)
        {
            foreach (var entry in Directory.EnumerateFileSystemEntries(directory))
            {
                if (mounts.Contains(entry) || Path.GetFileName(entry) == "lost+found")
                {
                    continue;
                }
                var leads = mounts.Any(m => m.StartsWith(entry + "/", StringComparison.Ordinal));
                var found = leads && Directory.Exists(entry) ? Leftover(entry) : entry;
                if (found is not null)
                {
                    return found;
                }
            }
            return null;
        }
    }
}
