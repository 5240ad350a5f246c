using Ka.Core;

namespace Ka.Broadcast.Swarm;

/// <summary>What is known of one peer that chunks are taken from.</summary>
sealed class SwarmHolder(ChainPeer peer, bool isServer, int chunks)
{
    public ChainPeer Peer { get; } = peer;

    /// <summary>It has everything, and is asked only for what no peer has.</summary>
    public bool IsServer { get; } = isServer;

    public bool[] Has { get; } = new bool[chunks];

    /// <summary>Chunks that it was asked for and has not given yet.</summary>
    public HashSet<int> Asked { get; } = [];

    /// <summary>It has taken the handshake, and can be asked.</summary>
    public bool IsOpen { get; set; }
}

/// <summary>
/// Which chunk is asked of whom: the rarest first among those that are wanted soon (BEP 3's choice, B. Cohen: Incentives build robustness in
/// BitTorrent, 2003), and at the end what is late from a second peer as well. Pure bookkeeping; not safe for several threads at once.
/// </summary>
sealed class SwarmBoard
{
    /// <summary>Chunks further ahead of the first missing one than a quarter of the image, and than this, wait: the sink takes them in order.</summary>
    const int LeastAhead = 64;

    /// <summary>At most so many peers are asked for one chunk.</summary>
    const int MostCopies = 2;

    /// <summary>At the end a chunk that was asked for before so long is asked of one more.</summary>
    static readonly TimeSpan Lateness = TimeSpan.FromSeconds(0.5);

    readonly ulong _seed;
    readonly bool[] _have;
    readonly byte[] _asked;
    readonly int[] _spread;
    readonly TimeSpan[] _askedAt;
    readonly HashSet<SwarmHolder> _holders = [];
    int _unasked;

    /// <param name="seed">Breaks ties; another for each node, so that they ask for different chunks.</param>
    public SwarmBoard(int chunks, ulong seed)
    {
        (_seed, _unasked) = (seed, chunks);
        (_have, _asked, _spread, _askedAt) = (new bool[chunks], new byte[chunks], new int[chunks], new TimeSpan[chunks]);
    }

    public int Count { get; private set; }

    public bool IsComplete => Count == _have.Length;

    /// <summary>All chunks before this one are there.</summary>
    public int Prefix { get; private set; }

    public bool Has(int chunk) => _have[chunk];

    public void Join(SwarmHolder holder) => _holders.Add(holder);

    /// <summary>A peer is gone: what it was asked for may be asked of others.</summary>
    public void Leave(SwarmHolder holder)
    {
        if (!_holders.Remove(holder))
        {
            return;
        }
        foreach (var chunk in holder.Asked.ToArray())
        {
            Returned(holder, chunk);
        }
        for (var chunk = 0; chunk < _have.Length && !holder.IsServer; chunk++)
        {
            _spread[chunk] -= holder.Has[chunk] ? 1 : 0;
        }
    }

    /// <summary>A peer says that it has a chunk. False when there is no such chunk.</summary>
    public bool Learn(SwarmHolder holder, int chunk)
    {
        if (chunk < 0 || chunk >= _have.Length)
        {
            return false;
        }
        if (!holder.Has[chunk] && !holder.IsServer)
        {
            _spread[chunk]++;
        }
        holder.Has[chunk] = true;
        return true;
    }

    /// <summary>Chooses what to ask a peer for and notes that it was asked; null when it has nothing that is wanted.</summary>
    /// <param name="now">Since any fixed moment.</param>
    public int? Ask(SwarmHolder holder, TimeSpan now)
    {
        var chosen = Rarest(holder) ?? Late(holder, now);
        if (chosen is { } chunk)
        {
            holder.Asked.Add(chunk);
            _unasked -= _asked[chunk]++ == 0 ? 1 : 0;
            _askedAt[chunk] = now;
        }
        return chosen;
    }

    /// <summary>A chunk came and was right. False when it was there already.</summary>
    public bool Came(SwarmHolder holder, int chunk)
    {
        var isNew = !_have[chunk];
        if (isNew)
        {
            _have[chunk] = true;
            Count++;
            _unasked -= _asked[chunk] == 0 ? 1 : 0;
        }
        Returned(holder, chunk);
        while (Prefix < _have.Length && _have[Prefix])
        {
            Prefix++;
        }
        return isNew;
    }

    /// <summary>A chunk came and was wrong.</summary>
    public void Returned(SwarmHolder holder, int chunk)
    {
        if (holder.Asked.Remove(chunk) && --_asked[chunk] == 0 && !_have[chunk])
        {
            _unasked++;
        }
    }

    int? Rarest(SwarmHolder holder)
    {
        var ahead = Math.Min(_have.Length, Prefix + Math.Max(LeastAhead, _have.Length / 4));
        (int Spread, ulong Luck) least = (int.MaxValue, 0);
        int? rarest = null;
        for (var chunk = Prefix; chunk < ahead; chunk++)
        {
            if (_have[chunk] || _asked[chunk] > 0 || !holder.Has[chunk] || (holder.IsServer && _spread[chunk] > 0))
            {
                continue;
            }
            var rarity = (_spread[chunk], SplitMix64.At(_seed, (ulong)chunk));
            if (rarity.CompareTo(least) < 0)
            {
                (rarest, least) = (chunk, rarity);
            }
        }
        return rarest;
    }

    /// <summary>All that is missing has been asked for: what takes long is asked of one more.</summary>
    int? Late(SwarmHolder holder, TimeSpan now)
    {
        if (_unasked > 0)
        {
            return null;
        }
        for (var chunk = Prefix; chunk < _have.Length; chunk++)
        {
            if (!_have[chunk] && holder.Has[chunk] && _asked[chunk] < MostCopies && !holder.Asked.Contains(chunk) && now - _askedAt[chunk] > Lateness)
            {
                return chunk;
            }
        }
        return null;
    }
}
