using System.Collections.Immutable;

namespace Ka.Broadcast;

/// <summary>One node's part in a chain.</summary>
/// <param name="Upstreams">Where it asks, in order of preference; the server is last.</param>
/// <param name="Successors">How many nodes ask it first.</param>
public sealed record ChainLink(ImmutableArray<ChainPeer> Upstreams, int Successors);

/// <summary>Who asks whom. A pure function of the order of the nodes, which the caller chooses (by rack).</summary>
public static class ChainPlan
{
    /// <summary>
    /// Distances of the predecessors that a node knows before it turns to the server: the nearest, and ever farther ones, so that a whole
    /// rack may be lost.
    /// </summary>
    public static readonly ImmutableArray<int> Distances = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128];

    /// <summary>One link for each node, in the same order.</summary>
    public static ImmutableArray<ChainLink> Of(ImmutableArray<ChainPeer> nodes, ChainPeer server)
    {
        var links = ImmutableArray.CreateBuilder<ChainLink>(nodes.Length);
        for (var i = 0; i < nodes.Length; i++)
        {
            var at = i;
            links.Add(new ChainLink([.. Distances.Where(d => d <= at).Select(d => nodes[at - d]), server], i < nodes.Length - 1 ? 1 : 0));
        }
        return links.MoveToImmutable();
    }
}
