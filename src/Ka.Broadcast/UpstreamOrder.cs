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
sealed class UpstreamOrder
{
    readonly HashSet<ChainPeer> _banned = [];
    readonly List<(long Offset, ChainPeer Peer)> _connections = [];
    readonly Dictionary<long, (int Times, int FromServer)> _bad = [];
    ImmutableArray<ChainPeer> _upstreams;

    public UpstreamOrder(ImmutableArray<ChainPeer> upstreams) => (_upstreams, Current) = (upstreams, upstreams[0]);

    public ChainPeer Current { get; private set; }

    public ChainPeer Server => _upstreams[^1];

    /// <summary>Peers that may be asked when the present source has failed: those after it; after the server, which ends a round, all.</summary>
    public ImmutableArray<ChainPeer> Candidates() =>
        [.. _upstreams.Skip(Current == Server ? 0 : _upstreams.IndexOf(Current) + 1).Where(p => p != Server && p != Current && !_banned.Contains(p))];

    public void Choose(ChainPeer peer) => Current = peer;

    /// <summary>A new order of sources. The present one is kept where it is still among them; bans stay.</summary>
    public void Replace(ImmutableArray<ChainPeer> upstreams)
    {
        _upstreams = upstreams;
        if (!upstreams.Contains(Current))
        {
            Current = upstreams.First(p => p == Server || !_banned.Contains(p));
        }
    }

    /// <summary>Bytes from this offset on come from this source.</summary>
    public void Connected(long offset, ChainPeer peer)
    {
        _connections.RemoveAll(c => c.Offset >= offset);
        _connections.Add((offset, peer));
    }

    /// <summary>Judges a chunk with a wrong hash.</summary>
    public Blame BadChunk(long start, int length)
    {
        var givers = new HashSet<ChainPeer>();
        for (var i = 0; i < _connections.Count; i++)
        {
            var until = i + 1 < _connections.Count ? _connections[i + 1].Offset : long.MaxValue;
            if (_connections[i].Offset < start + length && until > start)
            {
                givers.Add(_connections[i].Peer);
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
        if (_banned.Contains(Current))
        {
            Current = Candidates().FirstOrDefault(Server);
        }
        return Blame.PeersBanned;
    }
}
