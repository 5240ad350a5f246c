using System.Text;
using System.Text.RegularExpressions;

namespace Ka.Tests.House;

/// <summary>A member of a type: the line it begins on (from 1), how many lines it has, its first words.</summary>
sealed record Member(int Line, int Lines, string Head);

/// <summary>C# as text: enough of the grammar to count lines and to look for words, no more.</summary>
static partial class CSharpText
{
    /// <summary>The source with comments and literals blanked out; line breaks stay where they are.</summary>
    public static string Bare(string source)
    {
        var bare = new StringBuilder(source);
        for (var i = 0; i < source.Length; i++)
            for (var end = Literal(source, i); i < end; i++)
                if (source[i] != '\n')
                    bare[i] = ' ';
        return bare.ToString();
    }

    /// <summary>Members of all types of a bared source, functions and others; the parts of a type count each for itself.</summary>
    public static IEnumerable<Member> Members(string bare)
    {
        var types = new Stack<int>();
        var depth = 0;
        var start = -1;
        for (var i = 0; i < bare.Length; i++)
        {
            var c = bare[i];
            if (char.IsWhiteSpace(c))
                continue;
            var here = types.Count == 0 ? 0 : types.Peek();
            if (start < 0 && c != '}')
                start = i;
            if (c == '{' && depth == here && TypeHead().IsMatch(bare[start..i]))
            {
                types.Push(++depth);
                start = -1;
                continue;
            }
            depth += c is '{' or '(' or '[' ? 1 : c is '}' or ')' or ']' ? -1 : 0;
            if (c == '}' && depth < here)
            {
                types.Pop();
                start = -1;
            }
            else if (depth == here && start >= 0 && (c == ';' || (c == '}' && !GoesOn(bare, i + 1))))
            {
                yield return new Member(Line(bare, start), Line(bare, i) - Line(bare, start) + 1, bare[start..Math.Min(i, start + 60)].Split('\n')[0].Trim());
                start = -1;
            }
        }
    }

    static bool GoesOn(string bare, int i)
    {
        while (i < bare.Length && char.IsWhiteSpace(bare[i]))
            i++;
        return i < bare.Length && bare[i] is '.' or ';' or ',' or ')' or ']' or '=' or '?' or '!' or ':';
    }

    static int Line(string text, int at) => text.AsSpan(0, at).Count('\n') + 1;

    /// <summary>Where the comment or literal that begins at a place ends; the place itself when none does.</summary>
    static int Literal(string s, int i)
    {
        if (At(s, i, "//"))
            return s.IndexOf('\n', i) is var n && n < 0 ? s.Length : n;
        if (At(s, i, "/*"))
            return s.IndexOf("*/", i, StringComparison.Ordinal) + 2;
        if (s[i] == '\'')
            return s.IndexOf('\'', i + (s[i + 1] == '\\' ? 3 : 2)) + 1;
        var open = i;
        while (open < s.Length && s[open] is '$' or '@')
            open++;
        return open < s.Length && s[open] == '"' ? Text(s, open, s.AsSpan(i, open - i).Count('$'), s.AsSpan(i, open - i).Contains('@')) : i;
    }

    static int Text(string s, int i, int dollars, bool verbatim)
    {
        var quotes = Run(s, i, '"');
        if (quotes == 2)
            return i + 2;
        var raw = quotes >= 3;
        for (i += raw ? quotes : 1; i < s.Length;)
        {
            if (s[i] == '\\' && !raw && !verbatim)
                i += 2;
            else if (s[i] == '"' && verbatim && At(s, i, "\"\""))
                i += 2;
            else if (s[i] == '"' && (!raw || Run(s, i, '"') >= quotes))
                return i + (raw ? Run(s, i, '"') : 1);
            else if (s[i] == '{' && dollars > 0 && !raw && At(s, i, "{{"))
                i += 2;
            else if (s[i] == '{' && dollars > 0 && Run(s, i, '{') >= dollars)
                i = Hole(s, i + Run(s, i, '{'), raw ? dollars : 1);
            else
                i++;
        }
        return i;
    }

    /// <summary>Past the end of an interpolation.</summary>
    static int Hole(string s, int i, int braces)
    {
        for (var depth = 0; i < s.Length;)
        {
            if (s[i] == '}' && depth == 0)
                return i + braces;
            depth += s[i] is '{' ? 1 : s[i] is '}' ? -1 : 0;
            i = Math.Max(i + 1, Literal(s, i));
        }
        return i;
    }

    static int Run(string s, int i, char c)
    {
        var n = 0;
        while (i + n < s.Length && s[i + n] == c)
            n++;
        return n;
    }

    static bool At(string s, int i, string what) => string.CompareOrdinal(s, i, what, 0, what.Length) == 0;

    [GeneratedRegex(@"(?<!where [^;{]*:[^;{]*)\b(class|struct|interface|record|namespace|enum)\s+(?!where\b)[A-Za-z_]")]
    private static partial Regex TypeHead();
}
