using System.Collections.Immutable;

namespace Ka.Broadcast;

/// <summary>
/// Two complementary binary trees, one for each stripe of the image: a node that hands on in one is a leaf in the other, so that each sends
/// no more than one image and depth costs little (P. Sanders, J. Speck, J. L. Träff: Two-tree algorithms for full bandwidth broadcast, reduction
/// and scan, 2009). Both trees are binary trees in the order of the nodes, the second moved by one place; most links join near neighbours.
/// </summary>
public static class TwoTreePlan
{
    /// <summary>For each node, in the same order, one link for each stripe.</summary>
    public static ImmutableArray<ImmutableArray<ChainLink>> Of(ImmutableArray<ChainPeer> nodes, ChainPeer server)
    {
        var trees = Parents(nodes.Length);
        var children = trees.Select(Shape.Children).ToArray();
        return
        [
            .. Enumerable.Range(0, nodes.Length).Select(i => ImmutableArray.CreateRange(
                Enumerable.Range(0, Stripe.Pair).Select(s => new ChainLink([.. Healing(trees, children[s], s, i).Select(p => nodes[p]), server], children[s][i].Length)))),
        ];
    }

    /// <summary>For each of the two trees, whom each node asks by plan; -1 is the server.</summary>
    public static ImmutableArray<ImmutableArray<int>> Parents(int count) => [Tree(count, 0), Tree(count, 1)];

    /// <summary>
    /// A binary search tree over places 1 to count, in which the place's trailing zero bits are its height: odd places are leaves.
    /// </summary>
    static ImmutableArray<int> Tree(int count, int shift)
    {
        var parents = new int[count];
        for (var i = 0; i < count; i++)
        {
            var place = 1 + ((i + shift) % count);
            var above = Above(place, count);
            parents[i] = above == 0 ? -1 : (above - 1 - shift + count) % count;
        }
        return [.. parents];
    }

    /// <summary>The place over a place; zero for the highest. Where the one over it would be past the end, the next one over that takes it.</summary>
    static int Above(int place, int count)
    {
        for (var bit = place & -place; bit <= count; bit <<= 1)
        {
            place = (place & ~bit) | (bit << 1);
            if (place <= count)
            {
                return place;
            }
        }
        return 0;
    }

    /// <summary>
    /// Whom a node asks, the nearest first, without the server. When a parent is lost, the one over it has a place free in this tree, and the one that fed
    /// the parent in the other tree has one as well: it is a leaf of this tree, beside the lost one. So the child on that one's side turns to its
    /// grandparent and the other child to that leaf, and still nobody sends more than one image. Whoever is asked comes earlier in the preorder that
    /// visits the leaf's side first, so that nobody asks in a circle.
    /// </summary>
    internal static IEnumerable<int> Healing(ImmutableArray<ImmutableArray<int>> trees, ImmutableArray<ImmutableArray<int>> children, int stripe, int node)
    {
        var parents = trees[stripe];
        var parent = parents[node];
        if (parent < 0)
        {
            return [];
        }
        var siblings = children[parent];
        var leaf = trees[1 - stripe][parent];
        var near = leaf < 0 || !children[leaf].IsEmpty ? -1 : siblings.FirstOrDefault(s => s == leaf || Shape.Ancestors(parents, leaf).Contains(s), -1);
        IEnumerable<int> aside = near >= 0
            ? near == node ? [] : [leaf]
            : siblings[0] == node ? [] : [siblings[0]];
        return [parent, .. aside, .. Shape.Ancestors(parents, parent)];
    }
}
