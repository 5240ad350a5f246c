using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Clusters;
using Ka.Core.Faults;

namespace Ka.Broadcast.Standalone;

/// <summary>What is sent to whom.</summary>
/// <param name="Verified">Everything that arrives is proved.</param>
public sealed record SendRequest(string File, bool Verified, Invitation Invitation)
{
    /// <summary>What is done with receivers that hold the others back.</summary>
    public StragglerRules Stragglers { get; init; } = StragglerRules.Default;
}

/// <summary>How it stands with one receiver.</summary>
/// <param name="State"><c>absent</c>, <c>waiting</c>, <c>receiving</c>, <c>done</c>, <c>failed</c>, <c>lost</c>.</param>
/// <param name="Slow">How it held the others back, and what was done with it; null when it did not.</param>
/// <param name="Took">From the beginning until it had everything; null when it has not.</param>
public sealed record ReceiverState(string Name, string State, ChainPeer? Peer, ChainProgress? Progress, string? Code, string? Message, string? Slow = null, TimeSpan? Took = null);

/// <summary>What people are told of a broadcast without a server.</summary>
public interface IStandaloneSender
{
    /// <summary>Every receiver that was awaited or has come.</summary>
    ImmutableArray<ReceiverState> States { get; }

    /// <summary>Bytes that there are to send, as far as is known.</summary>
    long Bytes { get; }

    /// <summary>Bytes that the source itself has sent.</summary>
    long BytesOut { get; }

    /// <summary>Sends to everybody who comes. The fault is about the sender; how each receiver fared is in <see cref="States"/>.</summary>
    /// <param name="changed">Called a few times a second.</param>
    Fault? Run(Action changed, CancellationToken cancel);

    /// <summary>From the moment when all had come, or were no longer awaited, until the last of those had it that have it.</summary>
    TimeSpan Took => States.Max(s => s.Took) ?? TimeSpan.Zero;
}

/// <summary>
/// The sending end of a broadcast without a server: awaits receivers, tells each whom to ask, serves the file, and tells the others when one is lost.
/// </summary>
public sealed class StandaloneSender(SendRequest request) : IStandaloneSender
{
    /// <summary>Receivers report this often; one that misses its reports for <see cref="ChainOptions.Silence"/> is lost to the others.</summary>
    internal static readonly TimeSpan ReportPeriod = TimeSpan.FromMilliseconds(200);

    readonly Roster _roster = new(request.Invitation);
    readonly long _start = Stopwatch.GetTimestamp();
    StragglerWatch? _watch;

    /// <summary>Where receivers come to, once it listens: the port that the kernel chose where the request names none.</summary>
    public Task<IPEndPoint> Listening => _roster.Listening;

    public ImmutableArray<ReceiverState> States => _roster.States;

    public long Bytes { get; private set; }

    public long BytesOut { get; private set; }

    public Fault? Run(Action changed, CancellationToken cancel)
    {
        using var door = new Socket(request.Invitation.Listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        if (_roster.Open(door) is { } closed)
        {
            return closed;
        }
        using var source = new ChainSource(request.Invitation.Listen.Address, 0, request.Invitation.Options);
        // The file is read once for its chunks' hashes while receivers come.
        ImageManifest manifest;
        try
        {
            manifest = request.Verified ? ImageManifest.OfChunks(request.File, ImageManifest.DefaultChunkBytes, cancel) : ImageManifest.Unverified(new FileInfo(request.File).Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Fault.Of(FaultCodes.RequestInvalid, $"{request.File} cannot be read: {e.Message}");
        }
        Bytes = manifest.Bytes;
        if ((source.Register(request.Invitation.Key, request.File, manifest.Bytes) ?? _roster.Gather(changed, cancel)) is { } fault)
        {
            return fault;
        }
        Begin(manifest, new ChainPeer(request.Invitation.Listen.Address.ToString(), source.Port));
        Watch(source, changed, cancel);
        _roster.Dismiss();
        return null;
    }

    /// <summary>A receiver that is awaited will not come.</summary>
    public void Withdraw(string name, string why) => _roster.Withdraw(name, why);

    void Begin(ImageManifest manifest, ChainPeer server)
    {
        ImmutableArray<ChainPeer> peers = [.. _roster.Receivers.Select(r => r.Peer)];
        var links = ChainPlan.Of(peers, server);
        lock (_roster.Gate)
        {
            _watch = new StragglerWatch(peers, links, request.Stragglers);
            _roster.Reported = (receiver, progress) => _watch.Report(receiver.Place, progress, Stopwatch.GetElapsedTime(_start));
        }
        foreach (var receiver in _roster.Receivers)
        {
            Roster.Tell(receiver, new Assigned(manifest, [.. links[receiver.Place].Upstreams], links[receiver.Place].Successors));
        }
    }

    void Watch(ChainSource source, Action changed, CancellationToken cancel)
    {
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            IReadOnlyList<(Attendee To, ControlMessage What)> steps;
            lock (_roster.Gate)
            {
                if (_roster.Receivers.All(r => r.HasEnded))
                {
                    break;
                }
                Monitor.Wait(_roster.Gate, ReportPeriod);
                steps = Look();
            }
            foreach (var (to, what) in steps)
            {
                Roster.Tell(to, what);
            }
            _roster.Check();
            BytesOut = source.Report(request.Invitation.Key)?.BytesOut ?? BytesOut;
            changed();
        }
        BytesOut = source.Report(request.Invitation.Key)?.BytesOut ?? BytesOut;
    }

    /// <summary>Whom to tell what because one holds the others back.</summary>
    List<(Attendee To, ControlMessage What)> Look()
    {
        var told = new List<(Attendee, ControlMessage)>();
        if (_watch is null)
        {
            return told;
        }
        for (var i = 0; i < _roster.Receivers.Count; i++)
        {
            if (_roster.Receivers[i].HasEnded)
            {
                _watch.Ended(i);
            }
        }
        var advice = _watch.Look(Stopwatch.GetElapsedTime(_start));
        foreach (var (step, who) in advice.Steps)
        {
            var receiver = _roster.Receivers[who.Place];
            receiver.Slow = step.Words(who, receiver.Slow);
            if (step == StragglerStep.Evict)
            {
                told.Add((receiver, new Evicted($"It was slow even when it was served alone: {who}.")));
            }
        }
        foreach (var (place, upstreams) in advice.Orders)
        {
            told.Add((_roster.Receivers[place], new Replanned([.. upstreams.Where(u => !_roster.Receivers.Any(r => r.Announced && r.Peer == u))])));
        }
        return told;
    }
}
