namespace Ka.Core.Documents;

/// <summary>Finds what somebody probably meant to write.</summary>
public static class Suggestion
{
    /// <summary>Most edits between the word and a suggestion.</summary>
    public const int MaxDistance = 2;

    private const int MaxLength = 64;

    /// <summary>
    /// The candidate nearest to the word by Damerau-Levenshtein distance (optimal string alignment), at most
    /// <see cref="MaxDistance"/> and less than the word's length; the first of equals; null when nothing is near.
    /// </summary>
    public static string? Nearest(string word, IEnumerable<string> candidates)
    {
        string? nearest = null;
        var best = Math.Min(MaxDistance, Math.Max(0, word.Length - 1)) + 1;
        foreach (var candidate in candidates)
        {
            if (candidate.Length > MaxLength || Math.Abs(candidate.Length - word.Length) >= best)
            {
                continue;
            }

            var distance = Distance(word.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance < best)
            {
                (nearest, best) = (candidate, distance);
            }
        }

        return nearest;
    }

    /// <summary>"did you mean 'x'?", or null when nothing is near.</summary>
    public static string? DidYouMean(string word, IEnumerable<string> candidates) =>
        Nearest(word, candidates) is { } nearest ? $"did you mean '{nearest}'?" : null;

    private static int Distance(string a, string b)
    {
        var rows = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++)
        {
            rows[i, 0] = i;
        }

        for (var j = 0; j <= b.Length; j++)
        {
            rows[0, j] = j;
        }

        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = a[i - 1] == b[j - 1] ? 0 : 1;
                var edit = Math.Min(Math.Min(rows[i - 1, j] + 1, rows[i, j - 1] + 1), rows[i - 1, j - 1] + cost);
                var swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                rows[i, j] = swapped ? Math.Min(edit, rows[i - 2, j - 2] + 1) : edit;
            }
        }

        return rows[a.Length, b.Length];
    }
}
