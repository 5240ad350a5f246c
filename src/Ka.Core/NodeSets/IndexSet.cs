using System.Numerics;

namespace Ka.Core.NodeSets;

/// <summary>What two sets are joined by.</summary>
internal enum SetOperation
{
    Union,
    Difference,
    Intersection,
    SymmetricDifference,
}

/// <summary>A set of indexes as a sparse bitmap over ranks (<see cref="DigitString"/>): words of 64, empty words left out. Never changes.</summary>
internal sealed class IndexSet : IEquatable<IndexSet>
{
    public static readonly IndexSet Empty = new([], []);

    private readonly long[] _keys;
    private readonly ulong[] _words;
    private readonly ulong _hash;

    /// <summary>Takes over sorted keys (rank / 64) and their words, none of which is zero.</summary>
    internal IndexSet(long[] keys, ulong[] words)
    {
        (_keys, _words) = (keys, words);
        var hash = 0xcbf29ce484222325UL;
        for (var i = 0; i < words.Length; i++)
        {
            Count += BitOperations.PopCount(words[i]);
            hash = (BitOperations.RotateLeft(hash, 23) ^ words[i] ^ ((ulong)keys[i] * 0x9e3779b97f4a7c15UL)) * 0xff51afd7ed558ccdUL;
        }

        _hash = hash ^ (hash >> 32);
    }

    public int Count { get; }

    public bool IsEmpty => _keys.Length == 0;

    public int Words => _words.Length;

    public ulong Hash => _hash;

    public long First => (_keys[0] << 6) + BitOperations.TrailingZeroCount(_words[0]);

    public long Last => (_keys[^1] << 6) + 63 - BitOperations.LeadingZeroCount(_words[^1]);

    public static IndexSet Of(long rank) => new([rank >> 6], [1UL << (int)(rank & 63)]);

    public bool Contains(long rank)
    {
        var i = Array.BinarySearch(_keys, rank >> 6);
        return i >= 0 && (_words[i] >> (int)(rank & 63) & 1) != 0;
    }

    /// <summary>The smallest member not below the rank, or -1.</summary>
    public long FirstFrom(long rank)
    {
        var i = Array.BinarySearch(_keys, rank >> 6);
        if (i >= 0)
        {
            var rest = _words[i] >> (int)(rank & 63) << (int)(rank & 63);
            if (rest != 0)
            {
                return (_keys[i] << 6) + BitOperations.TrailingZeroCount(rest);
            }

            i++;
        }
        else
        {
            i = ~i;
        }

        return i < _keys.Length ? (_keys[i] << 6) + BitOperations.TrailingZeroCount(_words[i]) : -1;
    }

    /// <summary>The first member when members are ordered as texts (10 before 2).</summary>
    public long FirstAsText()
    {
        var best = First;
        for (var width = DigitString.Split(best).Width + 1; width <= DigitString.MaxWidth; width++)
        {
            var candidate = FirstFrom(DigitString.Rank(width, 0));
            if (candidate < 0)
            {
                break;
            }

            best = DigitString.CompareAsText(candidate, best) < 0 ? candidate : best;
        }

        return best;
    }

    /// <summary>Members by rank: shorter first, then by value.</summary>
    public IEnumerable<long> Ranks()
    {
        for (var i = 0; i < _keys.Length; i++)
        {
            for (var word = _words[i]; word != 0; word &= word - 1)
            {
                yield return (_keys[i] << 6) + BitOperations.TrailingZeroCount(word);
            }
        }
    }

    public IndexSet Combine(SetOperation operation, IndexSet other)
    {
        var keys = new long[_keys.Length + other._keys.Length];
        var words = new ulong[keys.Length];
        var (a, b, count) = (0, 0, 0);
        while (a < _keys.Length || b < other._keys.Length)
        {
            var left = a < _keys.Length ? _keys[a] : long.MaxValue;
            var right = b < other._keys.Length ? other._keys[b] : long.MaxValue;
            var key = Math.Min(left, right);
            var x = left == key ? _words[a++] : 0;
            var y = right == key ? other._words[b++] : 0;
            var word = operation switch
            {
                SetOperation.Union => x | y,
                SetOperation.Difference => x & ~y,
                SetOperation.Intersection => x & y,
                SetOperation.SymmetricDifference => x ^ y,
            };
            if (word != 0)
            {
                (keys[count], words[count++]) = (key, word);
            }
        }

        return count == 0 ? Empty : new(keys[..count], words[..count]);
    }

    public bool Equals(IndexSet? other) =>
        other is not null && (ReferenceEquals(this, other)
            || (_hash == other._hash && _keys.AsSpan().SequenceEqual(other._keys) && _words.AsSpan().SequenceEqual(other._words)));

    public override bool Equals(object? obj) => Equals(obj as IndexSet);

    public override int GetHashCode() => (int)_hash;

    internal void CopyTo(IndexSetBuilder builder)
    {
        for (var i = 0; i < _keys.Length; i++)
        {
            builder.AddWord(_keys[i], _words[i]);
        }
    }
}
