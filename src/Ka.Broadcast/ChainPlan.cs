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
    /// Distances of the predecessors that a node knows before it turns to the server: all of about a rack, so that it goes on from the one directly
    /// before those that died (any other has a successor of its own already, and one link does not carry two), and ever farther ones beyond.
    /// </summary>
    public static readonly ImmutableArray<int> Distances = [.. Enumerable.Range(1, 48), 64, 96, 128];

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
