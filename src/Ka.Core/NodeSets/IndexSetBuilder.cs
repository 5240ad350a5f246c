namespace Ka.Core.NodeSets;

/// <summary>Gathers ranks in any order for one <see cref="IndexSet"/>.</summary>
internal sealed class IndexSetBuilder
{
    private readonly Dictionary<long, ulong> _words = [];
    private long _key = -1;
    private ulong _word;

    public void Add(long rank) => AddWord(rank >> 6, 1UL << (int)(rank & 63));

    public void Add(IndexSet set) => set.CopyTo(this);

    /// <summary>All ranks from first to last, both included.</summary>
    public void AddRange(long first, long last)
    {
        for (var key = first >> 6; key <= last >> 6; key++)
        {
            var low = key == first >> 6 ? ulong.MaxValue << (int)(first & 63) : ulong.MaxValue;
            var high = key == last >> 6 ? ulong.MaxValue >> (63 - (int)(last & 63)) : ulong.MaxValue;
            AddWord(key, low & high);
        }
    }

    public void AddWord(long key, ulong word)
    {
        if (key != _key)
        {
            Flush();
            _key = key;
            _word = 0;
        }

        _word |= word;
    }

    public IndexSet ToSet()
    {
        Flush();
        if (_words.Count == 0)
        {
            return IndexSet.Empty;
        }

        var keys = _words.Keys.ToArray();
        var words = _words.Values.ToArray();
        Array.Sort(keys, words);
        return new(keys, words);
    }

    private void Flush()
    {
        if (_word != 0)
        {
            _words[_key] = _words.GetValueOrDefault(_key) | _word;
        }
    }
}
