using System.Collections.Immutable;

namespace Ka.Core.Nodes;

/// <summary>The nodes of a workflow in a fixed order: text to index at the edge, indexes inside.</summary>
public sealed class Roster
{
    readonly Dictionary<string, int> _index;

    /// <param name="names">Canonical node names, each once, at most 1,000,000.</param>
    public Roster(ImmutableArray<string> names)
    {
        Names = names;
        _index = new Dictionary<string, int>(names.Length, StringComparer.Ordinal);
        for (var i = 0; i < names.Length; i++)
            _index.Add(names[i], i);
    }

    public ImmutableArray<string> Names { get; }

    public int Count => Names.Length;

    public NodeBits All => NodeBits.Range(Names.Length);

    public string this[int index] => Names[index];

    public int? IndexOf(string name) => _index.TryGetValue(name, out var i) ? i : null;

    public IEnumerable<string> NamesOf(NodeBits nodes) => nodes.Select(i => Names[i]);
}
