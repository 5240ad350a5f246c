using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net.Sockets;
using Ka.Core.Faults;

namespace Ka.Broadcast;

/// <summary>
/// The asking side of a node: finds a source, fills the ring, and goes to the next source when one fails. What the next one no longer
/// holds is fetched from the server while that one waits.
/// </summary>
sealed class ChainReceiver(ChainTicket ticket, ByteRing ring, ChainOptions options, Action<Fault> fail)
{
    /// <summary>Reasons kept as evidence.</summary>
    const int ReasonLimit = 8;

    /// <summary>How often a peer that fell silent, but answers when asked, is asked for the rest before it has given a byte.</summary>
    const int SecondChances = 2;

    readonly BroadcastWorld _world = options.World;
    readonly object _gate = new();
    readonly UpstreamOrder _order = new(ticket.Upstreams);
    readonly Queue<string> _reasons = new();
    readonly List<ChainConnection> _connections = [];
    bool _stopped;
    bool _isAside;
    long _asideAt;
    bool _everConnected;
    long _bytesIn;
    int _switches;
    int _chances = SecondChances;
    ChainPeer? _answered;
    long _progressAt = options.World.Now();
    long _beatAt = options.World.Now();

    public long BytesIn => Interlocked.Read(ref _bytesIn);

    public int Switches => Volatile.Read(ref _switches);

    public string? Upstream
    {
        get
        {
            lock (_gate)
            {
                return _connections.LastOrDefault()?.Peer;
            }
        }
    }

    /// <summary>Runs until all is verified, the ring is closed, or no source has given a byte for too long.</summary>
    public void Run()
    {
        using var beat = _world.Every(options.KeepAlive, BeatIfDue);
        var rounds = 0;
        while (true)
        {
            var head = ring.Head;
            if (head >= ring.Total)
            {
                ring.WaitVerified(); // until then chunks may have to be mended, and who mends them wants to hear that this one lives
                return;
            }
            ChainPeer peer;
            lock (_gate)
            {
                while (_isAside && !_stopped)
                {
                    _world.Wait(_gate, options.Silence);
                    _progressAt = _world.Now(); // who waits as it was told does not starve
                    _isAside &= _world.Since(_asideAt) < options.Aside; // whoever told it so may have died
                }
                if (_stopped)
                {
                    return;
                }
                peer = _order.Current;
            }
            var before = BytesIn;
            var reason = Pump(peer, new Wish(head, Followed: ticket.Successors > 0), c => Frames(c, head, null));
            if (reason is null)
            {
                continue; // everything is there, or the ring was closed: look again
            }
            (rounds, _chances) = BytesIn > before ? (0, SecondChances) : (rounds, _chances);
            if (!Next(peer, reason, ref rounds))
            {
                return;
            }
        }
    }

    /// <summary>Who gave these bytes.</summary>
    public ImmutableArray<Giver> Givers(long from, long until)
    {
        lock (_gate)
        {
            return _order.Givers(from, until);
        }
    }

    /// <summary>Peers but these, and no banned ones, the nearest first.</summary>
    public ImmutableArray<ChainPeer> PeersBut(IEnumerable<ChainPeer> these)
    {
        lock (_gate)
        {
            return _order.But(these);
        }
    }

    /// <summary>Takes nothing from a peer any more; what it gave stays, and has to prove itself.</summary>
    public void Ban(ChainPeer peer)
    {
        lock (_gate)
        {
            _order.Ban(peer);
            _connections.Where(c => c.From == peer).ToList().ForEach(c => c.Abort());
        }
    }

    /// <summary>Asks for something beside the stream. Null when <paramref name="take"/> said so, else why it failed.</summary>
    public string? Ask(ChainPeer peer, Wish wish, Func<ChainConnection, string?> take) => Pump(peer, wish, take, isAside: true);

    /// <summary>Counts bytes that came beside the stream.</summary>
    public void CameAside(int count) => Interlocked.Add(ref _bytesIn, count);

    /// <summary>Waits before everybody is asked again; false when it is over.</summary>
    public bool Pause(TimeSpan span)
    {
        lock (_gate)
        {
            if (!_stopped)
            {
                _world.Wait(_gate, span);
            }
            return !_stopped;
        }
    }

    public void Replan(ImmutableArray<ChainPeer> upstreams)
    {
        lock (_gate)
        {
            var present = _order.Current;
            (_isAside, _asideAt) = (upstreams.IsEmpty, _world.Now());
            if (!_isAside)
            {
                _order.Replace(upstreams);
            }
            if (_isAside || _order.Current != present)
            {
                _connections.ForEach(c => c.Abort());
            }
            _world.PulseAll(_gate);
        }
    }

    public void Stop()
    {
        lock (_gate)
        {
            _stopped = true;
            _connections.ForEach(c => c.Abort());
            _world.PulseAll(_gate);
        }
    }

    /// <summary>While bytes flow the receiving thread does it on its way: to wake another one ten times a second is a tenth of the work of a node at 1 Gbit/s.</summary>
    void BeatIfDue()
    {
        if (_world.Since(Volatile.Read(ref _beatAt)) < options.KeepAlive * 0.9)
        {
            return;
        }
        Volatile.Write(ref _beatAt, _world.Now());
        ChainConnection[] connections;
        lock (_gate)
        {
            connections = [.. _connections.Where(c => c.HasProved)];
        }
        foreach (var connection in connections)
        {
            connection.Beat();
        }
        ring.HearReaders();
    }

    /// <summary>Notes why a source failed and moves on; false when patience is at its end.</summary>
    bool Next(ChainPeer peer, string reason, ref int rounds)
    {
        ImmutableArray<ChainPeer> candidates;
        lock (_gate)
        {
            if (_stopped || _isAside)
            {
                return !_stopped;
            }
            _reasons.Enqueue($"{peer}: {reason}");
            if (_reasons.Count > ReasonLimit)
            {
                _reasons.Dequeue();
            }
            var left = options.Stall - _world.Since(_progressAt);
            if (left <= TimeSpan.Zero)
            {
                var evidence = string.Join('\n', _reasons);
                fail(_everConnected
                    ? Fault.Of(FaultCodes.BroadcastStalled, $"No source gave a byte for {options.Stall.TotalSeconds:0} s.", evidence)
                    : Fault.Of(FaultCodes.BroadcastUnreachable, "Neither a predecessor nor the server could be reached.", evidence));
                return false;
            }
            if (_order.Current != peer)
            {
                Interlocked.Increment(ref _switches);
                return true; // a bad chunk or a new plan has moved the order on already; its verdict stands
            }
            if (peer == _order.Server)
            {
                var pause = options.Retry * Math.Min(8, 1 << Math.Min(rounds++, 3));
                _world.Wait(_gate, pause < left ? pause : left);
            }
            candidates = _order.Candidates();
            if (reason == PeerFailure.Silent && peer != _order.Server && _chances-- > 0)
            {
                candidates = candidates.Insert(0, peer);
            }
        }
        var found = Probing.First(candidates, ticket.Key, options);
        lock (_gate)
        {
            if (_order.Current == peer)
            {
                _order.Choose(found ?? _order.Server);
                _answered = found;
                Interlocked.Add(ref _switches, found == peer ? 0 : 1);
            }
            return !_stopped;
        }
    }

    /// <summary>Takes what one source gives. Null when it gave everything, or when it is over; else why it failed.</summary>
    string? Pump(ChainPeer peer, Wish wish, Func<ChainConnection, string?> take, bool isAside = false)
    {
        ChainConnection? connection = null;
        try
        {
            connection = ChainConnection.Dial(peer, options);
            lock (_gate)
            {
                if (_stopped)
                {
                    return null;
                }
                _connections.Add(connection);
            }
            // Who is asked aside, or has just answered, need not be told of the broadcast first.
            connection.SetTimeouts(isAside || peer == _answered ? options.Silence : options.Join, options.Silence);
            if (!Handshake.Ask(connection, ticket.Key, wish))
            {
                return "it does not know the key of the broadcast";
            }
            connection.HasProved = true;
            connection.SetTimeouts(isAside || peer == Server || options.Silence < options.Suspect ? options.Silence : options.Suspect, options.Silence);
            _everConnected = true;
            return take(connection);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return PeerFailure.Describe(e);
        }
        finally
        {
            lock (_gate)
            {
                if (connection is not null)
                {
                    _connections.Remove(connection);
                }
            }
            connection?.Dispose();
        }
    }

    /// <param name="until">End of a part that was asked for; null for the whole stream.</param>
    string? Frames(ChainConnection connection, long offset, long? until)
    {
        if (!Blames(connection, offset))
        {
            return null;
        }
        Span<byte> later = stackalloc byte[sizeof(long)];
        while (true)
        {
            var (kind, length) = connection.ReceiveHeader();
            switch (kind)
            {
                case FrameKind.Data when length is > 0 and <= ChainConnection.FrameLimit:
                    if (length > (until ?? ring.Total) - offset)
                    {
                        return WrongLength($"it gave more than the {until ?? ring.Total} bytes that there are to have");
                    }
                    if (!Take(connection, offset, length))
                    {
                        return null;
                    }
                    offset += length;
                    break;
                case FrameKind.KeepAlive when length == 0:
                    if (_world.Since(_progressAt) > options.Starve)
                    {
                        return "it lives, but had nothing to give";
                    }
                    break;
                case FrameKind.End when length == 0:
                    if (offset == ring.Total)
                    {
                        ring.WaitVerified(options.Hold); // this connection keeps the source there, which may be needed to mend the last chunks
                    }
                    return offset == (until ?? ring.Total) ? null : WrongLength($"its stream ended at {offset} of {until ?? ring.Total} bytes");
                case FrameKind.From when length == sizeof(long) && until is null:
                    connection.ReceiveExactly(later);
                    var floor = BinaryPrimitives.ReadInt64LittleEndian(later);
                    if (floor <= offset || floor > ring.Total)
                    {
                        return "it holds what nobody can hold";
                    }
                    var (from, gap) = (offset, new Wish(offset, floor));
                    if (Pump(Server, gap, c => Frames(c, from, floor)) is { } failed)
                    {
                        return $"it no longer held offset {from}, and the server: {failed}";
                    }
                    if (!Blames(connection, offset = floor))
                    {
                        return null;
                    }
                    break;
                case FrameKind.Refused:
                    return "it refused";
                default:
                    return "it sent a frame that the protocol does not know";
            }
        }
    }

    public ChainPeer Server
    {
        get
        {
            lock (_gate)
            {
                return _order.Server;
            }
        }
    }

    /// <summary>From here on the bytes are this connection's. False when nothing is to be received any more.</summary>
    bool Blames(ChainConnection connection, long offset)
    {
        lock (_gate)
        {
            if (!_stopped)
            {
                _order.Connected(offset, connection.From!);
            }
            return !_stopped;
        }
    }

    /// <summary>From a peer it is one more failure; from the server it says that the image is not the registered one.</summary>
    string WrongLength(string reason)
    {
        lock (_gate)
        {
            if (_order.Current == _order.Server)
            {
                fail(Fault.Of(FaultCodes.ImageCorrupt, "The server's image has not the registered length.", reason));
            }
        }
        return reason;
    }

    /// <summary>Receives straight into the ring; false when the ring was closed.</summary>
    bool Take(ChainConnection connection, long offset, int length)
    {
        while (length > 0)
        {
            if (ring.Reserve(Math.Min(length, options.BlockBytes), out var room) != RingSignal.Ready)
            {
                return false;
            }
            _progressAt = _world.Now(); // the time that the own disk took is no starvation
            var count = ring.Store.Receive(connection, offset, room);
            ring.Commit(count);
            Interlocked.Add(ref _bytesIn, count);
            BeatIfDue();
            (offset, length) = (offset + count, length - count);
        }
        return true;
    }
}
