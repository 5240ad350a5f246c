namespace Ka.Core.Clusters;

/// <summary>What is done with a node that holds the others of a broadcast back.</summary>
public enum StragglerPolicy
{
    /// <summary>It is named, and the others wait for it.</summary>
    Keep,

    /// <summary>It stands aside while the others go on, and is served alone when they have everything.</summary>
    Tail,

    /// <summary>As <see cref="Tail"/>; one that is slow even when it is served alone is ended.</summary>
    Evict,
}

/// <param name="FloorBitsPerSecond">A node that the others wait for and that gets less counts as slow, whatever was seen elsewhere; 0 for none.</param>
public sealed record StragglerRules(StragglerPolicy Policy, long FloorBitsPerSecond = 0)
{
    public static readonly StragglerRules Default = new(StragglerPolicy.Tail);

    public double FloorBytesPerSecond => FloorBitsPerSecond / 8.0;

    /// <summary>Reads <c>keep</c>, <c>tail</c> or <c>evict</c>.</summary>
    public static bool TryParse(string word, out StragglerPolicy policy)
    {
        (var known, policy) = word switch
        {
            "keep" => (true, StragglerPolicy.Keep),
            "tail" => (true, StragglerPolicy.Tail),
            "evict" => (true, StragglerPolicy.Evict),
            _ => (false, StragglerPolicy.Tail),
        };
        return known;
    }
}

/// <summary>Rates as tc(8) writes them.</summary>
public static class DataRate
{
    public const string Expected = "a number with its unit from 1mbit to 100gbit, such as 400mbit";

    /// <summary>Bits per second of <c>400mbit</c> or <c>10gbit</c>.</summary>
    public static bool TryParse(string text, out long bitsPerSecond)
    {
        var unit = text.EndsWith("gbit", StringComparison.Ordinal) ? 1_000_000_000L : text.EndsWith("mbit", StringComparison.Ordinal) ? 1_000_000L : 0;
        bitsPerSecond = unit > 0 && int.TryParse(text[..^4], System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var count) ? count * unit : 0;
        return bitsPerSecond is > 0 and <= 100_000_000_000L;
    }
}
