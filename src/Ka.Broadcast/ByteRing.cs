namespace Ka.Broadcast;

/// <summary>
/// The bytes between a node's source and its consumers: one receiver writes at the head, the verifier and each successor follow.
/// The receiver never overwrites what the verifier or an attached successor still needs; what lies behind them stays readable until it is overwritten.
/// </summary>
/// <param name="total">Length of the stream in bytes.</param>
/// <param name="successors">Successors to expect: the first bytes are kept for them for <see cref="ChainOptions.Gather"/>.</param>
sealed partial class ByteRing(int capacity, long total, int successors, ChainOptions options)
{
    readonly int _capacity = SizeOf(capacity, total);
    readonly RingStore _store = RingStore.Of(SizeOf(capacity, total), options);
    readonly BroadcastWorld _world = options.World;
    readonly object _gate = new();
    readonly object _chunkGate = new();
    readonly List<RingReader> _readers = [];
    long _floor;
    long _head;
    long _verified;
    long _sunk;
    bool _sinkSlow;
    bool _closed;
    bool _wantsRoom;
    bool _sinksAtOnce;
    long _wanted = long.MaxValue;
    long _sent;
    int _arrived;
    int _served;
    readonly long _begun = options.World.Now();
    long _readerSeenAt = options.World.Now();
    long _held = long.MaxValue;
    long _heldSince;

    public long Total => total;

    /// <summary>Bytes it holds at most.</summary>
    public int Capacity => _capacity;

    /// <summary>No more than there will ever be, and never nothing.</summary>
    static int SizeOf(int capacity, long total) => (int)Math.Max(1, Math.Min(capacity, total));

    /// <summary>Where the bytes lie.</summary>
    public RingStore Store => _store;

    /// <summary>Bytes received, verified, written and sent, and how many successors are attached.</summary>
    public (long Head, long Verified, long Sunk, long Sent, int Readers) Marks
    {
        get
        {
            lock (_gate)
            {
                return (_head, _verified, _sunk, _sent, _readers.Count);
            }
        }
    }

    /// <summary>Where the next connection has to begin.</summary>
    public long Head
    {
        get
        {
            lock (_gate)
            {
                return _head;
            }
        }
    }

    /// <summary>Waits for room at the head and says how many bytes the store takes there. Lets go successors that hold the ring without reading.</summary>
    public RingSignal Reserve(int wanted, out int count)
    {
        count = 0;
        var waitingSince = _world.Now();
        lock (_gate)
        {
            while (true)
            {
                if (_closed)
                {
                    return RingSignal.Closed;
                }
                var oldest = Oldest();
                var free = _capacity - (_head - oldest);
                count = free > 0 ? (int)Math.Min(Math.Min(wanted, free), _store.Room(_head, oldest)) : 0;
                if (count > 0)
                {
                    _floor = Math.Max(Math.Max(_floor, _store.Floor), _head + count - _capacity);
                    ForgetMended();
                    return RingSignal.Ready;
                }
                _wantsRoom = true;
                _world.Wait(_gate, TimeSpan.FromMilliseconds(Math.Min(100, options.SlowReader.TotalMilliseconds / 4)));
                _wantsRoom = false;
                LetGoSlowReaders();
                _sinkSlow = _sunk == oldest && _world.Since(waitingSince) > options.SlowSink;
                if (_sinkSlow)
                {
                    _world.PulseAll(_gate);
                }
            }
        }
    }

    /// <summary>
    /// Makes received bytes readable. A lone successor that waits for just these bytes gets them here and now, as far as it takes them at once: to
    /// wake its thread would cost more.
    /// </summary>
    public void Commit(int count)
    {
        RingReader? lent = null;
        bool isWanted;
        lock (_gate)
        {
            _head += count;
            _sinkSlow = false;
            if (_sinksAtOnce)
            {
                _verified = _sunk = _head;
            }
            if (isWanted = _head >= _wanted)
            {
                _wanted = long.MaxValue;
            }
            if (_readers is [{ Waits: true, Dropped: false, IsPart: false, Tap.SendsAtOnce: true } only] && only.Position == _head - count)
            {
                (lent, only.IsLent) = (only, true);
            }
            else if (_readers.Count > 0)
            {
                _world.PulseAll(_gate);
            }
        }
        if (isWanted)
        {
            WakeVerifier();
        }
        if (lent is not null)
        {
            SendFor(lent, count);
        }
    }

    void SendFor(RingReader reader, int count)
    {
        var (sent, unfinished) = (0, 0);
        try
        {
            sent = reader.Tap.SendAtOnce(reader.Connection, reader.Position, count, out unfinished);
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or ObjectDisposedException or IOException)
        {
            reader.Connection.Abort();
            unfinished = 1; // its own thread meets the failure there
        }
        lock (_gate)
        {
            reader.Position += sent;
            _sent += sent;
            (reader.Unfinished, reader.IsLent, reader.MovedAt) = (unfinished, false, _world.Now());
            if (unfinished > 0 || reader.Position < _head || reader.Position >= total || reader.Dropped || _closed)
            {
                _world.PulseAll(_gate);
            }
        }
    }

    /// <summary>The verifier waits at a gate of its own, so that it wakes once for each chunk.</summary>
    void WakeVerifier()
    {
        lock (_chunkGate)
        {
            _world.PulseAll(_chunkGate);
        }
    }

    /// <summary>From now on whatever comes counts as verified and written: nobody looks at it.</summary>
    public void SinkAtOnce()
    {
        lock (_gate)
        {
            _sinksAtOnce = true;
            _verified = _sunk = _head;
            _world.PulseAll(_gate);
        }
    }

    /// <summary>Waits until everything before this offset is there.</summary>
    public RingSignal WaitHead(long until)
    {
        lock (_gate)
        {
            _wanted = until;
        }
        lock (_chunkGate)
        {
            while (!Volatile.Read(ref _closed) && Volatile.Read(ref _head) < until)
            {
                _world.Wait(_chunkGate);
            }
        }
        return Volatile.Read(ref _closed) ? RingSignal.Closed : RingSignal.Ready;
    }

    /// <summary>Everything before this offset has the right hash.</summary>
    public void Verified(long offset)
    {
        lock (_gate)
        {
            _verified = offset;
            if (offset >= total || _readers.Any(r => r.IsPart) || _amendmentsAwaited > 0)
            {
                _world.PulseAll(_gate);
            }
        }
    }

    /// <summary>Everything before this offset has been written and may be overwritten.</summary>
    public void Sunk(long offset)
    {
        lock (_gate)
        {
            _sunk = offset;
            if (_wantsRoom)
            {
                _world.PulseAll(_gate);
            }
        }
    }

    /// <summary>Waits until all is verified, or the ring is closed.</summary>
    public void WaitVerified()
    {
        lock (_gate)
        {
            while (!_closed && _verified < total)
            {
                _world.Wait(_gate);
            }
        }
    }

    /// <summary>As <see cref="WaitVerified()"/>, but not for ever.</summary>
    public void WaitVerified(TimeSpan patience)
    {
        var begun = _world.Now();
        lock (_gate)
        {
            while (!_closed && _verified < total && patience - _world.Since(begun) is var left && left > TimeSpan.Zero)
            {
                _world.Wait(_gate, left);
            }
        }
    }

    /// <summary>
    /// Adds a successor at this offset, or at the lowest one that is still held: from there on nothing is overwritten before it has read it. Null when
    /// it has to ask elsewhere, as one has to that wants a part that is not held.
    /// </summary>
    public RingReader? Attach(Wish wish, ChainConnection connection, RingTap tap)
    {
        lock (_gate)
        {
            if (_closed || _sinkSlow || wish.Offset > total || wish.IsPart && (wish.Offset < _floor || wish.Until > total))
            {
                return null;
            }
            var reader = new RingReader(wish, Math.Max(wish.Offset, _floor), connection, tap, _world.Now());
            _readers.Add(reader);
            if (!wish.IsPart)
            {
                _arrived++;
                _held = long.MaxValue;
            }
            _world.PulseAll(_gate);
            return reader;
        }
    }

    public void Detach(RingReader reader)
    {
        lock (_gate)
        {
            _readers.Remove(reader);
            if (!reader.Dropped)
            {
                Hold(reader, _world.Now());
            }
            _served += reader.Position >= total && !reader.IsPart ? 1 : 0;
            _readerSeenAt = _world.Now();
            _world.PulseAll(_gate);
        }
    }

    /// <summary>Moves the reader past what it has sent and waits for more, at most <paramref name="idle"/>.</summary>
    public RingSignal Next(RingReader reader, int taken, int wanted, TimeSpan idle, out int count)
    {
        count = 0;
        lock (_gate)
        {
            if (taken > 0)
            {
                reader.Position += taken;
                reader.Unfinished = 0;
                _sent += taken;
                if (_wantsRoom)
                {
                    _world.PulseAll(_gate);
                }
            }
            var begun = _world.Now();
            while (true)
            {
                if (reader.IsLent)
                {
                    _world.Wait(_gate, idle);
                    continue;
                }
                if (_closed || reader.Dropped)
                {
                    return _closed ? RingSignal.Closed : RingSignal.Dropped;
                }
                if (reader.Unfinished > 0)
                {
                    count = reader.Unfinished;
                    return RingSignal.Unfinished;
                }
                var limit = Limit(reader);
                if (limit > reader.Position)
                {
                    count = (int)Math.Min(wanted, limit - reader.Position);
                    reader.MovedAt = _world.Now(); // its patience counts from here, not from the time it waited
                    return TakeMended(reader, ref count) ? RingSignal.Mended : RingSignal.Ready;
                }
                if (reader.Position >= Math.Min(total, reader.Until))
                {
                    return RingSignal.End;
                }
                if (_sinkSlow)
                {
                    return RingSignal.Dropped;
                }
                var left = idle - _world.Since(Math.Max(begun, reader.MovedAt));
                if (left <= TimeSpan.Zero)
                {
                    return RingSignal.Idle;
                }
                reader.Waits = true;
                _world.Wait(_gate, left);
                reader.Waits = false;
            }
        }
    }

    /// <summary>Waits until the successors of the plan have everything, or none has been attached for a while, or the ring is closed.</summary>
    public void WaitUnread(TimeSpan quiet)
    {
        lock (_gate)
        {
            while (!_closed && (_readers.Count > 0 || _served < successors))
            {
                var left = _readers.Count > 0 ? quiet : quiet - _world.Since(_readerSeenAt);
                if (left <= TimeSpan.Zero)
                {
                    return;
                }
                LetGoSlowReaders();
                _world.Wait(_gate, TimeSpan.FromMilliseconds(Math.Min(100, left.TotalMilliseconds)));
            }
        }
    }

    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (var reader in _readers)
            {
                LetGo(reader);
            }
            _world.PulseAll(_gate);
        }
        WakeVerifier();
    }
}
