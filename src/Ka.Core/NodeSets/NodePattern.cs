namespace Ka.Core.NodeSets;

/// <summary>
/// A name with its runs of digits taken out: <c>dc%sn%s-ib</c>. The written form with <c>%s</c> is also the order of patterns in a
/// folded text, as in ClusterShell.
/// </summary>
internal sealed class NodePattern(string text)
{
    private readonly string[] _pieces = text.Split("%s");

    public string Text => text;

    public int Dimensions => _pieces.Length - 1;

    public string Format(ReadOnlySpan<string> indexes)
    {
        if (indexes.Length == 1)
        {
            return string.Concat(_pieces[0], indexes[0], _pieces[1]);
        }

        var parts = new string[(2 * indexes.Length) + 1];
        parts[0] = _pieces[0];
        for (var i = 0; i < indexes.Length; i++)
        {
            parts[(2 * i) + 1] = indexes[i];
            parts[(2 * i) + 2] = _pieces[i + 1];
        }

        return string.Concat(parts);
    }

    /// <summary>Takes a name apart; every run of digits has at most <see cref="DigitString.MaxWidth"/> of them.</summary>
    public static string Split(ReadOnlySpan<char> name, List<long> ranks)
    {
        Span<char> pattern = stackalloc char[2 * NodeName.MaxLength];
        var length = 0;
        for (var i = 0; i < name.Length;)
        {
            if (!char.IsAsciiDigit(name[i]))
            {
                pattern[length++] = name[i++];
                continue;
            }

            var end = name[i..].IndexOfAnyExceptInRange('0', '9');
            var digits = end < 0 ? name[i..] : name.Slice(i, end);
            ranks.Add(DigitString.Rank(digits));
            "%s".CopyTo(pattern[length..]);
            length += 2;
            i += digits.Length;
        }

        return pattern[..length].ToString();
    }
}
