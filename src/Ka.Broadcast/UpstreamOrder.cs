using System.Collections.Immutable;

namespace Ka.Broadcast;

/// <summary>What a bad chunk leads to.</summary>
enum Blame
{
    /// <summary>Ask the same source again: it may have passed on what it had not yet checked, and knows better by now.</summary>
    AskAgain,

    /// <summary>The peers that gave it are not asked again.</summary>
    PeersBanned,

    /// <summary>The server itself gave it twice: the image is not what was registered.</summary>
    ImageCorrupt,
}

/// <summary>
/// Which source is asked next. Pure bookkeeping: the last source is the server, which is never banned. Not safe for several threads at once.
/// </summary>
sealed class UpstreamOrder(ImmutableArray<ChainPeer> upstreams)
{
    readonly HashSet<int> _banned = [];
    readonly List<(long Offset, int Index)> _connections = [];
    readonly Dictionary<long, (int Times, int FromServer)> _bad = [];

    public int Index { get; private set; }

    public ChainPeer Current => upstreams[Index];

    public int Server => upstreams.Length - 1;

    /// <summary>The source failed: on to the next, and from the server back to the first peer that is not banned. True when the round is complete.</summary>
    public bool MoveOn()
    {
        var wrapped = false;
        do
        {
            Index++;
            if (Index > Server)
            {
                Index = 0;
                wrapped = true;
            }
        }
        while (_banned.Contains(Index));
        return wrapped;
    }

    /// <summary>Bytes from this offset on come from the present source.</summary>
    public void Connected(long offset)
    {
        _connections.RemoveAll(c => c.Offset >= offset);
        _connections.Add((offset, Index));
    }

    /// <summary>Judges a chunk with a wrong hash.</summary>
    public Blame BadChunk(long start, int length)
    {
        var givers = new HashSet<int>();
        for (var i = 0; i < _connections.Count; i++)
        {
            var until = i + 1 < _connections.Count ? _connections[i + 1].Offset : long.MaxValue;
            if (_connections[i].Offset < start + length && until > start)
            {
                givers.Add(_connections[i].Index);
            }
        }
        var (times, fromServer) = _bad.GetValueOrDefault(start);
        times++;
        if (givers.Count == 1 && givers.Contains(Server))
        {
            fromServer++;
        }
        _bad[start] = (times, fromServer);
        if (fromServer >= 2)
        {
            return Blame.ImageCorrupt;
        }
        if (times == 1 || fromServer > 0)
        {
            return Blame.AskAgain;
        }
        givers.Remove(Server);
        _banned.UnionWith(givers);
        if (_banned.Contains(Index))
        {
            MoveOn();
        }
        return Blame.PeersBanned;
    }
}
