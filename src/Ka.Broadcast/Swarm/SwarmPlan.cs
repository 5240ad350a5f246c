using System.Collections.Immutable;

namespace Ka.Broadcast.Swarm;

/// <summary>Whom a node of a swarm may turn to.</summary>
/// <param name="Peers">In the order in which it dials them; it keeps a few at a time and takes the next when one is lost.</param>
/// <param name="IsFirstHand">It takes from the server from the start.</param>
/// <param name="Place">In the order of the nodes: the later, the longer it waits before it turns to the server by itself.</param>
public sealed record SwarmLink(ImmutableArray<ChainPeer> Peers, bool IsFirstHand, int Place);

/// <summary>
/// Who knows whom in a swarm: neighbours at distances of powers of two, forwards and backwards, in the order of the nodes (racks together), so that
/// any two nodes are joined by few steps however many there are, and nobody has to know all. A pure function.
/// </summary>
public static class SwarmPlan
{
    /// <summary>How many nodes take from the server at first. Each asks for what the others do not have yet: together they take little more than one image.</summary>
    public const int FirstHands = 4;

    /// <summary>One link for each node, in the same order.</summary>
    public static ImmutableArray<SwarmLink> Of(ImmutableArray<ChainPeer> nodes) =>
        [.. nodes.Select((_, i) => new SwarmLink([.. Neighbours(i, nodes.Length).Select(n => nodes[n])], IsFirstHand(i, nodes.Length), i))];

    /// <summary>Spread over the order, so that not one rack has them all.</summary>
    static bool IsFirstHand(int node, int count) => count <= FirstHands || node % ((count + FirstHands - 1) / FirstHands) == 0;

    /// <summary>Near and far in turn, each side in turn: +1, -2, +4, -8, …, then -1, +2, -4, …</summary>
    internal static IEnumerable<int> Neighbours(int node, int count)
    {
        var steps = new List<int>();
        for (var round = 0; round < 2; round++)
        {
            for (var (distance, side) = (1, round == 0 ? 1 : -1); distance < count; (distance, side) = (distance * 2, -side))
            {
                steps.Add(((node + (side * distance)) % count + count) % count);
            }
        }
        return steps.Where(s => s != node).Distinct();
    }
}
