using System.Text;

namespace Ka.Core.NodeSets;

/// <summary>One operand of an expression: texts and bracketed ranges in turn, beginning and ending with a text.</summary>
internal sealed class NodeSetOperand
{
    private const int MaxTexts = 10_000;

    private NodeSetOperand(int position) => Position = position;

    public int Position { get; }

    public List<string> Literals { get; } = [];

    public List<RangeList> Ranges { get; } = [];

    public bool IsGroup => Literals[0].StartsWith('@');

    /// <summary>Whether indexes are put in one by one rather than in whole words.</summary>
    public bool IsStepped => Ranges.Any(range => range.HasStep) || Literals.Any(literal => literal.AsSpan().ContainsAnyInRange('0', '9'));

    public bool HasWildcard => Literals.Any(literal => literal.AsSpan().ContainsAny('*', '?'));

    /// <summary>Reads from <paramref name="at"/>, past blanks, up to the next operator outside brackets or the end.</summary>
    public static NodeSetOperand? Read(string text, ref int at, int limit, out NodeSetError? error)
    {
        while (at < text.Length && char.IsWhiteSpace(text[at]))
        {
            at++;
        }

        var operand = new NodeSetOperand(at);
        var begin = at;
        error = null;
        for (; at < text.Length && text[at] is not (',' or '!' or '&' or '^'); at++)
        {
            if (text[at] == ']')
            {
                error = new("nodeset.syntax", "']' has no '[' before it", at, "]");
                return null;
            }

            if (text[at] == '[')
            {
                operand.Literals.Add(text[begin..at]);
                if (!operand.ReadBrackets(text, ref at, limit, out error))
                {
                    return null;
                }

                begin = at + 1;
            }
        }

        operand.Literals.Add(text[begin..at].TrimEnd());
        if (operand.Ranges.Count == 0 && operand.Literals[0].Length == 0)
        {
            var stands = at < text.Length ? $"before '{text[at]}'" : "at the end";
            error = new("nodeset.syntax", $"a node is missing {stands}", Math.Min(operand.Position, Math.Max(0, text.Length - 1)), "", "a node, a range or a group");
            return null;
        }

        return operand;
    }

    /// <summary>Names of one pattern; null and an error when a name would not be good.</summary>
    public (string Pattern, IndexSet[] Product)? ToNames(int limit, out NodeSetError? error)
    {
        error = CheckLiterals() ?? CheckSize(limit);
        if (error is not null)
        {
            return null;
        }

        var literals = Literals.ToArray();
        var pattern = new StringBuilder();
        var product = new List<IndexSet>();
        for (var i = 0; i <= Ranges.Count; i++)
        {
            var before = i < Ranges.Count ? TrailingDigits(literals[i]) : "";
            var ranks = new List<long>();
            pattern.Append(NodePattern.Split(literals[i].AsSpan(0, literals[i].Length - before.Length), ranks));
            product.AddRange(ranks.Select(IndexSet.Of));
            if (i == Ranges.Count)
            {
                break;
            }

            var after = LeadingDigits(literals[i + 1]);
            literals[i + 1] = literals[i + 1][after.Length..];
            if (i + 1 < Ranges.Count && literals[i + 1].Length == 0)
            {
                error = new("nodeset.syntax", "two brackets touch; a text must stand between them", Ranges[i + 1].Position - 1, Ranges[i + 1].Text);
                return null;
            }

            error = CheckJoining(Ranges[i], before, after);
            if (error is not null)
            {
                return null;
            }

            pattern.Append("%s");
            product.Add(before.Length + after.Length == 0 ? Ranges[i].Set : Ranges[i].Surround(before, after));
        }

        return (pattern.ToString(), [.. product]);
    }

    /// <summary>All texts of the operand, for groups and wildcards; null when there are more than 10,000.</summary>
    public List<string>? ToTexts()
    {
        var texts = new List<string> { Literals[0] };
        for (var i = 0; i < Ranges.Count; i++)
        {
            if ((long)texts.Count * Ranges[i].Set.Count > MaxTexts)
            {
                return null;
            }

            var indexes = Ranges[i].Set.Ranks().Select(DigitString.Format).ToArray();
            texts = [.. texts.SelectMany(text => indexes.Select(index => text + index + Literals[i + 1]))];
        }

        return texts;
    }

    private bool ReadBrackets(string text, ref int at, int limit, out NodeSetError? error)
    {
        var close = text.AsSpan(at + 1).IndexOfAny('[', ']');
        if (close < 0 || text[at + 1 + close] == '[')
        {
            var end = close < 0 ? text.Length : at + 1 + close;
            error = new("nodeset.syntax", $"'{Documents.DocumentError.Cut(text[Position..end])}' lacks ']'", at, text[at..end], "']' after the ranges");
            return false;
        }

        var ranges = RangeList.Read(text.Substring(at + 1, close), at + 1, limit, out error);
        if (ranges is null)
        {
            return false;
        }

        Ranges.Add(ranges);
        at += close + 1;
        return true;
    }

    private NodeSetError? CheckLiterals()
    {
        var position = Position;
        for (var i = 0; i < Literals.Count; i++)
        {
            for (var k = 0; k < Literals[i].Length; k++)
            {
                var c = Literals[i][k];
                if (!NodeName.IsNameCharacter(c) || (i == 0 && k == 0 && !char.IsAsciiLetterOrDigit(c)))
                {
                    return BadName(Literals[i], c, position + k);
                }
            }

            var run = LongestRun(Literals[i]);
            if (run > NodeName.MaxDigits)
            {
                return new("nodeset.bad_name", $"an index has {run} digits, the limit is {NodeName.MaxDigits}", position, Literals[i]);
            }

            position += Literals[i].Length + (i < Ranges.Count ? Ranges[i].Text.Length + 2 : 0);
        }

        return null;
    }

    private static NodeSetError BadName(string literal, char c, int position)
    {
        var message = char.IsWhiteSpace(c) ? "a blank stands inside a name" : $"the character '{Documents.DocumentError.Cut(c.ToString())}' may not stand here";
        var next = char.IsWhiteSpace(c) ? "separate nodes by ','" : null;
        return new("nodeset.bad_name", message, position, literal, "names of letters, digits, '.', '-' and '_' that begin with a letter or digit", next);
    }

    private NodeSetError? CheckSize(int limit)
    {
        Int128 count = 1;
        var length = Literals.Sum(literal => literal.Length);
        foreach (var range in Ranges)
        {
            count *= range.Set.Count;
            length += DigitString.Split(range.Set.Last).Width;
            if (count > limit)
            {
                return new("nodeset.too_many", $"this makes more than {limit:N0} nodes", Position, range.Text, $"at most {limit:N0} nodes");
            }
        }

        return length > NodeName.MaxLength
            ? new("nodeset.bad_name", $"a name has {length} characters, the limit is {NodeName.MaxLength}", Position, Literals[0])
            : null;
    }

    private static NodeSetError? CheckJoining(RangeList range, string before, string after)
    {
        var width = before.Length + DigitString.Split(range.Set.Last).Width + after.Length;
        if (width > NodeName.MaxDigits)
        {
            return new("nodeset.bad_name", $"an index has {width} digits, the limit is {NodeName.MaxDigits}", range.Position, range.Text);
        }

        if (after.Length > 0 && range.HasStep)
        {
            return new("nodeset.syntax", "digits may not follow a range with a step", range.Position, range.Text);
        }

        var isRagged = (after.Length > 0 && range.IsRaggedFromZero)
            || (before.Length > 0 && after.Length == 0 && IndexFolding.Runs(range.Set).Any(run => run.StartText.Length != run.StopText.Length));
        return isRagged
            ? new(
                "nodeset.ambiguous", $"digits touch the range '{Documents.DocumentError.Cut(range.Text)}', whose ends differ in length", range.Position, range.Text,
                null, "write the whole numbers inside the brackets")
            : null;
    }

    private static string TrailingDigits(string text) => text[text.AsSpan().TrimEnd("0123456789").Length..];

    private static string LeadingDigits(string text) => text[..^text.AsSpan().TrimStart("0123456789").Length];

    private static int LongestRun(string text)
    {
        var (longest, run) = (0, 0);
        foreach (var c in text)
        {
            run = char.IsAsciiDigit(c) ? run + 1 : 0;
            longest = Math.Max(longest, run);
        }

        return longest;
    }
}
