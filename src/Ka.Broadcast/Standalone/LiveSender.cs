using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Faults;

namespace Ka.Broadcast.Standalone;

/// <summary>A stream of unknown length that is sent while it comes.</summary>
/// <param name="Spool">Directory for what is held, in files that are removed as soon as they are open.</param>
public sealed record LiveRequest(Stream Source, string Spool, Invitation Invitation)
{
    /// <summary>Length in bytes of a piece: each is a broadcast of its own, and every node holds one in its ring as a whole.</summary>
    public int PieceBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Pieces that the sender holds: who still needs an older one has fallen behind and is ended.</summary>
    public int Held { get; init; } = 16;

    /// <summary>How long the stream waits for those who still need the oldest piece when its place is needed.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>What has come is sent after this time though more could be in its piece.</summary>
    public TimeSpan Pause { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>
/// Sends a stream that comes from a program: it is cut into pieces, each with its manifest and its chain, and receivers take one after the other.
/// The fastest receiver holds the source up, so that it may wait for a program that can; the others have as long as their pieces are held.
/// </summary>
public sealed class LiveSender(LiveRequest request) : IStandaloneSender
{
    /// <summary>Pieces that are read before the fastest receiver has them: as many as one takes at once.</summary>
    const int Ahead = LiveReceiver.Kept;

    readonly Roster _roster = new(request.Invitation);
    readonly List<long> _ends = [];
    readonly byte[] _block = new byte[64 * 1024];
    Task<int>? _reading;
    long _retiredOut;
    int _retired;
    volatile bool _over;
    Fault? _fault;

    /// <summary>Where receivers come to, once it listens.</summary>
    public Task<IPEndPoint> Listening => _roster.Listening;

    public ImmutableArray<ReceiverState> States => _roster.States;

    public long BytesOut { get; private set; }

    /// <summary>Bytes that the source gave.</summary>
    public long Bytes
    {
        get
        {
            lock (_roster.Gate)
            {
                return _ends.Count > 0 ? _ends[^1] : 0;
            }
        }
    }

    /// <summary>Until the source ends.</summary>
    public Fault? Run(Action changed, CancellationToken cancel)
    {
        var invitation = request.Invitation;
        using var door = new Socket(invitation.Listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        if (_roster.Open(door) is { } closed)
        {
            return closed;
        }
        using var source = new ChainSource(invitation.Listen.Address, 0, invitation.Options);
        if (_roster.Gather(changed, cancel) is { } nobody)
        {
            return nobody;
        }
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var cutting = invitation.Options.World.Run("bcast cut", () => Cut(source, stop.Token));
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            lock (_roster.Gate)
            {
                if (_fault is not null || _roster.Receivers.All(r => r.HasEnded))
                {
                    break;
                }
                Monitor.Wait(_roster.Gate, StandaloneSender.ReportPeriod);
            }
            _roster.Check();
            Count(source);
            changed();
        }
        Count(source);
        stop.Cancel();
        _roster.Dismiss();
        cutting.GetAwaiter().GetResult();
        return _fault;
    }

    /// <summary>Cuts the source into pieces until it ends, nobody is left, or it cannot be read or held.</summary>
    void Cut(ChainSource source, CancellationToken stop)
    {
        try
        {
            for (var index = 0; !_over && MayRead(index, stop); index++)
            {
                var path = Path.Combine(request.Spool, Path.GetRandomFileName());
                try
                {
                    if (Fill(path, stop) > 0)
                    {
                        Send(source, index, path, stop);
                    }
                }
                finally
                {
                    File.Delete(path);
                }
            }
            if (_over)
            {
                Tell(_ => new Over());
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Fail(Fault.Of(FaultCodes.RequestInvalid, $"The stream cannot be read, or what is held of it not be written: {e.Message}"));
        }
        catch (OperationCanceledException)
        {
            // nobody is left
        }
    }

    void Fail(Fault fault)
    {
        lock (_roster.Gate)
        {
            _fault = fault;
            Monitor.PulseAll(_roster.Gate);
        }
    }

    bool MayRead(int index, CancellationToken stop)
    {
        lock (_roster.Gate)
        {
            while (!stop.IsCancellationRequested && index - Front() >= Ahead)
            {
                Monitor.Wait(_roster.Gate, StandaloneSender.ReportPeriod);
            }
        }
        return !stop.IsCancellationRequested;
    }

    /// <summary>Reads one piece into a file: as much as there may be in one, or what came until the source paused. Returns its length.</summary>
    long Fill(string path, CancellationToken stop)
    {
        using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        long begun = 0, length = 0;
        while (length < request.PieceBytes)
        {
            _reading ??= request.Source.ReadAsync(_block, CancellationToken.None).AsTask();
            var patience = length == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromTicks(Math.Max(0, (request.Pause - Stopwatch.GetElapsedTime(begun)).Ticks));
            if (!Came(_reading, patience, stop))
            {
                break;
            }
            var count = _reading.GetAwaiter().GetResult();
            _reading = null;
            if (count == 0)
            {
                _over = true;
                break;
            }
            begun = length == 0 ? Stopwatch.GetTimestamp() : begun;
            file.Write(_block, 0, count);
            length += count;
        }
        return length;
    }

    static bool Came(Task<int> reading, TimeSpan patience, CancellationToken stop)
    {
        try
        {
            return reading.Wait((int)patience.TotalMilliseconds, stop);
        }
        catch (AggregateException e) when (e.InnerException is IOException)
        {
            return true; // whoever takes the result meets it
        }
    }

    void Send(ChainSource source, int index, string path, CancellationToken stop)
    {
        var invitation = request.Invitation;
        var manifest = ImageManifest.OfChunks(path, ImageManifest.DefaultChunkBytes, stop);
        if (source.Register(invitation.Key.Piece(index), path, manifest.Bytes) is { } unserved)
        {
            throw new IOException(unserved.Evidence ?? unserved.Message);
        }
        Attendee[] order;
        lock (_roster.Gate)
        {
            _ends.Add((_ends.Count > 0 ? _ends[^1] : 0) + manifest.Bytes);
            // Who is behind hands nothing on to those before it.
            order = [.. _roster.Receivers.Where(r => !r.HasEnded && !r.Announced).OrderByDescending(Has).ThenBy(r => r.Place)];
        }
        var links = ChainPlan.Of([.. order.Select(r => r.Peer)], new ChainPeer(invitation.Listen.Address.ToString(), source.Port));
        for (var i = 0; i < order.Length; i++)
        {
            Roster.Tell(order[i], new Piece(index, manifest, [.. links[i].Upstreams], links[i].Successors));
        }
        if (index >= request.Held)
        {
            Retire(source, index - request.Held, stop);
        }
    }

    /// <summary>Gives up the oldest piece, and with it who has not got it yet.</summary>
    void Retire(ChainSource source, int index, CancellationToken stop)
    {
        (Attendee Who, long Has)[] behind;
        var begun = Stopwatch.GetTimestamp();
        lock (_roster.Gate)
        {
            while (true)
            {
                behind = [.. _roster.Receivers.Where(r => !r.HasEnded && Has(r) <= index).Select(r => (r, r.Progress?.Written ?? 0))];
                var left = request.Grace - Stopwatch.GetElapsedTime(begun);
                if (behind.Length == 0 || left <= TimeSpan.Zero || stop.IsCancellationRequested)
                {
                    break;
                }
                Monitor.Wait(_roster.Gate, left < StandaloneSender.ReportPeriod ? left : StandaloneSender.ReportPeriod);
            }
        }
        foreach (var (who, has) in behind)
        {
            _roster.GiveUp(who, FaultCodes.BroadcastStraggler, $"It fell behind the live stream: it has {has} bytes, and what is held begins at {_ends[index]}.");
        }
        var key = request.Invitation.Key.Piece(index);
        lock (_roster.Gate)
        {
            _retiredOut += source.Report(key)?.BytesOut ?? 0;
            _retired = index + 1;
        }
        source.Unregister(key);
    }

    void Count(ChainSource source)
    {
        lock (_roster.Gate)
        {
            BytesOut = _retiredOut + Enumerable.Range(_retired, _ends.Count - _retired).Sum(i => source.Report(request.Invitation.Key.Piece(i))?.BytesOut ?? 0);
        }
    }

    void Tell(Func<Attendee, ControlMessage> what)
    {
        Attendee[] living;
        lock (_roster.Gate)
        {
            living = [.. _roster.Receivers.Where(r => !r.HasEnded)];
        }
        foreach (var receiver in living)
        {
            Roster.Tell(receiver, what(receiver));
        }
    }

    /// <summary>How many pieces a receiver has written.</summary>
    int Has(Attendee receiver) => _ends.BinarySearch(receiver.Progress?.Written ?? 0) is var at && at >= 0 ? at + 1 : ~at;

    /// <summary>How many pieces the fastest has.</summary>
    int Front() => _roster.Receivers.Where(r => !r.HasEnded).Select(Has).DefaultIfEmpty(_ends.Count).Max();
}
