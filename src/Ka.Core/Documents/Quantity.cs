using System.Globalization;

namespace Ka.Core.Documents;

/// <summary>Amounts with units, the same wherever a person writes one: configuration, descriptions, command line.</summary>
public static class Quantity
{
    /// <summary>What <see cref="TryParseDuration"/> reads, for error messages.</summary>
    public const string DurationForm = "a duration such as 200ms, 90s, 15m, 1h30m or 2d";

    /// <summary>What <see cref="TryParseSize"/> reads, for error messages.</summary>
    public const string SizeForm = "a size such as 512, 64M, 1MiB, 200GiB (powers of 1024) or 500GB (powers of 1000)";

    private const long MaxMilliseconds = 10_000L * 86_400_000L;

    /// <summary>
    /// One or more whole numbers each with a unit (d, h, m, s, ms), largest first: <c>1h30m</c>. A bare <c>0</c> is allowed,
    /// any other number without unit is not. At most 10,000 days.
    /// </summary>
    public static bool TryParseDuration(ReadOnlySpan<char> text, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        if (text is "0")
        {
            return true;
        }

        var rest = text;
        var lastUnit = long.MaxValue;
        Int128 milliseconds = 0;
        while (!rest.IsEmpty)
        {
            var digits = CountDigits(rest);
            var letters = CountLetters(rest[digits..]);
            var unit = rest.Slice(digits, letters) switch
            {
                "ms" => 1L,
                "s" => 1000L,
                "m" => 60_000L,
                "h" => 3_600_000L,
                "d" => 86_400_000L,
                _ => 0L,
            };
            if (digits is 0 or > 12 || unit == 0 || unit >= lastUnit)
            {
                return false;
            }

            milliseconds += (Int128)long.Parse(rest[..digits], NumberStyles.None) * unit;
            if (milliseconds > MaxMilliseconds)
            {
                return false;
            }

            rest = rest[(digits + letters)..];
            lastUnit = unit;
        }

        duration = TimeSpan.FromMilliseconds((long)milliseconds);
        return !text.IsEmpty;
    }

    /// <summary>
    /// A whole number of bytes with an optional unit: <c>K M G T</c> and <c>KiB MiB GiB TiB</c> are powers of 1024 as in sfdisk and
    /// coreutils, <c>KB MB GB TB</c> powers of 1000, <c>B</c> or nothing bytes. A space before the unit is allowed. At most 8 EiB - 1.
    /// </summary>
    public static bool TryParseSize(ReadOnlySpan<char> text, out long bytes)
    {
        bytes = 0;
        var digits = CountDigits(text);
        if (digits is 0 or > 18)
        {
            return false;
        }

        var unit = text[digits..].TrimStart(' ') switch
        {
            "" or "B" => 1L,
            "K" or "k" or "KiB" => 1L << 10,
            "M" or "MiB" => 1L << 20,
            "G" or "GiB" => 1L << 30,
            "T" or "TiB" => 1L << 40,
            "KB" or "kB" => 1000L,
            "MB" => 1000_000L,
            "GB" => 1000_000_000L,
            "TB" => 1000_000_000_000L,
            _ => 0L,
        };
        var product = unit * (Int128)long.Parse(text[..digits], NumberStyles.None);
        if (unit == 0 || product > long.MaxValue)
        {
            return false;
        }

        bytes = (long)product;
        return true;
    }

    private static int CountDigits(ReadOnlySpan<char> text)
    {
        var i = text.IndexOfAnyExceptInRange('0', '9');
        return i < 0 ? text.Length : i;
    }

    private static int CountLetters(ReadOnlySpan<char> text)
    {
        var i = text.IndexOfAnyExceptInRange('a', 'z');
        return i < 0 ? text.Length : i;
    }
}
