using System.Text;

namespace Ka.Core.Documents;

/// <summary>How bad a finding is: an error refuses the document, a warning does not.</summary>
public enum Severity
{
    Error,
    Warning,
}

/// <summary>
/// One thing wrong with a document: a stable code, a sentence, the exact place, what stands there (cut to
/// <see cref="MaxOffending"/> characters), what was expected and what to do next.
/// </summary>
public sealed record DocumentError(
    string Code,
    Location At,
    string Message,
    string? Offending = null,
    string? Expected = null,
    string? Next = null)
{
    /// <summary>Longest piece of somebody's text that is repeated in an error.</summary>
    public const int MaxOffending = 80;

    private const int MaxExcerpt = 100;

    /// <summary>What stands at the place, cut to <see cref="MaxOffending"/> characters, control characters made visible.</summary>
    public string? Offending { get; init; } = Offending is null ? null : Cut(Offending);

    /// <summary>Error unless said otherwise.</summary>
    public Severity Severity { get; init; } = Severity.Error;

    /// <summary>Width in characters of the mark under the place; the offending text's when zero.</summary>
    public int MarkWidth { get; init; }

    /// <summary>One line: <c>file:line:column: error: sentence</c>.</summary>
    public override string ToString()
    {
        var word = Severity switch { Severity.Error => "error", Severity.Warning => "warning" };
        return $"{At}: {word}: {Message}";
    }

    /// <summary>The line of <see cref="ToString"/>, then the source line with a mark under the place and the hint beside it.</summary>
    public string Render(string source)
    {
        var text = new StringBuilder(ToString());
        var hint = Next ?? (Expected is null ? null : $"expected {Expected}");
        if (Line(source, At.Line) is not { } line)
        {
            return hint is null ? text.ToString() : text.Append("; ").Append(hint).ToString();
        }

        var column = Math.Clamp(At.Column - 1, 0, line.Length);
        var start = column > MaxExcerpt - 20 ? column - 20 : 0;
        var end = Math.Min(line.Length, start + MaxExcerpt);
        var lead = start > 0 ? "…" : "";
        var tail = end < line.Length ? "…" : "";
        var gutter = At.Line.ToString().PadLeft(4);
        text.Append('\n').Append(gutter).Append(" | ").Append(lead).Append(Visible(line[start..end])).Append(tail);
        var width = MarkWidth > 0 ? MarkWidth : Offending?.Length ?? 1;
        width = Math.Clamp(width, 1, Math.Max(1, end - column));
        text.Append('\n').Append(' ', 4).Append(" | ").Append(' ', lead.Length + column - start).Append('^', width);
        return hint is null ? text.ToString() : text.Append(' ').Append(hint).ToString();
    }

    /// <summary>Cuts somebody's text to <see cref="MaxOffending"/> characters and makes control characters harmless for a terminal.</summary>
    public static string Cut(string text)
    {
        var kept = text.Length <= MaxOffending ? text : text[..(MaxOffending - 1)] + "…";
        return Visible(kept);
    }

    private static string Visible(string text) =>
        string.Create(text.Length, text, static (span, from) =>
        {
            for (var i = 0; i < from.Length; i++)
            {
                span[i] = IsHarmless(from[i]) ? from[i] : from[i] == '\t' ? ' ' : '\u00b7';
            }
        });

    private static bool IsHarmless(char c) =>
        !char.IsControl(c) && char.GetUnicodeCategory(c) is not (System.Globalization.UnicodeCategory.Format
            or System.Globalization.UnicodeCategory.LineSeparator or System.Globalization.UnicodeCategory.ParagraphSeparator
            or System.Globalization.UnicodeCategory.Surrogate or System.Globalization.UnicodeCategory.PrivateUse);

    private static string? Line(string source, int number)
    {
        var rest = source.AsSpan();
        for (var i = 1; i < number; i++)
        {
            var newline = rest.IndexOf('\n');
            if (newline < 0)
            {
                return null;
            }

            rest = rest[(newline + 1)..];
        }

        var end = rest.IndexOf('\n');
        return (end < 0 ? rest : rest[..end]).TrimEnd('\r').ToString();
    }
}
