namespace Ka.Broadcast.Swarm;

/// <summary>Whom a node of a swarm is connected with, and whom it may turn to next. Bookkeeping; not safe for several threads at once.</summary>
sealed class SwarmContacts(SwarmLink link, ChainPeer server, ChainOptions options)
{
    /// <summary>By how much longer each node waits than the one before it until it turns to the server: the first that does feeds the others.</summary>
    static readonly TimeSpan PatienceStep = TimeSpan.FromMilliseconds(100);

    static readonly TimeSpan MostPatience = TimeSpan.FromSeconds(8);

    readonly HashSet<ChainPeer> _using = [];
    readonly HashSet<ChainPeer> _banned = [];
    readonly Dictionary<ChainPeer, long> _failed = [];

    /// <summary>The next peer to dial, or null when there are enough or none is left for now.</summary>
    public ChainPeer? NextPeer() => _using.Count(p => p != server) >= SwarmPlan.FirstPeers
        ? null
        : link.Peers.FirstOrDefault(p => !_using.Contains(p) && !_banned.Contains(p) && !FailedWithin(p, options.Silence));

    /// <summary>The first hands turn to it from the start; the others when nothing has come for long, the later in the order the longer.</summary>
    /// <param name="sinceCame">Since the last chunk came.</param>
    public bool NeedsServer(TimeSpan sinceCame)
    {
        if (_using.Contains(server) || FailedWithin(server, options.Retry))
        {
            return false;
        }
        var patience = options.Silence + (PatienceStep * link.Place);
        return link.IsFirstHand || sinceCame > (patience < MostPatience ? patience : MostPatience);
    }

    public void Use(ChainPeer peer) => _using.Add(peer);

    public void Lost(ChainPeer peer)
    {
        _using.Remove(peer);
        _failed[peer] = options.World.Now();
    }

    /// <summary>It gave what was wrong: it is not asked again.</summary>
    public void Ban(ChainPeer peer) => _banned.Add(peer);

    bool FailedWithin(ChainPeer peer, TimeSpan span) => _failed.TryGetValue(peer, out var at) && options.World.Since(at) < span;
}
