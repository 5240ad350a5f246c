using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Faults;

namespace Ka.Broadcast.Standalone;

/// <summary>What is sent to whom.</summary>
/// <param name="Listen">Where receivers come to; the stream itself goes over a port that the kernel chooses.</param>
/// <param name="Names">The receivers that are awaited, in the order of the chain; empty where only their number is known.</param>
/// <param name="Count">How many receivers are awaited.</param>
/// <param name="Patience">How long they are awaited; then it goes on with those that have come, or ends when none has.</param>
public sealed record SendRequest(string File, IPEndPoint Listen, BroadcastKey Key, ImmutableArray<string> Names, int Count, TimeSpan Patience, bool Verified, ChainOptions Options)
{
    /// <summary>What is done with receivers that hold the others back.</summary>
    public StragglerRules Stragglers { get; init; } = StragglerRules.Default;
}

/// <summary>How it stands with one receiver.</summary>
/// <param name="State"><c>absent</c>, <c>waiting</c>, <c>receiving</c>, <c>done</c>, <c>failed</c>, <c>lost</c>.</param>
/// <param name="Slow">How it held the others back, and what was done with it; null when it did not.</param>
/// <param name="Took">From the beginning until it had everything; null when it has not.</param>
public sealed record ReceiverState(string Name, string State, ChainPeer? Peer, ChainProgress? Progress, string? Code, string? Message, string? Slow = null, TimeSpan? Took = null);

/// <summary>
/// The sending end of a broadcast without a server: awaits receivers, tells each whom to ask, serves the file, and tells the others when one is lost.
/// </summary>
public sealed class StandaloneSender(SendRequest request)
{
    /// <summary>Receivers report this often; one that misses its reports for <see cref="ChainOptions.Silence"/> is lost to the others.</summary>
    internal static readonly TimeSpan ReportPeriod = TimeSpan.FromMilliseconds(200);

    /// <summary>A receiver that reports again within this time was only slow.</summary>
    static readonly TimeSpan LostFor = TimeSpan.FromSeconds(5);

    /// <summary>The same for one that has not reported yet: its program may still be starting.</summary>
    static readonly TimeSpan UnheardFor = TimeSpan.FromSeconds(30);

    readonly object _gate = new();
    readonly List<Attendee> _receivers = [];
    readonly long _start = Stopwatch.GetTimestamp();
    long _begunAt;
    StragglerWatch? _watch;
    readonly Dictionary<string, string> _withdrawn = new(StringComparer.Ordinal);
    readonly TaskCompletionSource<IPEndPoint> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    bool _begun;

    /// <summary>Where receivers come to, once it listens: the port that the kernel chose where the request names none.</summary>
    public Task<IPEndPoint> Listening => _listening.Task;

    /// <summary>Every receiver that was awaited or has come.</summary>
    public ImmutableArray<ReceiverState> States
    {
        get
        {
            lock (_gate)
            {
                return
                [
                    .. _receivers.Select(r => new ReceiverState(r.Name, r.State, r.Peer, r.Progress, r.Code, r.Message, r.Slow, r.Took)),
                    .. request.Names.Where(n => _receivers.All(r => r.Name != n)).Select(n => new ReceiverState(n, "absent", null, null, FaultCodes.BroadcastUnreachable.Text, _withdrawn.GetValueOrDefault(n, "it did not come"))),
                ];
            }
        }
    }

    /// <summary>From the moment when all had come, or were no longer awaited, until the last of those had it that have it.</summary>
    public TimeSpan Took => States.Max(s => s.Took) ?? TimeSpan.Zero;

    /// <summary>Bytes that the source itself has sent.</summary>
    public long BytesOut { get; private set; }

    /// <summary>Sends to everybody who comes. The fault is about the sender; how each receiver fared is in <see cref="States"/>.</summary>
    /// <param name="changed">Called a few times a second.</param>
    public Fault? Run(Action changed, CancellationToken cancel)
    {
        using var door = new Socket(request.Listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            door.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            door.Bind(request.Listen);
            door.Listen(256);
            _listening.TrySetResult((IPEndPoint)door.LocalEndPoint!);
        }
        catch (SocketException e)
        {
            _listening.TrySetCanceled(CancellationToken.None);
            return Fault.Of(FaultCodes.RequestInvalid, $"{request.Listen} cannot be listened on: {e.Message}");
        }
        using var source = new ChainSource(request.Listen.Address, 0, request.Options);
        var accepting = new Thread(() => Accept(door)) { IsBackground = true, Name = "bcast accept" };
        accepting.Start();
        // The file is read once for its hashes while receivers come.
        ImageManifest manifest;
        try
        {
            manifest = request.Verified ? ImageManifest.OfFile(request.File, ImageManifest.DefaultChunkBytes, cancel) : ImageManifest.Unverified(new FileInfo(request.File).Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Fault.Of(FaultCodes.RequestInvalid, $"{request.File} cannot be read: {e.Message}");
        }
        if (source.Register(request.Key, request.File, manifest.Bytes) is { } unserved)
        {
            return unserved;
        }
        Gather(changed, cancel);
        _begunAt = Stopwatch.GetTimestamp();
        if (Begin(manifest, new ChainPeer(request.Listen.Address.ToString(), source.Port)) is { } nobody)
        {
            return nobody;
        }
        Watch(source, changed, cancel);
        Dismiss();
        return null;
    }

    /// <summary>A receiver that is awaited will not come.</summary>
    public void Withdraw(string name, string why)
    {
        lock (_gate)
        {
            _withdrawn[name] = why;
            Monitor.PulseAll(_gate);
        }
    }

    void Accept(Socket door)
    {
        while (true)
        {
            Socket accepted;
            try
            {
                accepted = door.Accept();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }
            new Thread(() => Attend(accepted)) { IsBackground = true, Name = "bcast attend" }.Start();
        }
    }

    void Attend(Socket accepted)
    {
        Attendee? receiver = null;
        try
        {
            accepted.ReceiveTimeout = (int)request.Options.Join.TotalMilliseconds;
            using var line = ControlLine.Open(accepted, request.Key, isSender: true);
            if (line.Receive() is not Joined joined)
            {
                return;
            }
            accepted.ReceiveTimeout = 0;
            receiver = new Attendee(line, joined.Name, new ChainPeer(line.Peer.ToString(), joined.Port));
            lock (_gate)
            {
                if (_begun || _receivers.Any(r => r.Name == joined.Name) || (request.Names.Length > 0 && !request.Names.Contains(joined.Name)))
                {
                    return; // it sees the line end
                }
                _receivers.Add(receiver);
                Monitor.PulseAll(_gate);
            }
            while (line.Receive() is { } message)
            {
                Take(receiver, message);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidDataException)
        {
            // a receiver that is gone, below; or somebody who is none
        }
        finally
        {
            accepted.Dispose();
            Leave(receiver, "its connection was lost");
        }
    }

    void Take(Attendee receiver, ControlMessage message)
    {
        lock (_gate)
        {
            receiver.HeardAt = Stopwatch.GetTimestamp();
            switch (message)
            {
                case Progressed progressed:
                    receiver.Progress = progressed.Progress;
                    _watch?.Report(receiver.Place, progressed.Progress, Stopwatch.GetElapsedTime(_start));
                    break;
                case Ended ended:
                    (receiver.Progress, receiver.Code, receiver.Message) = (ended.Progress, ended.Code, ended.Message);
                    receiver.State = ended.Code is null ? "done" : "failed";
                    receiver.Took = ended.Code is null ? Stopwatch.GetElapsedTime(_begunAt) : null;
                    break;
            }
            Monitor.PulseAll(_gate);
        }
        if (receiver.State == "failed")
        {
            Announce(receiver);
        }
    }

    void Leave(Attendee? receiver, string why)
    {
        if (receiver is null)
        {
            return;
        }
        lock (_gate)
        {
            if (!_begun)
            {
                _receivers.Remove(receiver);
            }
            else if (!receiver.HasEnded)
            {
                (receiver.State, receiver.Code, receiver.Message) = ("lost", FaultCodes.BroadcastLost.Text, why);
            }
            Monitor.PulseAll(_gate);
        }
        Announce(receiver);
    }

    /// <summary>Tells the others that this one is of no more use; once.</summary>
    void Announce(Attendee lost)
    {
        Attendee[] others;
        lock (_gate)
        {
            if (!_begun || lost.Announced)
            {
                return;
            }
            lost.Announced = true;
            others = [.. _receivers.Where(r => r != lost && !r.HasEnded)];
        }
        foreach (var other in others)
        {
            Tell(other, new Lost(lost.Peer));
        }
    }

    static void Tell(Attendee receiver, ControlMessage message)
    {
        try
        {
            receiver.Line.Send(message);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // whoever reads its line sees that it is gone
        }
    }

    void Gather(Action changed, CancellationToken cancel)
    {
        var begun = Stopwatch.GetTimestamp();
        lock (_gate)
        {
            while (_receivers.Count < request.Count - _withdrawn.Keys.Count(n => _receivers.All(r => r.Name != n)) && Stopwatch.GetElapsedTime(begun) < request.Patience)
            {
                cancel.ThrowIfCancellationRequested();
                Monitor.Wait(_gate, ReportPeriod);
                changed();
            }
            _begun = true;
            var order = request.Names;
            _receivers.Sort((a, b) => order.Length > 0 ? order.IndexOf(a.Name).CompareTo(order.IndexOf(b.Name)) : NaturalOrder.Comparer.Compare(a.Name, b.Name));
            for (var i = 0; i < _receivers.Count; i++)
            {
                _receivers[i].Place = i;
            }
        }
    }

    Fault? Begin(ImageManifest manifest, ChainPeer server)
    {
        Attendee[] receivers;
        lock (_gate)
        {
            receivers = [.. _receivers];
        }
        if (receivers.Length == 0)
        {
            return Fault.Of(FaultCodes.BroadcastUnreachable, _withdrawn.Count > 0 ? "No receiver could be started." : $"No receiver came within {request.Patience.TotalSeconds:0} s.", null);
        }
        ImmutableArray<ChainPeer> peers = [.. receivers.Select(r => r.Peer)];
        var links = ChainPlan.Of(peers, server);
        lock (_gate)
        {
            _watch = new StragglerWatch(peers, links, request.Stragglers);
        }
        for (var i = 0; i < receivers.Length; i++)
        {
            lock (_gate)
            {
                receivers[i].State = receivers[i].HasEnded ? receivers[i].State : "receiving";
                receivers[i].HeardAt = Stopwatch.GetTimestamp();
            }
            Tell(receivers[i], new Assigned(manifest, [.. links[i].Upstreams], links[i].Successors));
        }
        return null;
    }

    void Watch(ChainSource source, Action changed, CancellationToken cancel)
    {
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            Attendee[] silent;
            IReadOnlyList<(Attendee To, ControlMessage What)> steps;
            lock (_gate)
            {
                if (_receivers.All(r => r.HasEnded))
                {
                    break;
                }
                Monitor.Wait(_gate, ReportPeriod);
                steps = Look();
                silent = [.. _receivers.Where(r => !r.HasEnded && Stopwatch.GetElapsedTime(r.HeardAt) > request.Options.Silence)];
            }
            foreach (var (to, what) in steps)
            {
                Tell(to, what);
            }
            foreach (var receiver in silent)
            {
                Announce(receiver);
                var limit = receiver.Progress is null ? UnheardFor : LostFor;
                if (Stopwatch.GetElapsedTime(receiver.HeardAt) > limit)
                {
                    Leave(receiver, $"nothing was heard of it for {limit.TotalSeconds:0} s");
                }
            }
            BytesOut = source.Report(request.Key)?.BytesOut ?? BytesOut;
            changed();
        }
        BytesOut = source.Report(request.Key)?.BytesOut ?? BytesOut;
    }

    /// <summary>Whom to tell what because one holds the others back.</summary>
    List<(Attendee To, ControlMessage What)> Look()
    {
        var told = new List<(Attendee, ControlMessage)>();
        if (_watch is null)
        {
            return told;
        }
        for (var i = 0; i < _receivers.Count; i++)
        {
            if (_receivers[i].HasEnded)
            {
                _watch.Ended(i);
            }
        }
        var advice = _watch.Look(Stopwatch.GetElapsedTime(_start));
        foreach (var (step, who) in advice.Steps)
        {
            var receiver = _receivers[who.Place];
            receiver.Slow = step.Words(who, receiver.Slow);
            if (step == StragglerStep.Evict)
            {
                told.Add((receiver, new Evicted($"It was slow even when it was served alone: {who}.")));
            }
        }
        foreach (var (place, upstreams) in advice.Orders)
        {
            told.Add((_receivers[place], new Replanned([.. upstreams.Where(u => !_receivers.Any(r => r.Announced && r.Peer == u))])));
        }
        return told;
    }

    void Dismiss()
    {
        Attendee[] receivers;
        lock (_gate)
        {
            receivers = [.. _receivers];
        }
        foreach (var receiver in receivers)
        {
            Tell(receiver, new Dismissed());
            receiver.Line.Dispose();
        }
    }
}
