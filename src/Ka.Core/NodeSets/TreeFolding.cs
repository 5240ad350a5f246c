namespace Ka.Core.NodeSets;

/// <summary>
/// Folds points of several dimensions into products of ranges, giving the same products in the same order as ClusterShell's
/// RangeSetND: all points sorted as texts, then passes that sort by size and merge neighbours differing in one dimension, and when
/// that changes nothing any that do. Two differences make it fast: the first pass works on whole leaves, and partners in a full pass are
/// found by hash instead of by comparing all with all.
/// </summary>
internal static class TreeFolding
{
    public static IReadOnlyList<IndexSet[]> Fold(IndexTree tree)
    {
        if (tree.AsProduct() is { } product)
        {
            return [product];
        }

        var vectors = FirstPass(tree);
        var (changed, isFull) = (true, false);
        while (changed)
        {
            vectors = [.. vectors.Order()];
            changed = isFull ? FullPass(vectors) : EasyPass(vectors);
            if (!changed && !isFull)
            {
                changed = isFull = true;
            }
        }

        return [.. vectors.Select(vector => vector.Sets)];
    }

    private static List<Vector> FirstPass(IndexTree tree)
    {
        var vectors = new List<Vector>();
        foreach (var (prefix, leaf) in Leaves(tree, []))
        {
            var rest = leaf;
            if (vectors.Count > 0 && vectors[^1] is { Sets: [.., { Count: 1 } only] } last && leaf.FirstAsText() == only.First)
            {
                var first = new Vector([.. prefix, only]);
                var dimension = last.DimensionTo(first);
                if (dimension >= 0)
                {
                    vectors[^1] = last.Merge(first, dimension);
                    rest = leaf.Combine(SetOperation.Difference, only);
                }
            }

            if (!rest.IsEmpty)
            {
                vectors.Add(new([.. prefix, rest]));
            }
        }

        return vectors;
    }

    private static IEnumerable<(IndexSet[] Prefix, IndexSet Leaf)> Leaves(IndexTree tree, IndexSet[] prefix)
    {
        if (!tree.IsBranch)
        {
            yield return (prefix, tree.Leaf);
            yield break;
        }

        var ranks = tree.Ranks.ToArray();
        var children = tree.Children.ToArray();
        Array.Sort(ranks, children, Comparer<long>.Create(DigitString.CompareAsText));
        for (var i = 0; i < ranks.Length; i++)
        {
            foreach (var leaf in Leaves(children[i], [.. prefix, IndexSet.Of(ranks[i])]))
            {
                yield return leaf;
            }
        }
    }

    /// <summary>Merges each vector with those directly after it, as long as they fit.</summary>
    private static bool EasyPass(List<Vector> vectors)
    {
        var kept = 0;
        for (var i = 0; i < vectors.Count;)
        {
            var vector = vectors[i++];
            int dimension;
            while (i < vectors.Count && (dimension = vector.DimensionTo(vectors[i])) >= 0)
            {
                vector = vector.Merge(vectors[i++], dimension);
            }

            vectors[kept++] = vector;
        }

        var changed = kept < vectors.Count;
        vectors.RemoveRange(kept, vectors.Count - kept);
        return changed;
    }

    /// <summary>Merges each vector with any after it, nearest first.</summary>
    private static bool FullPass(List<Vector> vectors)
    {
        var dimensions = vectors[0].Sets.Length;
        var partners = new Dictionary<(int, ulong), List<int>>();
        for (var i = 0; i < vectors.Count; i++)
        {
            for (var d = 0; d < dimensions; d++)
            {
                var key = (d, vectors[i].HashWithout(d));
                (partners.TryGetValue(key, out var list) ? list : partners[key] = []).Add(i);
            }
        }

        var gone = new bool[vectors.Count];
        for (var i = 0; i < vectors.Count; i++)
        {
            var position = i;
            while (!gone[i] && Next(i, position) is var (next, dimension) && next >= 0)
            {
                vectors[i] = vectors[i].Merge(vectors[next], dimension);
                gone[next] = true;
                position = next;
            }
        }

        var before = vectors.Count;
        var index = 0;
        vectors.RemoveAll(_ => gone[index++]);
        return vectors.Count < before;

        (int Index, int Dimension) Next(int current, int after)
        {
            var best = (Index: -1, Dimension: -1);
            for (var d = 0; d < dimensions; d++)
            {
                if (!partners.TryGetValue((d, vectors[current].HashWithout(d)), out var list))
                {
                    continue;
                }

                var at = list.BinarySearch(after + 1);
                for (at = at < 0 ? ~at : at; at < list.Count && (best.Index < 0 || list[at] < best.Index); at++)
                {
                    if (!gone[list[at]] && vectors[current].DimensionTo(vectors[list[at]]) == d)
                    {
                        best = (list[at], d);
                    }
                }
            }

            return best;
        }
    }

    /// <summary>One product. Ordered as ClusterShell orders: most points first, then per dimension most indexes, first and last index as texts.</summary>
    private sealed class Vector : IComparable<Vector>
    {
        private readonly long _count;
        private readonly ulong _hash;

        public Vector(IndexSet[] sets)
        {
            Sets = sets;
            _count = 1;
            for (var d = 0; d < sets.Length; d++)
            {
                _count *= sets[d].Count;
                _hash += Mix(sets[d], d);
            }
        }

        public IndexSet[] Sets { get; }

        public ulong HashWithout(int dimension) => _hash - Mix(Sets[dimension], dimension);

        /// <summary>The one dimension in which the two differ, or -1. Products of one fold never overlap, so the indexes there are disjoint.</summary>
        public int DimensionTo(Vector other)
        {
            var dimension = -1;
            for (var d = 0; d < Sets.Length; d++)
            {
                if (!Sets[d].Equals(other.Sets[d]))
                {
                    if (dimension >= 0)
                    {
                        return -1;
                    }

                    dimension = d;
                }
            }

            return dimension;
        }

        public Vector Merge(Vector other, int dimension)
        {
            var sets = Sets.ToArray();
            sets[dimension] = sets[dimension].Combine(SetOperation.Union, other.Sets[dimension]);
            return new(sets);
        }

        public int CompareTo(Vector? other)
        {
            var order = other!._count.CompareTo(_count);
            for (var d = 0; d < Sets.Length && order == 0; d++)
            {
                var (mine, theirs) = (Sets[d], other.Sets[d]);
                order = theirs.Count.CompareTo(mine.Count);
                order = order != 0 ? order : DigitString.CompareAsText(mine.First, theirs.First);
                order = order != 0 ? order : DigitString.CompareAsText(mine.Last, theirs.Last);
            }

            return order;
        }

        private static ulong Mix(IndexSet set, int dimension) => (set.Hash + (ulong)dimension) * 0x9e3779b97f4a7c15UL;
    }
}
