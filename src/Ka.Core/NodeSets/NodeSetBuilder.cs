using System.Runtime.InteropServices;

namespace Ka.Core.NodeSets;

/// <summary>Gathers names and products for one <see cref="NodeSet"/>; costs what is added, not what is already there.</summary>
internal sealed class NodeSetBuilder
{
    private readonly Dictionary<string, List<IndexSet[]>> _products = new(StringComparer.Ordinal);
    private readonly Dictionary<string, IndexSetBuilder> _singles = new(StringComparer.Ordinal);

    public bool IsEmpty => _products.Count == 0 && _singles.Count == 0;

    /// <summary>A name in good form.</summary>
    public void Add(ReadOnlySpan<char> name)
    {
        var ranks = new List<long>();
        var pattern = NodePattern.Split(name, ranks);
        if (ranks.Count == 1)
        {
            Singles(pattern).Add(ranks[0]);
        }
        else
        {
            Add(pattern, [.. ranks.Select(IndexSet.Of)]);
        }
    }

    /// <summary>All names of a pattern with the indexes given for each dimension.</summary>
    public void Add(string pattern, IndexSet[] product)
    {
        if (product.Length == 1)
        {
            Singles(pattern).Add(product[0]);
            return;
        }

        ref var products = ref CollectionsMarshal.GetValueRefOrAddDefault(_products, pattern, out _);
        products ??= [];
        if (product.Length > 0 || products.Count == 0)
        {
            products.Add(product);
        }
    }

    public NodeSet ToSet()
    {
        var patterns = new SortedDictionary<string, (NodePattern, IndexTree)>(StringComparer.Ordinal);
        foreach (var (pattern, singles) in _singles)
        {
            patterns.Add(pattern, (new(pattern), IndexTree.OfLeaf(singles.ToSet())));
        }

        foreach (var (pattern, products) in _products)
        {
            patterns.Add(pattern, (new(pattern), IndexTree.Of(products)));
        }

        return new(patterns);
    }

    private IndexSetBuilder Singles(string pattern)
    {
        ref var singles = ref CollectionsMarshal.GetValueRefOrAddDefault(_singles, pattern, out _);
        return singles ??= new();
    }
}
