using System.Collections.Immutable;

namespace Ka.Broadcast;

/// <summary>
/// A tree in which every node hands on to at most so many others while it receives. A pure function of the order of the nodes, which the caller
/// chooses (by rack): each node's successors stand for runs of neighbours, so that few links leave a rack.
/// </summary>
public static class TreePlan
{
    /// <summary>Successors of each node.</summary>
    public const int DefaultArity = 2;

    /// <summary>One link for each node, in the same order. The first node asks the server.</summary>
    public static ImmutableArray<ChainLink> Of(ImmutableArray<ChainPeer> nodes, ChainPeer server, int arity = DefaultArity)
    {
        var parents = Parents(nodes.Length, arity);
        var children = Shape.Children(parents);
        var links = ImmutableArray.CreateBuilder<ChainLink>(nodes.Length);
        for (var i = 0; i < nodes.Length; i++)
        {
            links.Add(new ChainLink([.. Healing(parents, children, i).Select(p => nodes[p]), server], children[i].Length));
        }
        return links.MoveToImmutable();
    }

    /// <summary>Whom each node asks by plan; -1 is the server.</summary>
    public static ImmutableArray<int> Parents(int count, int arity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(arity, 1);
        var parents = new int[count];
        var open = new Stack<(int Parent, int From, int Until)>([(-1, 0, count)]);
        while (open.TryPop(out var run))
        {
            if (run.From >= run.Until)
            {
                continue;
            }
            parents[run.From] = run.Parent;
            var rest = run.Until - run.From - 1;
            for (var k = 0; k < arity; k++)
            {
                open.Push((run.From, run.From + 1 + (int)((long)rest * k / arity), run.From + 1 + (int)((long)rest * (k + 1) / arity)));
            }
        }
        return [.. parents];
    }

    /// <summary>
    /// Whom a node asks, the nearest first, without the server: its parent; where it is not the first child, the node before it, which has nobody
    /// to hand on to, and its sibling, so that the orphans of one node do not all turn to the same; then the parent's ancestors. Whoever is asked
    /// comes earlier in the order of the nodes, so that nobody asks in a circle.
    /// </summary>
    internal static IEnumerable<int> Healing(ImmutableArray<int> parents, ImmutableArray<ImmutableArray<int>> children, int node)
    {
        var parent = parents[node];
        if (parent < 0)
        {
            return [];
        }
        var place = children[parent].IndexOf(node);
        IEnumerable<int> aside = place > 0 ? new[] { node - 1, children[parent][place - 1] }.Distinct() : [];
        return [parent, .. aside, .. Shape.Ancestors(parents, parent)];
    }
}

/// <summary>Reading of a tree that is given as the parent of each node, -1 for the server.</summary>
static class Shape
{
    public static ImmutableArray<ImmutableArray<int>> Children(ImmutableArray<int> parents)
    {
        var lists = new List<int>?[parents.Length];
        for (var i = 0; i < parents.Length; i++)
        {
            if (parents[i] >= 0)
            {
                (lists[parents[i]] ??= []).Add(i);
            }
        }
        return [.. lists.Select(l => l is null ? ImmutableArray<int>.Empty : [.. l])];
    }

    /// <summary>From the parent up to the first.</summary>
    public static IEnumerable<int> Ancestors(ImmutableArray<int> parents, int node)
    {
        for (var at = parents[node]; at >= 0; at = parents[at])
        {
            yield return at;
        }
    }

    /// <summary>Links between a node and the server.</summary>
    public static int Depth(ImmutableArray<int> parents)
    {
        var depths = new int[parents.Length];
        int Of(int node) => node < 0 ? 0 : depths[node] > 0 ? depths[node] : depths[node] = 1 + Of(parents[node]);
        return parents.IsEmpty ? 0 : Enumerable.Range(0, parents.Length).Max(Of);
    }
}
