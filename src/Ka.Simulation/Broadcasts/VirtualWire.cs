using System.Net.Sockets;
using Ka.Broadcast;

namespace Ka.Simulation.Broadcasts;

/// <summary>What travels at once; an empty one says that nothing more comes.</summary>
readonly record struct Segment(byte[] Bytes, bool IsEnd);

/// <summary>One end of a simulated connection, with the window, the order and the ends of TCP.</summary>
/// <param name="isServing">It was accepted, not dialled.</param>
sealed class VirtualWire(VirtualHost host, string peer, bool isServing = false) : Wire
{
    readonly VirtualThreads _threads = host.Network.Threads;
    readonly Queue<Segment> _outgoing = new();
    readonly Queue<byte[]> _inbox = new();
    VirtualThreads.Strand? _reader;
    VirtualThreads.Strand? _writer;
    int _readFrom;
    int _available;
    int _outstanding;
    long _sentBytes;
    long _lastArrival;
    int _receiveTimeout;
    int _sendTimeout;
    bool _ended;
    bool _otherEnded;
    bool _wasReset;
    bool _closed;
    FrameFlipper? _flipper;
    readonly byte[] _asked = new byte[Handshake.HelloBytes + Handshake.ProofBytes];

    public VirtualWire Other { get; set; } = null!;

    public override string Peer => peer;

    public override int ReceiveTimeout { set => _receiveTimeout = value; }

    public override int SendTimeout { set => _sendTimeout = value; }

    public override int Available
    {
        get
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            return _available;
        }
    }

    public bool HasMore => _outgoing.Count > 0;

    public override int Receive(Span<byte> into)
    {
        var until = Patience(_receiveTimeout);
        while (true)
        {
            _threads.Me();
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_available > 0)
            {
                return Read(into);
            }
            if (_wasReset || _otherEnded)
            {
                return _wasReset ? throw new SocketException((int)SocketError.ConnectionReset) : 0;
            }
            _reader = _threads.Me();
            var woken = _threads.Wait(until);
            _reader = null;
            if (!woken)
            {
                throw new SocketException((int)SocketError.TimedOut);
            }
        }
    }

    public override int Send(List<ArraySegment<byte>> pieces)
    {
        if (pieces.Count == 1)
        {
            return Send(pieces[0]);
        }
        var whole = new byte[pieces.Sum(p => p.Count)];
        var at = 0;
        foreach (var piece in pieces)
        {
            piece.CopyTo(whole, at);
            at += piece.Count;
        }
        return Send(whole);
    }

    public override int Send(ReadOnlySpan<byte> bytes)
    {
        var until = Patience(_sendTimeout);
        while (true)
        {
            _threads.Me();
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_wasReset || _ended)
            {
                throw new SocketException((int)(_ended ? SocketError.Shutdown : SocketError.ConnectionReset));
            }
            var room = Math.Min(bytes.Length, host.Network.Shape.WindowBytes - _outstanding);
            if (room > 0 || bytes.IsEmpty)
            {
                Push(bytes[..room]);
                return room;
            }
            _writer = _threads.Me();
            var woken = _threads.Wait(until);
            _writer = null;
            if (!woken)
            {
                throw new SocketException((int)SocketError.TimedOut);
            }
        }
    }

    public override void ShutdownSend()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        End();
    }

    public override void Reset()
    {
        if (!_closed)
        {
            SendReset();
            Close();
        }
    }

    public override void Dispose()
    {
        if (_closed)
        {
            return;
        }
        if (_available > 0)
        {
            Reset(); // as a kernel does when what came is thrown away unread
            return;
        }
        End();
        _closed = true;
        Wake();
        if (!HasMore)
        {
            host.Forget(this);
        }
    }

    /// <summary>Tells the other side, past everything that is under way.</summary>
    public void SendReset()
    {
        if (host.IsAlive && (!Other._closed || Other._outgoing.Count > 0))
        {
            _threads.At(_threads.Now + host.Network.Latency, Other.Broken);
        }
    }

    public Segment TakeSegment() => _outgoing.Dequeue();

    /// <summary>The segment has left the card.</summary>
    public void Travel(Segment segment)
    {
        if (_closed && _wasReset)
        {
            return;
        }
        var moment = _threads.Now + host.Network.Latency + host.Network.LossDelay();
        moment = Math.Max(_lastArrival, Other.Host.Arrival(moment, segment.Bytes.Length));
        _lastArrival = moment;
        _threads.At(moment, () => Other.Take(segment));
        if (_closed && !HasMore)
        {
            host.Forget(this);
        }
    }

    VirtualHost Host => host;

    void Take(Segment segment)
    {
        if (!host.IsAlive || _wasReset)
        {
            return;
        }
        host.Network.Note(host.Number, segment.Bytes.Length);
        if (_closed)
        {
            if (segment.Bytes.Length > 0)
            {
                SendReset();
            }
            return;
        }
        if (segment.IsEnd)
        {
            _otherEnded = true;
        }
        else
        {
            _inbox.Enqueue(segment.Bytes);
            _available += segment.Bytes.Length;
        }
        if (_reader is { } strand)
        {
            _threads.Wake(strand);
        }
    }

    void Broken()
    {
        if (host.IsAlive && !_wasReset)
        {
            _wasReset = true;
            host.Network.Note(host.Number, -1);
            _outgoing.Clear();
            host.Forget(this);
            Wake();
        }
    }

    int Read(Span<byte> into)
    {
        var total = 0;
        while (total < into.Length && _inbox.TryPeek(out var first))
        {
            var count = Math.Min(into.Length - total, first.Length - _readFrom);
            first.AsSpan(_readFrom, count).CopyTo(into[total..]);
            Other.Host.WireFlips?.Came(first, _readFrom, count);
            (total, _readFrom) = (total + count, _readFrom + count);
            if (_readFrom == first.Length)
            {
                _inbox.Dequeue();
                _readFrom = 0;
            }
        }
        _available -= total;
        Other._outstanding -= total;
        if (Other._writer is { } strand && Other._outstanding <= host.Network.Shape.WindowBytes * 2 / 3) // a kernel wakes no writer for a few bytes
        {
            _threads.Wake(strand);
        }
        return total;
    }

    void Push(ReadOnlySpan<byte> bytes)
    {
        _outstanding += bytes.Length;
        var wasEmpty = !HasMore;
        while (!bytes.IsEmpty)
        {
            var piece = bytes[..Math.Min(bytes.Length, host.Network.Shape.SegmentBytes)].ToArray();
            if (host.FlipsAt >= _sentBytes && host.FlipsAt < _sentBytes + piece.Length)
            {
                piece[host.FlipsAt - _sentBytes] ^= 1;
            }
            Flip(piece);
            _sentBytes += piece.Length;
            _outgoing.Enqueue(new Segment(piece, false));
            bytes = bytes[piece.Length..];
        }
        if (wasEmpty && HasMore)
        {
            host.Queue(this);
        }
    }

    void Flip(byte[] piece)
    {
        if (!isServing)
        {
            piece.AsSpan(0, (int)Math.Clamp(_asked.Length - _sentBytes, 0, piece.Length)).CopyTo(_asked.AsSpan((int)Math.Min(_sentBytes, _asked.Length)));
        }
        else if (host.WireFlips is { } flips)
        {
            _flipper ??= new FrameFlipper(() => Wish.Read(Other._asked.AsSpan(Handshake.HelloBytes + BroadcastKey.MacBytes)).Offset);
            flips.Mark(piece, _flipper.Pass(piece, flips.Due));
        }
    }

    void End()
    {
        if (_ended || _wasReset)
        {
            return;
        }
        _ended = true;
        var wasEmpty = !HasMore;
        _outgoing.Enqueue(new Segment([], true));
        if (wasEmpty)
        {
            host.Queue(this);
        }
    }

    void Close()
    {
        _closed = true;
        _wasReset = true;
        _outgoing.Clear();
        host.Forget(this);
        Wake();
    }

    void Wake()
    {
        if (_reader is { } reader)
        {
            _threads.Wake(reader);
        }
        if (_writer is { } writer)
        {
            _threads.Wake(writer);
        }
    }

    long Patience(int milliseconds) => milliseconds > 0 ? _threads.Now + (milliseconds * 1_000_000L) : long.MaxValue;
}
