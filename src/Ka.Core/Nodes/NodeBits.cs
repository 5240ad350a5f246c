using System.Collections;
using System.Numerics;
using System.Text;

namespace Ka.Core.Nodes;

/// <summary>
/// An immutable set of node indexes within one <see cref="Roster"/>: a bitmap trimmed to the words that are used, so that
/// one node among 10,000 costs one word and set algebra over all of them 157.
/// </summary>
public sealed class NodeBits : IEquatable<NodeBits>, IEnumerable<int>
{
    public static readonly NodeBits Empty = new(0, []);

    readonly int _first;
    readonly ulong[] _words;

    NodeBits(int first, ulong[] words)
    {
        _first = first;
        _words = words;
        var count = 0;
        foreach (var word in words)
            count += BitOperations.PopCount(word);
        Count = count;
    }

    public int Count { get; }

    public bool IsEmpty => Count == 0;

    /// <summary>The lowest index; an error when empty.</summary>
    public int First => IsEmpty ? throw new InvalidOperationException("the set is empty") : _first * 64 + BitOperations.TrailingZeroCount(_words[0]);

    public static NodeBits Of(int index) => new(index >> 6, [1UL << (index & 63)]);

    /// <summary>The indexes 0 … count-1.</summary>
    public static NodeBits Range(int count)
    {
        if (count == 0)
            return Empty;
        var words = new ulong[(count + 63) / 64];
        Array.Fill(words, ulong.MaxValue);
        if (count % 64 != 0)
            words[^1] = (1UL << (count % 64)) - 1;
        return new NodeBits(0, words);
    }

    public static NodeBits From(IEnumerable<int> indexes)
    {
        var sorted = indexes.Distinct().Order().ToArray();
        if (sorted.Length == 0)
            return Empty;
        var first = sorted[0] >> 6;
        var words = new ulong[(sorted[^1] >> 6) - first + 1];
        foreach (var i in sorted)
            words[(i >> 6) - first] |= 1UL << (i & 63);
        return new NodeBits(first, words);
    }

    public bool Contains(int index)
    {
        var word = (index >> 6) - _first;
        return (uint)word < (uint)_words.Length && (_words[word] & (1UL << (index & 63))) != 0;
    }

    public static NodeBits operator |(NodeBits a, NodeBits b)
    {
        if (a.IsEmpty)
            return b;
        if (b.IsEmpty)
            return a;
        var first = Math.Min(a._first, b._first);
        var words = new ulong[Math.Max(a._first + a._words.Length, b._first + b._words.Length) - first];
        a._words.CopyTo(words, a._first - first);
        for (var i = 0; i < b._words.Length; i++)
            words[b._first - first + i] |= b._words[i];
        return new NodeBits(first, words);
    }

    public static NodeBits operator &(NodeBits a, NodeBits b)
    {
        var first = Math.Max(a._first, b._first);
        var end = Math.Min(a._first + a._words.Length, b._first + b._words.Length);
        if (end <= first)
            return Empty;
        var words = new ulong[end - first];
        for (var i = 0; i < words.Length; i++)
            words[i] = a._words[first - a._first + i] & b._words[first - b._first + i];
        return Trim(first, words);
    }

    public static NodeBits operator -(NodeBits a, NodeBits b)
    {
        if (a.IsEmpty || b.IsEmpty)
            return a;
        var words = (ulong[])a._words.Clone();
        var start = Math.Max(a._first, b._first);
        var end = Math.Min(a._first + a._words.Length, b._first + b._words.Length);
        for (var w = start; w < end; w++)
            words[w - a._first] &= ~b._words[w - b._first];
        return Trim(a._first, words);
    }

    public bool Overlaps(NodeBits other) => !(this & other).IsEmpty;

    static NodeBits Trim(int first, ulong[] words)
    {
        int from = 0, to = words.Length;
        while (from < to && words[from] == 0)
            from++;
        while (to > from && words[to - 1] == 0)
            to--;
        if (from == to)
            return Empty;
        return from == 0 && to == words.Length ? new NodeBits(first, words) : new NodeBits(first + from, words[from..to]);
    }

    public IEnumerator<int> GetEnumerator()
    {
        for (var w = 0; w < _words.Length; w++)
            for (var rest = _words[w]; rest != 0; rest &= rest - 1)
                yield return (_first + w) * 64 + BitOperations.TrailingZeroCount(rest);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public bool Equals(NodeBits? other) => other is not null && Count == other.Count && _first == other._first && _words.AsSpan().SequenceEqual(other._words);

    public override bool Equals(object? obj) => Equals(obj as NodeBits);

    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.Add(_first);
        foreach (var word in _words)
            hash.Add(word);
        return hash.ToHashCode();
    }

    /// <summary>Index ranges, <c>0-3,7</c>; the empty set is the empty text.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        int start = -1, previous = -1;
        foreach (var i in this)
        {
            if (i != previous + 1 || start < 0)
            {
                Close();
                start = i;
            }
            previous = i;
        }
        Close();
        return text.ToString();

        void Close()
        {
            if (start < 0)
                return;
            if (text.Length > 0)
                text.Append(',');
            text.Append(start);
            if (previous > start)
                text.Append('-').Append(previous);
        }
    }

    /// <summary>Reads what <see cref="ToString"/> wrote. Throws <see cref="FormatException"/> on anything else: this is never user text.</summary>
    public static NodeBits Parse(string text)
    {
        if (text.Length == 0)
            return Empty;
        var indexes = new List<int>();
        foreach (var part in text.Split(','))
        {
            var dash = part.IndexOf('-');
            var from = int.Parse(dash < 0 ? part : part[..dash]);
            var to = dash < 0 ? from : int.Parse(part[(dash + 1)..]);
            if (to < from)
                throw new FormatException($"'{part}' is no range of indexes");
            for (var i = from; i <= to; i++)
                indexes.Add(i);
        }
        return From(indexes);
    }
}
