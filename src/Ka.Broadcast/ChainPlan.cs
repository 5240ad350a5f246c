using System.Collections.Immutable;

namespace Ka.Broadcast;

/// <summary>One node's part in a chain.</summary>
/// <param name="Upstreams">Where it asks, in order of preference; the server is last.</param>
/// <param name="Successors">How many nodes ask it first.</param>
public sealed record ChainLink(ImmutableArray<ChainPeer> Upstreams, int Successors);

/// <summary>Who asks whom. A pure function of the order of the nodes, which the caller chooses (by rack).</summary>
public static class ChainPlan
{
    /// <summary>A node knows this many predecessors before it turns to the server.</summary>
    public const int Predecessors = 3;

    /// <summary>One link for each node, in the same order.</summary>
    public static ImmutableArray<ChainLink> Of(ImmutableArray<ChainPeer> nodes, ChainPeer server)
    {
        var links = ImmutableArray.CreateBuilder<ChainLink>(nodes.Length);
        for (var i = 0; i < nodes.Length; i++)
        {
            var upstreams = ImmutableArray.CreateBuilder<ChainPeer>();
            for (var j = i - 1; j >= Math.Max(0, i - Predecessors); j--)
            {
                upstreams.Add(nodes[j]);
            }
            upstreams.Add(server);
            links.Add(new ChainLink(upstreams.ToImmutable(), i < nodes.Length - 1 ? 1 : 0));
        }
        return links.MoveToImmutable();
    }
}
