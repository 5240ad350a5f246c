namespace Ka.Broadcast;

/// <summary>Bytes from an offset on.</summary>
readonly record struct Run(long Offset, byte[] Bytes)
{
    public long End => Offset + Bytes.Length;
}

/// <summary>
/// Chunks that were wrong. The store keeps the wrong bytes, and all that came behind them; what is right lies beside it, and nobody is given the
/// wrong bytes once they are known.
/// </summary>
sealed partial class ByteRing
{
    /// <summary>Bytes of amendments that are kept; what is older is forgotten.</summary>
    const int AmendmentLimit = 4 * 1024 * 1024;

    readonly List<Run> _mended = [];
    readonly Dictionary<long, IReadOnlyList<Run>> _amendments = [];
    readonly Queue<long> _amended = new();
    (long Start, long End) _hole;
    long _amendmentBytes;
    int _amendmentsAwaited;
    bool _amendmentsForgotten;

    /// <summary>A chunk is wrong: who has not read it yet waits before it, or within it.</summary>
    public void Withhold(long start, int length)
    {
        lock (_gate)
        {
            _hole = (start, start + length);
        }
    }

    /// <summary>The chunk that was withheld is right now.</summary>
    /// <param name="amendment">Where it was wrong.</param>
    public void Mend(Run chunk, IReadOnlyList<Run> amendment)
    {
        lock (_gate)
        {
            _hole = default;
            _mended.Add(chunk);
            _amendments[chunk.Offset] = amendment;
            _amended.Enqueue(chunk.Offset);
            _amendmentBytes += amendment.Sum(r => r.Bytes.Length);
            while (_amendmentBytes > AmendmentLimit && _amended.Count > 1)
            {
                _amendments.Remove(_amended.Dequeue(), out var oldest);
                _amendmentBytes -= oldest!.Sum(r => r.Bytes.Length);
                _amendmentsForgotten = true;
            }
            _world.PulseAll(_gate);
        }
    }

    /// <summary>Waits, at most <paramref name="idle"/>, until a chunk is proved and says where it was wrong when it came: nowhere, as a rule.</summary>
    /// <returns>End; Idle; Dropped when it is not known any more; Closed.</returns>
    public RingSignal WaitAmendment(long start, long end, TimeSpan idle, out IReadOnlyList<Run> amendment)
    {
        amendment = [];
        var begun = _world.Now();
        lock (_gate)
        {
            _amendmentsAwaited++;
            while (!_closed && _verified < end && idle - _world.Since(begun) is var left && left > TimeSpan.Zero)
            {
                _world.Wait(_gate, left);
            }
            _amendmentsAwaited--;
            if (_closed || _verified < end)
            {
                return _closed ? RingSignal.Closed : RingSignal.Idle;
            }
            amendment = _amendments.GetValueOrDefault(start, []);
            return amendment.Count == 0 && _amendmentsForgotten ? RingSignal.Dropped : RingSignal.End;
        }
    }

    /// <summary>How far an asker may read.</summary>
    long Limit(RingReader reader) =>
        reader.IsPart ? Math.Min(_verified, reader.Until) : reader.Position < _hole.End ? Math.Min(_head, _hole.Start) : _head;

    /// <summary>Of what a reader is about to read, takes what is mended, or cuts it off before that.</summary>
    bool TakeMended(RingReader reader, ref int count)
    {
        foreach (var chunk in _mended)
        {
            if (chunk.End <= reader.Position || chunk.Offset >= reader.Position + count)
            {
                continue;
            }
            if (chunk.Offset > reader.Position)
            {
                count = (int)(chunk.Offset - reader.Position);
                continue;
            }
            count = (int)Math.Min(count, chunk.End - reader.Position);
            reader.Mended = new ArraySegment<byte>(chunk.Bytes, (int)(reader.Position - chunk.Offset), count);
            return true;
        }
        return false;
    }

    void ForgetMended()
    {
        if (_mended.Count > 0)
        {
            _mended.RemoveAll(m => m.End <= _floor);
        }
    }
}
