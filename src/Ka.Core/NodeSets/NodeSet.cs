using System.Collections;
using System.Text;

namespace Ka.Core.NodeSets;

/// <summary>
/// A set of nodes with ClusterShell's syntax, order and algebra. Inside, names without their digits are patterns and the digits of
/// each pattern a bitmap; text exists only at the edges. Never changes; operations give new sets.
/// </summary>
public sealed class NodeSet : IReadOnlyCollection<NodeName>, IEquatable<NodeSet>
{
    private readonly NodePattern[] _patterns;
    private readonly IndexTree[] _trees;
    private IReadOnlyList<IndexSet[]>[]? _folded;

    internal NodeSet(SortedDictionary<string, (NodePattern Pattern, IndexTree Tree)> patterns)
    {
        _patterns = [.. patterns.Values.Select(entry => entry.Pattern)];
        _trees = [.. patterns.Values.Select(entry => entry.Tree)];
        Count = (int)Math.Min(int.MaxValue, _trees.Sum(tree => tree.Count));
    }

    /// <summary>No node. Never stands for all.</summary>
    public static NodeSet Empty { get; } = new([]);

    /// <summary>How many nodes.</summary>
    public int Count { get; }

    /// <summary>Whether there is no node.</summary>
    public bool IsEmpty => Count == 0;

    /// <summary>Reads text without groups and wildcards; see the other overload.</summary>
    public static bool TryParse(string text, out NodeSet set, out NodeSetError error) => TryParse(text, NodeSetContext.Plain, out set, out error);

    /// <summary>
    /// Reads ClusterShell's syntax: <c>gris-[01-72/2]</c>, several dimensions <c>dc[1-2]n[1-99]-ib</c>, the operators <c>,</c> (union)
    /// <c>!</c> (difference) <c>&amp;</c> (intersection) <c>^</c> (symmetric difference) applied from left to right, groups
    /// <c>@group @source:group @source:* @*</c>, and wildcards <c>* ?</c> over the context's universe. Blank text is the empty set.
    /// Stricter than ClusterShell where it guesses: names follow <see cref="NodeName"/>, indexes are not negative, and digits
    /// before or after brackets whose ends differ in length (<c>n1[9-11]</c>, which it reads as n19 … n111) are refused.
    /// Sizes are checked by arithmetic before anything is expanded.
    /// </summary>
    /// <param name="error">The first error, when false is returned.</param>
    public static bool TryParse(string text, NodeSetContext context, out NodeSet set, out NodeSetError error) =>
        new NodeSetParser(context).TryParse(text, out set, out error);

    /// <summary>Reads a set written in the program or a test. Throws <see cref="FormatException"/> when it is none.</summary>
    public static NodeSet Parse(string text) =>
        TryParse(text, out var set, out var error) ? set : throw new FormatException($"node set '{text}': {error.Message}");

    /// <summary>The set of the names given.</summary>
    public static NodeSet FromNames(params IEnumerable<NodeName> names)
    {
        var builder = new NodeSetBuilder();
        foreach (var name in names)
        {
            builder.Add(name.Value);
        }

        return builder.ToSet();
    }

    /// <summary>Whether the node is one of the set.</summary>
    public bool Contains(NodeName node)
    {
        var ranks = new List<long>();
        var pattern = NodePattern.Split(node.Value, ranks);
        var i = FindPattern(pattern);
        return i >= 0 && _trees[i].Contains([.. ranks]);
    }

    /// <summary>Whether every node of this set is in the other.</summary>
    public bool IsSubsetOf(NodeSet other) => (this - other).IsEmpty;

    /// <summary>Whether the two sets have a node in common.</summary>
    public bool Overlaps(NodeSet other) => !(this & other).IsEmpty;

    /// <summary>Nodes in either set.</summary>
    public static NodeSet operator |(NodeSet left, NodeSet right) => left.Combine(SetOperation.Union, right);

    /// <summary>Nodes in both sets.</summary>
    public static NodeSet operator &(NodeSet left, NodeSet right) => left.Combine(SetOperation.Intersection, right);

    /// <summary>Nodes of the left set that are not in the right.</summary>
    public static NodeSet operator -(NodeSet left, NodeSet right) => left.Combine(SetOperation.Difference, right);

    /// <summary>Nodes in exactly one of the sets.</summary>
    public static NodeSet operator ^(NodeSet left, NodeSet right) => left.Combine(SetOperation.SymmetricDifference, right);

    /// <summary>Same nodes.</summary>
    public static bool operator ==(NodeSet? left, NodeSet? right) => left is null ? right is null : left.Equals(right);

    /// <summary>Not the same nodes.</summary>
    public static bool operator !=(NodeSet? left, NodeSet? right) => !(left == right);

    /// <summary>The nodes in ClusterShell's order: by pattern, then by index (of the folded products, where there are several dimensions).</summary>
    public IEnumerator<NodeName> GetEnumerator()
    {
        for (var i = 0; i < _patterns.Length; i++)
        {
            foreach (var product in Folded(i))
            {
                foreach (var name in Expand(_patterns[i], product))
                {
                    yield return name;
                }
            }
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>The folded text, letter for letter as <c>nodeset --fold</c> prints it; empty for the empty set.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        for (var i = 0; i < _patterns.Length; i++)
        {
            foreach (var product in Folded(i))
            {
                var indexes = Array.ConvertAll(product, set => set.Count == 1 ? DigitString.Format(set.First) : $"[{IndexFolding.Fold(set)}]");
                text.Append(text.Length > 0 ? "," : "").Append(_patterns[i].Format(indexes));
            }
        }

        return text.ToString();
    }

    /// <inheritdoc/>
    public bool Equals(NodeSet? other) =>
        other is not null && Count == other.Count && _patterns.Length == other._patterns.Length
        && _patterns.Zip(other._patterns).All(pair => pair.First.Text == pair.Second.Text) && _trees.AsSpan().SequenceEqual(other._trees);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as NodeSet);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        for (var i = 0; i < _patterns.Length; i++)
        {
            hash.Add(_patterns[i].Text, StringComparer.Ordinal);
            hash.Add(_trees[i]);
        }

        return hash.ToHashCode();
    }

    internal NodeSet Combine(SetOperation operation, NodeSet other)
    {
        var patterns = new SortedDictionary<string, (NodePattern, IndexTree)>(StringComparer.Ordinal);
        var (a, b) = (0, 0);
        while (a < _patterns.Length || b < other._patterns.Length)
        {
            var order = a == _patterns.Length ? 1
                : b == other._patterns.Length ? -1
                : string.CompareOrdinal(_patterns[a].Text, other._patterns[b].Text);
            var pattern = order <= 0 ? _patterns[a] : other._patterns[b];
            var left = order <= 0 ? _trees[a++] : null;
            var right = order >= 0 ? other._trees[b++] : null;
            if (IndexTree.Combine(operation, left, right) is { } tree)
            {
                patterns.Add(pattern.Text, (pattern, tree));
            }
        }

        return new(patterns);
    }

    internal void CopyTo(NodeSetBuilder builder)
    {
        for (var i = 0; i < _patterns.Length; i++)
        {
            foreach (var product in Folded(i))
            {
                builder.Add(_patterns[i].Text, product);
            }
        }
    }

    /// <summary>Bitmap words and branches inside, a measure of what an operation costs.</summary>
    internal long Cost => _patterns.Length + _trees.Sum(tree => tree.IsBranch ? tree.Count : tree.Leaf.Words);

    private static IEnumerable<NodeName> Expand(NodePattern pattern, IndexSet[] product)
    {
        var texts = Array.ConvertAll(product, set => set.Ranks().Select(DigitString.Format).ToArray());
        var at = new int[product.Length];
        var indexes = new string[product.Length];
        while (true)
        {
            for (var d = 0; d < at.Length; d++)
            {
                indexes[d] = texts[d][at[d]];
            }

            yield return NodeName.Known(pattern.Format(indexes));
            var last = at.Length - 1;
            while (last >= 0 && ++at[last] == texts[last].Length)
            {
                at[last--] = 0;
            }

            if (last < 0)
            {
                yield break;
            }
        }
    }

    private IReadOnlyList<IndexSet[]> Folded(int pattern)
    {
        _folded ??= new IReadOnlyList<IndexSet[]>[_patterns.Length];
        return _folded[pattern] ??= TreeFolding.Fold(_trees[pattern]);
    }

    private int FindPattern(string text)
    {
        var (low, high) = (0, _patterns.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = string.CompareOrdinal(_patterns[middle].Text, text);
            if (order == 0)
            {
                return middle;
            }

            (low, high) = order < 0 ? (middle + 1, high) : (low, middle - 1);
        }

        return -1;
    }
}
