using System.Globalization;

namespace Ka.Cli;

/// <summary>Columns of a table by their names: which are printed, and by which its rows are in order.</summary>
public static class Columns
{
    /// <summary>Reads <c>NAME,…</c>, for an order also <c>-NAME</c> (the greatest first). Names are those of the heads, in any case.</summary>
    public static bool TryRead(string text, IReadOnlyList<string> heads, bool signed, out (int Column, bool Descending)[] columns, out string error)
    {
        var found = new List<(int, bool)>();
        error = "";
        foreach (var word in text.Split(',', StringSplitOptions.TrimEntries))
        {
            var descending = signed && word.StartsWith('-');
            var name = descending ? word[1..] : word;
            var column = heads.TakeWhile(h => !h.Equals(name, StringComparison.OrdinalIgnoreCase)).Count();
            if (column == heads.Count)
                error = $"'{name}' is no column; they are {string.Join(", ", heads.Select(h => h.ToLowerInvariant()))}";
            found.Add((column, descending));
        }
        columns = [.. found];
        return error.Length == 0;
    }

    /// <summary>Rows by these columns, the first first: numbers by their value, everything else by its bytes; what is empty comes last. Rows that are alike stay as they stand.</summary>
    public static T[] Ordered<T>(IEnumerable<T> rows, Func<T, string[]> fields, IEnumerable<(int Column, bool Descending)> by)
    {
        var keyed = rows.Select(r => (Row: r, Cells: fields(r))).OrderBy(_ => 0);
        foreach (var (column, descending) in by)
            keyed = keyed.ThenBy(r => r.Cells[column].Length == 0).ThenBy(r => r.Cells[column], Comparer<string>.Create(descending ? (a, b) => Compare(b, a) : Compare));
        return [.. keyed.Select(r => r.Row)];
    }

    static int Compare(string a, string b) =>
        double.TryParse(a, NumberStyles.Float, CultureInfo.InvariantCulture, out var x) && double.TryParse(b, NumberStyles.Float, CultureInfo.InvariantCulture, out var y)
            ? x.CompareTo(y)
            : string.CompareOrdinal(a, b);
}
