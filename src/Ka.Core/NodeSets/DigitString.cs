using System.Globalization;

namespace Ka.Core.NodeSets;

/// <summary>
/// Runs of digits as numbers. ClusterShell tells <c>1</c>, <c>01</c> and <c>001</c> apart and orders by length, then by value. A
/// <em>rank</em> numbers all runs of up to <see cref="MaxWidth"/> digits in exactly that order without gaps:
/// 0 … 9 are ranks 0 … 9, 00 … 99 are ranks 10 … 109, and so on.
/// </summary>
internal static class DigitString
{
    public const int MaxWidth = NodeName.MaxDigits;

    private static readonly long[] Powers = MakePowers();
    private static readonly long[] Offsets = MakeOffsets();

    public static long Power(int exponent) => Powers[exponent];

    public static long Rank(int width, long value) => Offsets[width] + value;

    /// <summary>The rank of a run of 1 to <see cref="MaxWidth"/> digits.</summary>
    public static long Rank(ReadOnlySpan<char> digits) => Rank(digits.Length, long.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture));

    public static (int Width, long Value) Split(long rank)
    {
        var width = 1;
        while (width < MaxWidth && rank >= Offsets[width + 1])
        {
            width++;
        }

        return (width, rank - Offsets[width]);
    }

    public static bool IsPadded(int width, long value) => width > 1 && value < Powers[width - 1];

    public static string Format(long rank)
    {
        var (width, value) = Split(rank);
        return Format(width, value);
    }

    public static string Format(int width, long value) => value.ToString(CultureInfo.InvariantCulture).PadLeft(width, '0');

    /// <summary>Orders two runs as texts, so that 1 &lt; 10 &lt; 2.</summary>
    public static int CompareAsText(long left, long right)
    {
        var (leftWidth, leftValue) = Split(left);
        var (rightWidth, rightValue) = Split(right);
        var order = leftWidth < rightWidth
            ? (leftValue * Powers[rightWidth - leftWidth]).CompareTo(rightValue)
            : leftValue.CompareTo(rightValue * Powers[leftWidth - rightWidth]);
        return order != 0 ? order : leftWidth.CompareTo(rightWidth);
    }

    /// <summary>How many digits a number has without padding.</summary>
    public static int WidthOf(long value)
    {
        var width = 1;
        while (width < MaxWidth && value >= Powers[width])
        {
            width++;
        }

        return width;
    }

    private static long[] MakePowers()
    {
        var powers = new long[MaxWidth + 1];
        powers[0] = 1;
        for (var i = 1; i < powers.Length; i++)
        {
            powers[i] = powers[i - 1] * 10;
        }

        return powers;
    }

    private static long[] MakeOffsets()
    {
        var offsets = new long[MaxWidth + 1];
        for (var width = 2; width < offsets.Length; width++)
        {
            offsets[width] = offsets[width - 1] + Powers[width - 1];
        }

        return offsets;
    }
}
