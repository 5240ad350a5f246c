namespace Ka.Core;

/// <summary>Luck that a seed fixes (G. L. Steele, D. Lea, C. H. Flood: Fast splittable pseudorandom number generators, 2014).</summary>
public static class SplitMix64
{
    /// <summary>The n-th number of a seed, from zero on.</summary>
    public static ulong At(ulong seed, ulong n)
    {
        var x = seed + (0x9E3779B97F4A7C15UL * (n + 1));
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9UL;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EBUL;
        return x ^ (x >> 31);
    }
}
