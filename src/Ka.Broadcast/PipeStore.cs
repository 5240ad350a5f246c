using System.Security.Cryptography;

namespace Ka.Broadcast;

/// <summary>
/// A ring whose bytes never leave the kernel: it is a row of pipes that hold the pages that the network card delivered. The receiver moves
/// pages from its socket into the last pipe (splice), each successor's thread has its own pipe into which it doubles references to them (tee)
/// and from which it moves them into its socket. Only what is hashed or written is copied, once.
/// </summary>
/// <remarks>A pipe takes <see cref="Slots"/> pieces of at most a page each, as a rule; so the ring is bounded in pages also where packets fill them badly.</remarks>
sealed class PipeStore : RingStore
{
    /// <summary>Pieces that a pipe takes.</summary>
    const int Slots = Pipe.Bytes / 4096;

    /// <summary>Pipes without which there is no sense in it.</summary>
    const int FewestPipes = 4;

    sealed class Segment(Pipe pipe, long start)
    {
        public Pipe Pipe => pipe;

        public long Start => start;

        /// <summary>Bytes in the pipe.</summary>
        public int Length { get; set; }

        public bool IsFull { get; set; }

        public long End => start + Length;
    }

    readonly Lock _gate = new();
    readonly List<Segment> _segments = [];
    readonly Stack<Pipe> _spare;
    readonly int _segmentBytes;
    readonly int _limit;
    int _users = 1;
    bool _isDisposed;

    PipeStore(int capacity, Stack<Pipe> pipes)
    {
        _spare = pipes;
        _segmentBytes = Math.Clamp(capacity / 8, 1, Pipe.Bytes);
        _limit = (int)(2L * capacity / _segmentBytes) + 2; // each is at least half full
    }

    /// <summary>Null where the machine gives no pipes, or no large ones.</summary>
    public static PipeStore? TryCreate(int capacity)
    {
        var pipes = new Stack<Pipe>();
        while (pipes.Count < FewestPipes)
        {
            if (Pipe.TryCreate() is not { } pipe)
            {
                foreach (var made in pipes)
                {
                    made.Dispose();
                }
                return null;
            }
            pipes.Push(pipe);
        }
        return new PipeStore(capacity, pipes);
    }

    public override long Floor
    {
        get
        {
            lock (_gate)
            {
                return _segments.Count == 0 ? 0 : _segments[0].Start;
            }
        }
    }

    public override int Room(long head, long oldest)
    {
        lock (_gate)
        {
            if (_segments.Count > 0 && _segments[^1] is { IsFull: false } open)
            {
                return _segmentBytes - open.Length;
            }
            var pipe = _spare.TryPop(out var spare) ? spare : _segments.Count < _limit ? Pipe.TryCreate() : null;
            if (pipe is null && _segments[0].End <= oldest)
            {
                pipe = _segments[0].Pipe;
                pipe.Drop(_segments[0].Length);
                _segments.RemoveAt(0);
            }
            if (pipe is null)
            {
                return 0;
            }
            _segments.Add(new Segment(pipe, head));
            return _segmentBytes;
        }
    }

    public override int Receive(ChainConnection from, long offset, int count)
    {
        Segment open;
        lock (_gate)
        {
            open = _segments[^1];
        }
        // Whoever splices holds the lock of the pipe: it must not wait for the network meanwhile, because others read from the same pipe.
        from.WaitReadable(count);
        var moved = from.Splice(open.Pipe, count);
        lock (_gate)
        {
            open.Length += moved;
            open.IsFull = moved == 0 || open.Length >= _segmentBytes / 2;
        }
        return moved;
    }

    public override RingTap Tap()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            var pipe = Pipe.TryCreate() ?? throw new IOException("The machine gives no more pipes.");
            _users++;
            return new PipeTap(this, pipe);
        }
    }

    public override void Dispose()
    {
        lock (_gate)
        {
            if (_isDisposed)
            {
                return;
            }
            _isDisposed = true;
        }
        Release();
    }

    /// <summary>Pipes are closed when nobody reads any more.</summary>
    void Release()
    {
        lock (_gate)
        {
            if (--_users > 0)
            {
                return;
            }
            foreach (var pipe in _segments.Select(s => s.Pipe).Concat(_spare))
            {
                pipe.Dispose();
            }
            _segments.Clear();
            _spare.Clear();
        }
    }

    /// <summary>Puts references to bytes from this offset into an empty pipe; zero when they are gone.</summary>
    int Double(Pipe into, long offset, int count)
    {
        int doubled, before;
        lock (_gate)
        {
            if (Find(offset) is not { } segment)
            {
                return 0;
            }
            before = (int)(offset - segment.Start);
            doubled = segment.Pipe.Tee(into, before + Math.Min(count, segment.Length - before));
        }
        into.Drop(Math.Min(before, doubled)); // references are doubled from the start of a pipe only
        return Math.Max(0, doubled - before);
    }

    Segment? Find(long offset)
    {
        for (var i = _segments.Count - 1; i >= 0; i--)
        {
            if (_segments[i].Start <= offset)
            {
                return offset < _segments[i].End ? _segments[i] : null;
            }
        }
        return null;
    }

    sealed class PipeTap(PipeStore store, Pipe own) : RingTap
    {
        byte[] _chunk = [];
        bool _isDisposed;

        public override int Send(ChainConnection to, long offset, int count)
        {
            var held = store.Double(own, offset, count);
            if (held > 0)
            {
                to.SendData(own, held);
            }
            return held;
        }

        public override bool SendsAtOnce => true;

        public override int SendAtOnce(ChainConnection to, long offset, int count, out int unfinished)
        {
            var held = store.Double(own, offset, count);
            var sent = held > 0 ? to.SendDataAtOnce(own, held) : 0;
            if (sent < 0)
            {
                own.Drain();
                unfinished = 0;
                return 0;
            }
            unfinished = held - sent;
            return sent;
        }

        public override void Finish(ChainConnection to, int count) => to.SendRest(own, count);

        public override void Chunk(long start, int length, IncrementalHash? hash, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second)
        {
            if (_chunk.Length < length)
            {
                _chunk = GC.AllocateUninitializedArray<byte>(length);
            }
            for (var done = 0; done < length;)
            {
                var held = store.Double(own, start + done, length - done);
                if (held == 0)
                {
                    throw new InvalidOperationException($"The bytes at {start + done} are gone before they were verified.");
                }
                var piece = _chunk.AsSpan(done, held);
                own.Read(piece);
                hash?.AppendData(piece);
                done += held;
            }
            first = _chunk.AsSpan(0, length);
            second = default;
        }

        public override void Dispose()
        {
            if (!_isDisposed)
            {
                _isDisposed = true;
                own.Dispose();
                store.Release();
            }
        }
    }
}
