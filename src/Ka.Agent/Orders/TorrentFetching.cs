using System.Diagnostics;
using System.Security.Cryptography;
using Ka.Agent.Machine;
using Ka.Broadcast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>
/// The image by BitTorrent: aria2c fetches it whole and gives it to others, where it can write to the image's place only; what it fetched is proved by
/// the chunk hashes of the order and unpacked while others are still served.
/// </summary>
static class TorrentFetching
{
    static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(400);

    public static async Task<OrderOutcome> Run(
        ReceiveImage order, TorrentFetch torrent, ImageManifest manifest, IImageSink sink, OrderContext context, Report report, CancellationToken cancel)
    {
        var (place, noRoom) = WholePlace.Make(order.Bytes, torrent.RoomOnTarget, context.Paths);
        if (place is null)
        {
            return noRoom!;
        }
        using (place)
        {
            var (client, fault) = await Start(torrent, place, context, cancel);
            if (client is null)
            {
                return fault!;
            }
            await using (client)
            {
                return await Complete(client, order.Bytes, context, report, cancel) is { } failed ? failed : await Unpack(client, place, manifest, sink, context, report, cancel);
            }
        }
    }

    static async Task<OrderOutcome> Unpack(
        Aria2 client, WholePlace place, ImageManifest manifest, IImageSink sink, OrderContext context, Report report, CancellationToken cancel)
    {
        var file = new WholeFile(place.File, manifest, sink.Input);
        var outcome = await Receiving.Into(sink, new Reception(file.Give, () => file.Progress), context, report, cancel);
        return outcome.Fault is null && await client.Look(cancel) is { } seen
            ? outcome with { Values = outcome.Values!.SetItem("bytesIn", $"{seen.Done}").SetItem("bytesOut", $"{seen.Given}") }
            : outcome;
    }

    static async Task<(Aria2? Client, Fault? Fault)> Start(TorrentFetch torrent, WholePlace place, OrderContext context, CancellationToken cancel)
    {
        byte[] metainfo;
        try
        {
            metainfo = Convert.FromBase64String(torrent.Metainfo);
        }
        catch (FormatException)
        {
            return (null, Fault.Of(FaultCodes.AgentProtocol, "The order's torrent is no base 64."));
        }
        await File.WriteAllBytesAsync(Path.Combine(place.Directory, Aria2.TorrentName), metainfo, cancel);
        if (torrent.Tools is { } tools)
        {
            return await Unpack(tools, place, context, cancel) is { } fault ? (null, fault) : (Aria2.Start(place, context.Paths, brought: true), null);
        }
        return Tool.Find("aria2c") is null
            ? (null, Fault.Of(FaultCodes.BroadcastProgramFailed, "The node has no aria2c, and the server gave none."))
            : (Aria2.Start(place, context.Paths, brought: false), null);
    }

    /// <summary>The client is no part of the minimal environment, which every node loads at every boot: who needs it fetches it.</summary>
    static async Task<Fault?> Unpack(string digest, WholePlace place, OrderContext context, CancellationToken cancel)
    {
        var archive = Path.Combine(place.Directory, "torrent.tar.zst");
        if (await context.Files.Fetch(digest, archive, cancel) is { } unfetched)
        {
            return unfetched;
        }
        var unpacked = await Tool.Run("tar", ["-x", "-f", archive, "-C", place.Directory], cancel);
        File.Delete(archive);
        return unpacked.Or(FaultCodes.BroadcastProgramFailed, "The BitTorrent client could not be unpacked.");
    }

    /// <summary>Waits until every piece is there. Null, or why it will not come.</summary>
    static async Task<Fault?> Complete(Aria2 client, long bytes, OrderContext context, Report report, CancellationToken cancel)
    {
        var (moved, most) = (Stopwatch.GetTimestamp(), -1L);
        while (true)
        {
            if (await client.Ended() is { } ended)
            {
                return ended;
            }
            if (await client.Look(cancel) is { } seen)
            {
                if (seen.Done > most)
                {
                    (moved, most) = (Stopwatch.GetTimestamp(), seen.Done);
                }
                report("fetch", seen.Done, bytes, seen.Done, seen.Given);
                if (seen.Complete)
                {
                    return null;
                }
            }
            if (Stopwatch.GetElapsedTime(moved) > context.ChainOptions.Stall)
            {
                return Fault.Of(FaultCodes.BroadcastStalled, "No piece of the torrent arrived for too long.", $"{Math.Max(0, most)} of {bytes} bytes");
            }
            await Task.Delay(Poll, cancel);
        }
    }
}

/// <summary>One run of aria2c (aria2c(1)), watched over its JSON-RPC on the loopback interface, of which only this agent knows the secret.</summary>
sealed class Aria2 : IAsyncDisposable
{
    public const string TorrentName = "metainfo";

    const string Id = "6b61000000000001";

    readonly Process _process;
    readonly Task<string> _said;
    readonly Task<string> _complained;
    readonly Aria2Status _status;

    Aria2(Process process, Aria2Status status)
    {
        (_process, _status) = (process, status);
        _said = Tail.Of(process.StandardOutput);
        _complained = Tail.Of(process.StandardError);
        process.StandardInput.Close();
    }

    /// <param name="brought">The client lies in the place with all that it links to; else it is the node's own.</param>
    public static Aria2 Start(WholePlace place, AgentPaths paths, bool brought)
    {
        var secret = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        var port = Aria2Status.FreePort();
        const string inside = Enclosure.TargetInside;
        string[] arguments =
        [
            "--no-conf=true", $"--dir={inside}", $"--torrent-file={inside}/{TorrentName}", $"--index-out=1={Path.GetFileName(place.File)}", $"--gid={Id}",
            "--enable-rpc=true", "--rpc-listen-all=false", $"--rpc-listen-port={port}", $"--rpc-secret={secret}",
            "--enable-dht=false", "--enable-dht6=false", "--enable-peer-exchange=false", "--bt-enable-lpd=false", "--disable-ipv6=true", "--no-netrc=true",
            "--file-allocation=none", "--allow-overwrite=true", "--auto-save-interval=0", "--seed-ratio=0.0", "--bt-tracker-connect-timeout=5", "--bt-tracker-timeout=5", "--bt-tracker-interval=3",
            "--console-log-level=warn", "--summary-interval=0", "--enable-color=false", "--show-console-readout=false",
        ];
        var start = brought
            ? Enclosure.OnlyTarget(paths, place.Directory, $"{inside}/torrent/ld.so", ["--library-path", $"{inside}/torrent", $"{inside}/torrent/aria2c", .. arguments])
            : Enclosure.OnlyTarget(paths, place.Directory, "aria2c", arguments);
        var process = new Process { StartInfo = start };
        process.Start();
        return new Aria2(process, new Aria2Status(port, secret, Id));
    }

    /// <summary>What it says of the download; null when it does not answer yet.</summary>
    public Task<Aria2Seen?> Look(CancellationToken cancel) => _status.Look(cancel);

    /// <summary>Why it has ended by itself; null while it runs.</summary>
    public async Task<Fault?> Ended() => _process.HasExited
        ? Fault.Of(FaultCodes.BroadcastProgramFailed, "The BitTorrent client ended without the image.", $"aria2c ended with status {_process.ExitCode}: {$"{await _complained}\n{await _said}".Trim()}")
        : null;

    public async ValueTask DisposeAsync()
    {
        Tool.Kill(_process, null);
        await _process.WaitForExitAsync(CancellationToken.None);
        await Task.WhenAll(_said, _complained);
        _status.Dispose();
        _process.Dispose();
    }
}
