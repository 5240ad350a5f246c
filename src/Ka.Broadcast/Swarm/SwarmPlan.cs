using System.Collections.Immutable;

namespace Ka.Broadcast.Swarm;

/// <summary>Whom a node of a swarm may turn to.</summary>
/// <param name="Peers">In the order in which it dials them; it keeps a few at a time and takes the next when one is lost.</param>
/// <param name="IsFirstHand">It takes from the server from the start.</param>
/// <param name="Place">In the order of the nodes: the later, the longer it waits before it turns to the server by itself.</param>
public sealed record SwarmLink(ImmutableArray<ChainPeer> Peers, bool IsFirstHand, int Place);

/// <summary>
/// Who knows whom in a swarm: some near and some far in the order of the nodes (racks together), so that any two nodes are joined by few steps however
/// many there are, and nobody has to know all. A pure function.
/// </summary>
public static class SwarmPlan
{
    /// <summary>How many nodes take from the server at first. Each asks for what the others do not have yet: together they take little more than one image.</summary>
    public const int FirstHands = 4;

    /// <summary>Peers that a node takes from at a time.</summary>
    public const int FirstPeers = 4;

    /// <summary>One link for each node, in the same order.</summary>
    public static ImmutableArray<SwarmLink> Of(ImmutableArray<ChainPeer> nodes) =>
        [.. nodes.Select((_, i) => new SwarmLink([.. Neighbours(i, nodes.Length).Select(n => nodes[n])], IsFirstHand(i, nodes.Length), i))];

    /// <summary>Spread over the order, so that not one rack has them all.</summary>
    static bool IsFirstHand(int node, int count) =>
        Enumerable.Range(0, Math.Min(FirstHands, count)).Any(k => (int)((long)k * count / Math.Min(FirstHands, count)) == node);

    /// <summary>
    /// The first four at distances of 1 and the powers of the fourth root of the count, on either side in turn: by these alone everybody is reached in
    /// few steps. Then at powers of two on both sides, for when some of the first are lost.
    /// </summary>
    internal static IEnumerable<int> Neighbours(int node, int count)
    {
        var far = Enumerable.Range(0, FirstPeers).Select(k => (int)Math.Round(Math.Pow(count, (double)k / FirstPeers)) * (k % 2 == 0 ? 1 : -1));
        var spare = Enumerable.Range(0, 31).Select(k => 1L << k).TakeWhile(d => d < count).SelectMany(d => new[] { (int)-d, (int)d });
        return far.Concat(spare).Select(d => (int)((((long)node + d) % count + count) % count)).Where(n => n != node).Distinct();
    }
}
