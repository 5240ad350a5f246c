using System.Diagnostics;
using System.Net.Sockets;
using Ka.Core.Faults;

namespace Ka.Broadcast;

/// <summary>The asking side of a node: finds a source, fills the ring, and goes to the next source when one fails.</summary>
sealed class ChainReceiver(ChainTicket ticket, ByteRing ring, ChainOptions options, Action<Fault> fail)
{
    /// <summary>Reasons kept as evidence.</summary>
    const int ReasonLimit = 8;

    readonly object _gate = new();
    readonly UpstreamOrder _order = new(ticket.Upstreams);
    readonly Queue<string> _reasons = new();
    ChainConnection? _connection;
    bool _stopped;
    bool _everConnected;
    long _bytesIn;
    int _switches;
    long _progressAt = Stopwatch.GetTimestamp();

    public long BytesIn => Interlocked.Read(ref _bytesIn);

    public int Switches => Volatile.Read(ref _switches);

    public string? Upstream
    {
        get
        {
            lock (_gate)
            {
                return _connection?.Peer;
            }
        }
    }

    /// <summary>Runs until all is verified, the ring is closed, or no source has given a byte for too long.</summary>
    public void Run()
    {
        var rounds = 0;
        while (true)
        {
            var (generation, head) = ring.Begin();
            if (head >= ring.Total && ring.WaitVerified(generation) is not RingSignal.Rewound)
            {
                return;
            }
            (generation, head) = ring.Begin();
            ChainPeer peer;
            int index;
            lock (_gate)
            {
                if (_stopped)
                {
                    return;
                }
                (peer, index) = (_order.Current, _order.Index);
            }
            var before = BytesIn;
            var reason = Pump(peer, generation, head);
            if (reason is null)
            {
                continue; // everything is there, or the ring was rewound or closed: look again
            }
            rounds = BytesIn > before ? 0 : rounds;
            if (!Next(peer, index, reason, ref rounds))
            {
                return;
            }
        }
    }

    /// <summary>A chunk was bad: takes the ring back and decides whom to ask. False when the server itself is wrong.</summary>
    public bool BadChunk(long start, int length)
    {
        ChainConnection? connection;
        lock (_gate)
        {
            if (_order.BadChunk(start, length) == Blame.ImageCorrupt)
            {
                return false;
            }
            connection = _connection;
            ring.Rewind(start, length);
        }
        connection?.Abort();
        return true;
    }

    public void Stop()
    {
        lock (_gate)
        {
            _stopped = true;
            _connection?.Abort();
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Notes why a source failed and moves on; false when patience is at its end.</summary>
    bool Next(ChainPeer peer, int index, string reason, ref int rounds)
    {
        lock (_gate)
        {
            if (_stopped)
            {
                return false;
            }
            _reasons.Enqueue($"{peer}: {reason}");
            if (_reasons.Count > ReasonLimit)
            {
                _reasons.Dequeue();
            }
            var left = options.Stall - Stopwatch.GetElapsedTime(_progressAt);
            if (left <= TimeSpan.Zero)
            {
                var evidence = string.Join('\n', _reasons);
                fail(_everConnected
                    ? Fault.Of(FaultCodes.BroadcastStalled, $"No source gave a byte for {options.Stall.TotalSeconds:0} s.", evidence)
                    : Fault.Of(FaultCodes.BroadcastUnreachable, "Neither a predecessor nor the server could be reached.", evidence));
                return false;
            }
            Interlocked.Increment(ref _switches);
            // A bad chunk may have moved the order on already; its verdict stands.
            if (_order.Index == index && _order.MoveOn())
            {
                var pause = options.Retry * Math.Min(8, 1 << Math.Min(rounds++, 3));
                Monitor.Wait(_gate, pause < left ? pause : left);
            }
            return true;
        }
    }

    /// <summary>Takes what one source gives. Null when it gave everything, or when the ring no longer wants it; else why it failed.</summary>
    string? Pump(ChainPeer peer, int generation, long offset)
    {
        ChainConnection? connection = null;
        try
        {
            connection = ChainConnection.Dial(peer, options);
            if (!Adopt(connection, generation, offset))
            {
                return null;
            }
            connection.SetTimeouts(options.Join, options.Silence);
            if (!Handshake.Ask(connection, ticket.Key, offset))
            {
                return "it does not know the key of the broadcast";
            }
            connection.SetTimeouts(options.Silence, options.Silence);
            _everConnected = true;
            return Frames(connection, generation, offset);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return ring.Begin().Generation == generation ? Describe(e) : null;
        }
        finally
        {
            lock (_gate)
            {
                _connection = null;
            }
            connection?.Dispose();
        }
    }

    bool Adopt(ChainConnection connection, int generation, long offset)
    {
        lock (_gate)
        {
            if (_stopped || ring.Begin().Generation != generation)
            {
                return false;
            }
            _order.Connected(offset);
            _connection = connection;
            return true;
        }
    }

    string? Frames(ChainConnection connection, int generation, long offset)
    {
        while (true)
        {
            var (kind, length) = connection.ReceiveHeader();
            switch (kind)
            {
                case FrameKind.Data when length is > 0 and <= ChainConnection.FrameLimit:
                    if (length > ring.Total - offset)
                    {
                        return WrongLength($"it gave more than the {ring.Total} bytes of the image");
                    }
                    if (!Take(connection, generation, length))
                    {
                        return null;
                    }
                    offset += length;
                    break;
                case FrameKind.KeepAlive when length == 0:
                    if (Stopwatch.GetElapsedTime(_progressAt) > options.Starve)
                    {
                        return "it lives, but had nothing to give";
                    }
                    break;
                case FrameKind.End when length == 0:
                    return offset == ring.Total ? null : WrongLength($"its stream ended at {offset} of {ring.Total} bytes");
                case FrameKind.Gone:
                    return $"it no longer holds offset {offset}";
                case FrameKind.Refused:
                    return "it refused";
                default:
                    return "it sent a frame that the protocol does not know";
            }
        }
    }

    /// <summary>From a peer it is one more failure; from the server it says that the image is not the registered one.</summary>
    string WrongLength(string reason)
    {
        lock (_gate)
        {
            if (_order.Index == _order.Server)
            {
                fail(Fault.Of(FaultCodes.ImageCorrupt, "The server's image has not the registered length.", reason));
            }
        }
        return reason;
    }

    /// <summary>Receives straight into the ring; false when the ring was rewound or closed.</summary>
    bool Take(ChainConnection connection, int generation, int length)
    {
        while (length > 0)
        {
            if (ring.Reserve(generation, Math.Min(length, options.BlockBytes), out var room) != RingSignal.Ready)
            {
                return false;
            }
            _progressAt = Stopwatch.GetTimestamp(); // the time that the own disk took is no starvation
            var count = connection.Receive(room.Span);
            ring.Commit(generation, count);
            Interlocked.Add(ref _bytesIn, count);
            length -= count;
        }
        return true;
    }

    static string Describe(Exception e) => e is SocketException { SocketErrorCode: var code }
        ? code switch
        {
            SocketError.TimedOut or SocketError.WouldBlock or SocketError.InProgress => "silent for too long",
            SocketError.ConnectionRefused => "connection refused",
            SocketError.ConnectionReset => "connection lost",
            _ => code.ToString(),
        }
        : "closed";
}
