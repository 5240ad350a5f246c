namespace Ka.Core.NodeSets;

/// <summary>
/// A set of points with one index per dimension: a tree over all dimensions but the last, bitmaps at the leaves. Never changes and
/// never is empty (an empty one is null). Equal branches are shared where they came from the same range, so that a product such as
/// <c>dc[1-99]n[1-1000]</c> costs 99 references and one bitmap.
/// </summary>
internal sealed class IndexTree : IEquatable<IndexTree>
{
    /// <summary>The one point of zero dimensions: a name without digits.</summary>
    public static readonly IndexTree Point = new(IndexSet.Empty, [], [], 1);

    private IndexTree(IndexSet leaf, long[] ranks, IndexTree[] children, long count) =>
        (Leaf, Ranks, Children, Count) = (leaf, ranks, children, count);

    /// <summary>The last dimension; empty in a branch and in <see cref="Point"/>.</summary>
    public IndexSet Leaf { get; }

    /// <summary>The indexes of a branch, sorted by rank.</summary>
    public long[] Ranks { get; }

    public IndexTree[] Children { get; }

    public long Count { get; }

    public bool IsBranch => Ranks.Length > 0;

    public static IndexTree OfLeaf(IndexSet leaf) => new(leaf, [], [], leaf.Count);

    /// <summary>The union of products of index sets, one set per dimension in each vector; at least one vector.</summary>
    public static IndexTree Of(IReadOnlyList<IndexSet[]> vectors) => vectors[0].Length == 0 ? Point : Of(vectors, 0);

    public bool Contains(ReadOnlySpan<long> ranks)
    {
        var tree = this;
        while (tree.IsBranch)
        {
            var i = Array.BinarySearch(tree.Ranks, ranks[0]);
            if (i < 0)
            {
                return false;
            }

            tree = tree.Children[i];
            ranks = ranks[1..];
        }

        return ranks.IsEmpty || tree.Leaf.Contains(ranks[0]);
    }

    /// <summary>Joins two trees of the same number of dimensions; null stands for nothing.</summary>
    public static IndexTree? Combine(SetOperation operation, IndexTree? left, IndexTree? right)
    {
        if (left is null || right is null || ReferenceEquals(left, right))
        {
            return operation switch
            {
                SetOperation.Union => left ?? right,
                SetOperation.Difference => right is null ? left : null,
                SetOperation.Intersection => left is null || right is null ? null : left,
                SetOperation.SymmetricDifference => left is null ? right : right is null ? left : null,
            };
        }

        if (ReferenceEquals(left, Point))
        {
            return null;
        }

        if (left.IsBranch)
        {
            return CombineBranches(operation, left, right);
        }

        var leaf = left.Leaf.Combine(operation, right.Leaf);
        return leaf.IsEmpty ? null : OfLeaf(leaf);
    }

    /// <summary>The sets, one per dimension, whose product this is; null when it is no product.</summary>
    public IndexSet[]? AsProduct()
    {
        var sets = new List<IndexSet>();
        var tree = this;
        for (; tree.IsBranch; tree = tree.Children[0])
        {
            var builder = new IndexSetBuilder();
            for (var i = 0; i < tree.Ranks.Length; i++)
            {
                builder.Add(tree.Ranks[i]);
                if (i > 0 && !tree.Children[i].Equals(tree.Children[i - 1]))
                {
                    return null;
                }
            }

            sets.Add(builder.ToSet());
        }

        if (!ReferenceEquals(tree, Point))
        {
            sets.Add(tree.Leaf);
        }

        return [.. sets];
    }

    public bool Equals(IndexTree? other) =>
        other is not null && (ReferenceEquals(this, other)
            || (Count == other.Count && Leaf.Equals(other.Leaf) && Ranks.AsSpan().SequenceEqual(other.Ranks)
                && Children.AsSpan().SequenceEqual(other.Children)));

    public override bool Equals(object? obj) => Equals(obj as IndexTree);

    public override int GetHashCode() => HashCode.Combine(Count, Leaf, Ranks.Length);

    private static IndexTree Of(IReadOnlyList<IndexSet[]> vectors, int dimension)
    {
        if (dimension == vectors[0].Length - 1)
        {
            if (vectors.Count == 1)
            {
                return OfLeaf(vectors[0][dimension]);
            }

            var leaf = new IndexSetBuilder();
            foreach (var vector in vectors)
            {
                leaf.Add(vector[dimension]);
            }

            return OfLeaf(leaf.ToSet());
        }

        var groups = new SortedDictionary<long, List<IndexSet[]>>();
        var single = new Dictionary<IndexSet[], IndexTree>(ReferenceEqualityComparer.Instance);
        foreach (var vector in vectors)
        {
            foreach (var rank in vector[dimension].Ranks())
            {
                if (!groups.TryGetValue(rank, out var group))
                {
                    groups[rank] = group = [];
                }

                group.Add(vector);
            }
        }

        var children = new IndexTree[groups.Count];
        var i = 0;
        foreach (var group in groups.Values)
        {
            if (group.Count > 1 || !single.TryGetValue(group[0], out var child))
            {
                child = Of(group, dimension + 1);
            }

            if (group.Count == 1)
            {
                single[group[0]] = child;
            }

            children[i++] = child;
        }

        return Branch([.. groups.Keys], children);
    }

    private static IndexTree? CombineBranches(SetOperation operation, IndexTree left, IndexTree right)
    {
        var (a, b) = (0, 0);
        var ranks = new List<long>(left.Ranks.Length + right.Ranks.Length);
        var children = new List<IndexTree>(ranks.Capacity);
        (IndexTree? Left, IndexTree? Right, IndexTree? Result) last = default;
        while (a < left.Ranks.Length || b < right.Ranks.Length)
        {
            var leftRank = a < left.Ranks.Length ? left.Ranks[a] : long.MaxValue;
            var rightRank = b < right.Ranks.Length ? right.Ranks[b] : long.MaxValue;
            var rank = Math.Min(leftRank, rightRank);
            var x = leftRank == rank ? left.Children[a++] : null;
            var y = rightRank == rank ? right.Children[b++] : null;
            if (!ReferenceEquals(x, last.Left) || !ReferenceEquals(y, last.Right))
            {
                last = (x, y, Combine(operation, x, y));
            }

            if (last.Result is not null)
            {
                ranks.Add(rank);
                children.Add(last.Result);
            }
        }

        return ranks.Count == 0 ? null : Branch([.. ranks], [.. children]);
    }

    private static IndexTree Branch(long[] ranks, IndexTree[] children)
    {
        long count = 0;
        foreach (var child in children)
        {
            count += child.Count;
        }

        return new(IndexSet.Empty, ranks, children, count);
    }
}
