namespace Ka.Core.NodeSets;

/// <summary>Matches <c>*</c> (any characters) and <c>?</c> (one character), in time at most text × mask.</summary>
internal static class Wildcard
{
    public static bool Matches(ReadOnlySpan<char> text, ReadOnlySpan<char> mask)
    {
        var (t, m, star, resume) = (0, 0, -1, 0);
        while (t < text.Length)
        {
            if (m < mask.Length && mask[m] == '*')
            {
                (star, resume) = (m++, t);
            }
            else if (m < mask.Length && (mask[m] == '?' || mask[m] == text[t]))
            {
                (t, m) = (t + 1, m + 1);
            }
            else if (star >= 0)
            {
                (m, t) = (star + 1, ++resume);
            }
            else
            {
                return false;
            }
        }

        return mask[m..].IndexOfAnyExcept('*') < 0;
    }
}
