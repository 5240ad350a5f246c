using System.Net;

namespace Ka.Broadcast.Multicast;

/// <summary>
/// What the sender knows of its receivers: how far it may go without losing the slowest of them, which pieces it must send again, and whether all is
/// done. Pure bookkeeping over times that it is given; not safe for several threads at once.
/// </summary>
sealed class Audience(int expected, int chunks, MulticastOptions options)
{
    sealed class Receiver
    {
        public TimeSpan Heard, Moved;
        public int Next;
        public bool Slow;
    }

    readonly Dictionary<IPEndPoint, Receiver> _receivers = [];
    readonly Queue<(int Chunk, int Piece)> _repairs = new();
    readonly Dictionary<(int Chunk, int Piece), TimeSpan> _repaired = [];
    readonly HashSet<(int, int)> _queued = [];
    TimeSpan? _first;

    public int Count => _receivers.Count;

    /// <summary>All are there, or one is and the others were waited for.</summary>
    public bool IsGathered(TimeSpan now) => _receivers.Count >= expected || (_first is { } first && now - first >= options.Gather);

    /// <summary>Takes note of a receiver's state.</summary>
    /// <param name="sent">The first piece that was not sent yet: nobody can have lost it.</param>
    public void Heard(IPEndPoint from, ReceiverState state, (int Chunk, int Piece) sent, TimeSpan now)
    {
        _first ??= now;
        if (!_receivers.TryGetValue(from, out var receiver))
        {
            // Who comes when others have left its part behind gets that by unicast.
            _receivers[from] = receiver = new Receiver { Moved = now, Slow = sent.Chunk >= options.Width };
        }
        receiver.Heard = now;
        if (state.Next > receiver.Next)
        {
            (receiver.Next, receiver.Moved) = (state.Next, now);
            receiver.Slow &= sent.Chunk - state.Next >= options.Width;
        }
        foreach (var range in receiver.Slow ? [] : state.Missing)
        {
            for (var piece = range.First; piece < range.First + range.Count && (range.Chunk, piece).CompareTo(sent) < 0; piece++)
            {
                Want((range.Chunk, piece), now);
            }
        }
    }

    void Want((int Chunk, int Piece) piece, TimeSpan now)
    {
        if (piece.Chunk >= 0 && !(_repaired.TryGetValue(piece, out var last) && now - last < options.RepairPause) && _queued.Add(piece))
        {
            _repairs.Enqueue(piece);
        }
    }

    /// <summary>A piece that somebody has lost, or null.</summary>
    public (int Chunk, int Piece)? Repair(TimeSpan now)
    {
        if (!_repairs.TryDequeue(out var piece))
        {
            return null;
        }
        _queued.Remove(piece);
        _repaired[piece] = now;
        return piece;
    }

    /// <summary>The first chunk that must not be sent yet.</summary>
    public int Limit(TimeSpan now)
    {
        var limit = chunks;
        foreach (var receiver in Live(now))
        {
            limit = Math.Min(limit, receiver.Next + options.Width);
        }
        Forget(limit - options.Width);
        return limit;
    }

    /// <summary>Everybody who is still heard of has everything, or gets it otherwise.</summary>
    public bool IsDone(TimeSpan now) => _repairs.Count == 0 && Live(now).All(r => r.Next >= chunks);

    IEnumerable<Receiver> Live(TimeSpan now)
    {
        foreach (var receiver in _receivers.Values)
        {
            receiver.Slow |= receiver.Next < chunks && now - receiver.Moved > options.Slow;
            if (!receiver.Slow && now - receiver.Heard <= options.Silence)
            {
                yield return receiver;
            }
        }
    }

    /// <summary>Nobody asks for chunks below this one any more.</summary>
    void Forget(int below)
    {
        if (_repaired.Count > 100_000)
        {
            foreach (var piece in _repaired.Keys.Where(p => p.Chunk < below).ToArray())
            {
                _repaired.Remove(piece);
            }
        }
    }
}
