using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace Ka.Core.NodeSets;

/// <summary>
/// The name of one node: 1 to <see cref="MaxLength"/> of <c>a-z A-Z 0-9 . - _</c>, beginning with a letter or digit, upper and
/// lower case differing (as in ClusterShell). No run of digits is longer than <see cref="MaxDigits"/>. Because of this alphabet a
/// name may stand in a path, a URL, a shell word or a kernel parameter as it is.
/// </summary>
public readonly record struct NodeName : IComparable<NodeName>
{
    /// <summary>Longest name, as in DNS (RFC 1035).</summary>
    public const int MaxLength = 253;

    /// <summary>Longest run of digits that is counted as an index.</summary>
    public const int MaxDigits = 18;

    private static readonly SearchValues<char> Alphabet =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

    private readonly string? _value;

    private NodeName(string value) => _value = value;

    /// <summary>The text. Empty only for <c>default</c>.</summary>
    public string Value => _value ?? "";

    /// <summary>Takes a name as it is; no blanks are cut, nothing is expanded.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out NodeName name)
    {
        name = default;
        if (text is null || !IsName(text))
        {
            return false;
        }

        name = new(text);
        return true;
    }

    /// <summary>Takes a name written in the program or a test. Throws <see cref="FormatException"/> when it is none.</summary>
    public static NodeName Parse(string text) =>
        TryParse(text, out var name) ? name : throw new FormatException($"'{text}' is not a node name");

    /// <summary>Whether a character may stand in a name.</summary>
    public static bool IsNameCharacter(char c) => Alphabet.Contains(c);

    /// <summary>Orders by characters, not by index; a <see cref="NodeSet"/> enumerates by index.</summary>
    public int CompareTo(NodeName other) => string.CompareOrdinal(Value, other.Value);

    /// <summary>The text.</summary>
    public override string ToString() => Value;

    /// <summary>For names put together from parts that are known to be good.</summary>
    internal static NodeName Known(string text) => new(text);

    internal static bool IsName(ReadOnlySpan<char> text)
    {
        if (text.Length is 0 or > MaxLength || !char.IsAsciiLetterOrDigit(text[0]) || text.ContainsAnyExcept(Alphabet))
        {
            return false;
        }

        var digits = 0;
        foreach (var c in text)
        {
            digits = char.IsAsciiDigit(c) ? digits + 1 : 0;
            if (digits > MaxDigits)
            {
                return false;
            }
        }

        return true;
    }
}
