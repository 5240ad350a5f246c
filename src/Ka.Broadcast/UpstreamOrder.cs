using System.Collections.Immutable;

namespace Ka.Broadcast;

/// <summary>Who gave a part of the stream.</summary>
readonly record struct Giver(ChainPeer Peer, long From, long Until);

/// <summary>
/// Which source is asked next. Pure bookkeeping: the last source is the server, which is never banned. Not safe for several threads at once.
/// </summary>
sealed class UpstreamOrder
{
    readonly HashSet<ChainPeer> _banned = [];
    readonly List<(long Offset, ChainPeer Peer)> _connections = [];
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

    /// <summary>Who gave a part of the stream, in order.</summary>
    public ImmutableArray<Giver> Givers(long from, long until)
    {
        var givers = ImmutableArray.CreateBuilder<Giver>();
        for (var i = 0; i < _connections.Count; i++)
        {
            var end = i + 1 < _connections.Count ? _connections[i + 1].Offset : long.MaxValue;
            if (_connections[i].Offset < until && end > from)
            {
                givers.Add(new Giver(_connections[i].Peer, Math.Max(from, _connections[i].Offset), Math.Min(until, end)));
            }
        }
        return givers.ToImmutable();
    }

    /// <summary>Peers but these, and no banned ones, the nearest first.</summary>
    public ImmutableArray<ChainPeer> But(IEnumerable<ChainPeer> these) => [.. _upstreams.SkipLast(1).Except(these).Where(p => !_banned.Contains(p))];

    /// <summary>It is not asked any more. The server never is banned.</summary>
    public void Ban(ChainPeer peer)
    {
        if (peer != Server && _banned.Add(peer) && peer == Current)
        {
            Current = Candidates().FirstOrDefault(Server);
        }
    }
}
