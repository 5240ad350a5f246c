using System.Globalization;

namespace Ka.Core.NodeSets;

/// <summary>What stands between two brackets: <c>1-9,20,030-040/2</c>.</summary>
internal sealed record RangeList(IndexSet Set, string Text, int Position, bool HasStep, bool IsRaggedFromZero)
{
    /// <summary>Reads the text between the brackets; null and an error when it is not good or has more than limit indexes.</summary>
    public static RangeList? Read(string text, int position, int limit, out NodeSetError? error)
    {
        var builder = new IndexSetBuilder();
        var (offset, total, hasStep, ragged) = (position, 0L, false, false);
        foreach (var part in text.Split(','))
        {
            error = ReadPart(part, offset, limit, builder, ref total, ref hasStep, ref ragged);
            if (error is not null)
            {
                return null;
            }

            offset += part.Length + 1;
        }

        error = null;
        return new(builder.ToSet(), text, position, hasStep, ragged);
    }

    /// <summary>The same indexes with digits written before and after each.</summary>
    public IndexSet Surround(string before, string after)
    {
        var builder = new IndexSetBuilder();
        var (head, tail) = (Number(before), Number(after));
        foreach (var rank in Set.Ranks())
        {
            var (width, value) = DigitString.Split(rank);
            var joined = (((head * DigitString.Power(width)) + value) * DigitString.Power(after.Length)) + tail;
            builder.Add(DigitString.Rank(before.Length + width + after.Length, joined));
        }

        return builder.ToSet();
    }

    private static long Number(string digits) => digits.Length == 0 ? 0 : long.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);

    private static NodeSetError? ReadPart(
        string part, int position, int limit, IndexSetBuilder builder, ref long total, ref bool hasStep, ref bool ragged)
    {
        var slash = part.IndexOf('/');
        var range = slash < 0 ? part : part[..slash];
        var dash = range.IndexOf('-');
        var begin = (dash < 0 ? range : range[..dash]).Trim();
        var end = (dash < 0 ? range : range[(dash + 1)..]).Trim();
        if (part.AsSpan().Trim().IsEmpty)
        {
            return Bad("a range is empty");
        }

        if (!IsIndex(begin) || !IsIndex(end))
        {
            return Bad($"'{part.Trim()}' is not a range of indexes");
        }

        long step = 1;
        if (slash >= 0 && !long.TryParse(part.AsSpan(slash + 1).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out step))
        {
            return Bad($"'{part[(slash + 1)..].Trim()}' is not a step");
        }

        var (start, stop) = (Number(begin), Number(end));
        var isPadded = begin.Length > 1 && begin[0] == '0';
        if ((isPadded || (end[0] == '0' && stop != 0)) && begin.Length != end.Length)
        {
            return Bad($"the ends of '{part.Trim()}' are padded to different widths");
        }

        if (start > stop || step < 1 || (dash < 0 && step != 1))
        {
            return Bad(start > stop ? $"the range '{part.Trim()}' runs backwards" : $"the step of '{part.Trim()}' is of no use");
        }

        var count = ((stop - start) / step) + 1;
        total += count;
        if (total > limit)
        {
            return new("nodeset.too_many", $"'{part.Trim()}' makes more than {limit:N0} nodes", position, part, $"at most {limit:N0} nodes");
        }

        hasStep |= slash >= 0;
        ragged |= begin is "0" && end.Length > 1;
        Fill(builder, start, stop, step, isPadded ? begin.Length : 0);
        return null;

        NodeSetError Bad(string message) => new("nodeset.bad_range", message, position, part, "ranges such as 1-9, 01-72, 0-98/2");
    }

    private static bool IsIndex(string text) => text.Length is > 0 and <= DigitString.MaxWidth && text.All(char.IsAsciiDigit);

    private static void Fill(IndexSetBuilder builder, long start, long stop, long step, int pad)
    {
        if (step > 1)
        {
            for (var value = start; value <= stop; value += step)
            {
                builder.Add(DigitString.Rank(Math.Max(pad, DigitString.WidthOf(value)), value));
            }

            return;
        }

        for (var width = Math.Max(pad, DigitString.WidthOf(start)); width <= Math.Max(pad, DigitString.WidthOf(stop)); width++)
        {
            var low = pad > 0 || width == 1 ? 0 : DigitString.Power(width - 1);
            var first = Math.Max(start, low);
            var last = Math.Min(stop, DigitString.Power(width) - 1);
            builder.AddRange(DigitString.Rank(width, first), DigitString.Rank(width, last));
        }
    }
}
