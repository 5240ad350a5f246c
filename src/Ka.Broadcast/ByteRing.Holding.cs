namespace Ka.Broadcast;

/// <summary>What is kept for whom, and who is no longer waited for.</summary>
sealed partial class ByteRing
{
    long Oldest()
    {
        if (_arrived < successors && _world.Since(_begun) < options.Gather)
        {
            return 0;
        }
        if (_held != long.MaxValue && _world.Since(_heldSince) > options.Hold)
        {
            _held = long.MaxValue;
        }
        var oldest = Math.Min(_sunk, _held);
        foreach (var reader in _readers)
        {
            if (!reader.Dropped && reader.Position < oldest)
            {
                oldest = reader.Position;
            }
        }
        return oldest;
    }

    void LetGoSlowReaders()
    {
        // Where more are attached than the plan knows, one of them has probably come in another's place.
        var silence = _readers.Count(r => !r.IsPart) > successors ? options.Suspect : options.Silence;
        foreach (var reader in _readers)
        {
            // Only one that could read on is slow; one that waits for the head is not.
            if (reader.Dropped || reader.Position >= _head)
            {
                continue;
            }
            var still = _world.Since(reader.MovedAt);
            if (still > options.SlowReader || reader.Connection.IsSilent(silence) && still > options.KeepAlive)
            {
                LetGo(reader);
                Hold(reader, still > options.SlowReader ? _world.Now() : reader.Connection.HeardAt);
            }
        }
        _readers.RemoveAll(r => r.Dropped);
    }

    /// <summary>Looks which successors beat, so that the silence of one is known from its beginning, also while there is room and nobody is waited for.</summary>
    public void HearReaders()
    {
        lock (_gate)
        {
            foreach (var reader in _readers)
            {
                if (!reader.Dropped && !reader.IsPart && reader.Position < total) // at the end its own thread listens
                {
                    reader.Connection.Hear();
                }
            }
        }
    }

    /// <param name="since">When it was lost; what comes in its place has heard nothing since then either.</param>
    void Hold(RingReader reader, long since)
    {
        var others = _readers.Count(r => r != reader && !r.Dropped && !r.IsPart);
        if (!reader.IsPart && reader.Followed && reader.Position < total && others < Math.Max(1, successors)) // else the one that comes in its place is here
        {
            _heldSince = _held == long.MaxValue ? since : Math.Max(_heldSince, since);
            _held = Math.Min(_held, reader.Position);
        }
    }

    static void LetGo(RingReader reader)
    {
        reader.Dropped = true;
        reader.Connection.Abort();
    }
}
