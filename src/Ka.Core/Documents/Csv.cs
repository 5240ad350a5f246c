using System.Globalization;
using System.Text;

namespace Ka.Core.Documents;

/// <summary>Comma-separated values as RFC 4180 writes them.</summary>
public static class Csv
{
    /// <summary>One line without its end. What a spreadsheet would take for a formula gets an apostrophe before it.</summary>
    public static string Line(params IEnumerable<string> fields) => string.Join(',', fields.Select(Field));

    static string Field(string text)
    {
        if (text.Length > 0 && text[0] is '=' or '+' or '@' or '\t' or '\r' || (text is ['-', ..] && !double.TryParse(text, CultureInfo.InvariantCulture, out _)))
            text = "'" + text;
        return text.AsSpan().IndexOfAny(",\"\n\r") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }

    /// <summary>The records of a text with the line on which each begins; empty lines and lines that begin with <c>#</c> are left out. Null with the line of an error: a quote that is not closed or stands inside a bare field.</summary>
    public static List<(int Line, string[] Fields)>? Read(string text, out int errorLine)
    {
        var records = new List<(int, string[])>();
        var (line, at) = (1, text.StartsWith('\uFEFF') ? 1 : 0);
        errorLine = 0;
        while (at < text.Length)
        {
            var begin = line;
            var fields = new List<string>();
            if (text[at] == '#')
            {
                while (at < text.Length && text[at] != '\n')
                    at++;
            }
            else
                while (true)
                {
                    if (ReadField(text, ref at, ref line) is not { } field)
                    {
                        errorLine = begin;
                        return null;
                    }
                    fields.Add(field);
                    if (at >= text.Length || text[at] != ',')
                        break;
                    at++;
                }
            if (fields.Count > 1 || fields is [{ Length: > 0 }])
                records.Add((begin, [.. fields]));
            if (at < text.Length && text[at] == '\r')
                at++;
            if (at < text.Length && text[at] == '\n')
                (at, line) = (at + 1, line + 1);
        }
        return records;
    }

    static string? ReadField(string text, ref int at, ref int line)
    {
        if (at >= text.Length || text[at] != '"')
        {
            var begin = at;
            while (at < text.Length && text[at] is not (',' or '\r' or '\n'))
                if (text[at++] == '"')
                    return null;
            return text[begin..at].Trim();
        }
        var field = new StringBuilder();
        for (at++; at < text.Length; at++)
        {
            if (text[at] == '"' && (++at >= text.Length || text[at] != '"'))
                return at >= text.Length || text[at] is ',' or '\r' or '\n' ? field.ToString() : null;
            if (text[at] == '\n')
                line++;
            field.Append(text[at]);
        }
        return null;
    }
}
