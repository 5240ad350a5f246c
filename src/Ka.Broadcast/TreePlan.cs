using System.Collections.Immutable;

namespace Ka.Broadcast;

/// <summary>
/// Who asks whom in a tree below the server in which everybody has up to so many successors. A pure function of the order of the nodes.
/// A link carries its bytes once for each successor, so an image takes that many times as long as by a chain, but its first byte
/// passes few nodes on its way.
/// </summary>
public static class TreePlan
{
    /// <summary>Successors of the server and of each node.</summary>
    public const int DefaultArity = 2;

    /// <summary>Sources that a node knows besides the server.</summary>
    const int KnownLimit = 11;

    /// <summary>
    /// One link for each node, in the same order. A node turns to its parent, then to its grandparent, then to its parent's siblings, then one
    /// level further up to each; all of them are nearer to the server than itself, so that nobody can wait for itself.
    /// </summary>
    public static ImmutableArray<ChainLink> Of(ImmutableArray<ChainPeer> nodes, ChainPeer server, int arity = DefaultArity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(arity, 1);
        var links = ImmutableArray.CreateBuilder<ChainLink>(nodes.Length);
        for (var i = 0; i < nodes.Length; i++)
        {
            var children = Math.Clamp(nodes.Length - ((i + 1L) * arity), 0, arity);
            links.Add(new ChainLink([.. Above(i, arity).Take(KnownLimit).Select(n => nodes[n]), server], (int)children));
        }
        return links.MoveToImmutable();
    }

    /// <summary>Parent, grandparent, the parent's siblings; great-grandparent, the grandparent's siblings; and so on.</summary>
    static IEnumerable<int> Above(int node, int arity)
    {
        var known = new HashSet<int>();
        for (var parent = Parent(node, arity); parent >= 0; parent = Parent(parent, arity))
        {
            if (known.Add(parent))
                yield return parent;
            var grandparent = Parent(parent, arity);
            if (grandparent >= 0 && known.Add(grandparent))
                yield return grandparent;
            for (var sibling = (grandparent + 1) * arity; sibling < (grandparent + 2) * arity; sibling++)
                if (known.Add(sibling))
                    yield return sibling;
        }
    }

    /// <summary>Below zero for the server.</summary>
    static int Parent(int node, int arity) => (node / arity) - 1;
}
