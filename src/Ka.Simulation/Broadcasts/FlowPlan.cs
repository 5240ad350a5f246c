using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Core.Clusters;

namespace Ka.Simulation.Broadcasts;

/// <summary>A way as numbers: whom each node asks in each stripe, and whom when that one has died.</summary>
/// <param name="Parents">For each stripe, for each node; -1 is the server.</param>
/// <param name="Candidates">Of a stripe and a node, in order of preference and without the server.</param>
sealed record FlowPlan(ImmutableArray<ImmutableArray<int>> Parents, Func<int, int, IEnumerable<int>> Candidates)
{
    public static FlowPlan Of(BroadcastWay way, int nodes, int arity = 2) => way switch
    {
        BroadcastWay.Chain => new FlowPlan([[.. Enumerable.Range(-1, nodes)]], (_, node) => ChainPlan.Distances.Where(d => d <= node).Select(d => node - d)),
        BroadcastWay.Tree => OfTree(TreePlan.Parents(nodes, arity)),
        BroadcastWay.TwoTrees => OfTwo(TwoTreePlan.Parents(nodes)),
        BroadcastWay.Auto or BroadcastWay.Swarm or BroadcastWay.Multicast or BroadcastWay.Torrent or BroadcastWay.Custom => throw new ArgumentOutOfRangeException(nameof(way), way, "it has no plan"),
    };

    static FlowPlan OfTree(ImmutableArray<int> parents)
    {
        var children = Shape.Children(parents);
        return new FlowPlan([parents], (_, node) => TreePlan.Healing(parents, children, node));
    }

    static FlowPlan OfTwo(ImmutableArray<ImmutableArray<int>> trees)
    {
        var children = trees.Select(Shape.Children).ToImmutableArray();
        return new FlowPlan(trees, (stripe, node) => TwoTreePlan.Healing(trees, children[stripe], stripe, node));
    }
}
