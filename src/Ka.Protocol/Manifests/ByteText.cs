using System.Buffers;
using System.Globalization;
using System.Text;

namespace Ka.Protocol.Manifests;

/// <summary>
/// Names of files are bytes, not text. Bytes that are no UTF-8 become the lone surrogates U+DC80 to U+DCFF (as Python's
/// "surrogateescape" does), so that every name goes to a string and back unchanged.
/// </summary>
public static class ByteText
{
    const char Lowest = '\uDC80', Highest = '\uDCFF';

    public static string Decode(ReadOnlySpan<byte> bytes)
    {
        if (Ascii.IsValid(bytes))
            return Encoding.ASCII.GetString(bytes);
        var text = new StringBuilder(bytes.Length);
        while (!bytes.IsEmpty)
        {
            if (Rune.DecodeFromUtf8(bytes, out var rune, out var taken) == OperationStatus.Done)
                text.Append(rune.ToString());
            else
            {
                text.Append((char)(0xDC00 + bytes[0]));
                taken = 1;
            }
            bytes = bytes[taken..];
        }
        return text.ToString();
    }

    public static byte[] Encode(string text)
    {
        if (Ascii.IsValid(text))
            return Encoding.ASCII.GetBytes(text);
        var bytes = new ArrayBufferWriter<byte>(text.Length * 2);
        for (var rest = text.AsSpan(); !rest.IsEmpty;)
        {
            if (rest[0] is >= Lowest and <= Highest)
            {
                bytes.Write([(byte)(rest[0] - 0xDC00)]);
                rest = rest[1..];
                continue;
            }
            Rune.DecodeFromUtf16(rest, out var rune, out var taken);
            var space = bytes.GetSpan(4);
            bytes.Advance(rune.EncodeToUtf8(space));
            rest = rest[taken..];
        }
        return bytes.WrittenSpan.ToArray();
    }

    /// <summary>For people and JSON: control characters, direction marks and bytes that are no text are written as <c>\xNN</c> or <c>\uNNNN</c>.</summary>
    public static string Printable(string text)
    {
        if (text.All(c => c is >= ' ' and < '\x7f'))
            return text;
        var shown = new StringBuilder(text.Length);
        foreach (var rune in Runes(text))
            shown.Append(rune);
        return shown.ToString();
    }

    static IEnumerable<string> Runes(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c is >= Lowest and <= Highest)
                yield return $"\\x{c - 0xDC00:x2}";
            else if (c < ' ' || c == '\x7f')
                yield return $"\\x{(int)c:x2}";
            else if (char.IsHighSurrogate(c) && i + 1 < text.Length && char.IsSurrogatePair(c, text[i + 1]))
                yield return text.Substring(i++, 2);
            else if (char.IsSurrogate(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
                yield return $"\\u{(int)c:x4}";
            else
                yield return c.ToString();
        }
    }
}
