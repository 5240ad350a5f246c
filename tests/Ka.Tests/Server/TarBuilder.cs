using System.Globalization;
using System.Text;

namespace Ka.Tests.Server;

/// <summary>Writes tar archives byte by byte, also such as no program would write.</summary>
sealed class TarBuilder
{
    readonly List<byte> _archive = [];

    /// <param name="name">At most 100 characters, each one byte (Latin 1); longer names by <see cref="Pax"/>.</param>
    /// <param name="size">Instead of the content's own.</param>
    public TarBuilder Entry(
        string name, char type = '0', byte[]? content = null, string link = "", int mode = 0x1A4, long? size = null, int uid = 0, int gid = 0, int major = 0, int minor = 0,
        Action<byte[]>? change = null)
    {
        content ??= [];
        var header = new byte[512];
        Put(header, 0, name);
        Octal(header, 100, 7, mode);
        Octal(header, 108, 7, uid);
        Octal(header, 116, 7, gid);
        Octal(header, 124, 11, size ?? content.Length);
        Octal(header, 136, 11, 1_000_000_000);
        header[156] = (byte)type;
        Put(header, 157, link);
        Put(header, 257, "ustar\000");
        Octal(header, 329, 7, major);
        Octal(header, 337, 7, minor);
        change?.Invoke(header);
        Sum(header);
        _archive.AddRange(header);
        _archive.AddRange(content);
        _archive.AddRange(new byte[(512 - content.Length % 512) % 512]);
        return this;
    }

    public TarBuilder File(string name, string text = "text", int mode = 0x1A4) => Entry(name, '0', Encoding.UTF8.GetBytes(text), mode: mode);

    public TarBuilder Directory(string name, int mode = 0x1ED) => Entry(name, '5', mode: mode);

    public TarBuilder Symbolic(string name, string target) => Entry(name, '2', link: target);

    public TarBuilder Hard(string name, string target) => Entry(name, '1', link: target);

    public TarBuilder Pax(params (string Key, string Value)[] records) => Entry("PaxHeaders/x", 'x', [.. records.SelectMany(r => Record(r.Key, r.Value))]);

    public TarBuilder Global(params (string Key, string Value)[] records) => Entry("PaxHeaders/g", 'g', [.. records.SelectMany(r => Record(r.Key, r.Value))]);

    /// <summary>GNU's record of a long name ('L') or link ('K').</summary>
    public TarBuilder Long(char type, string name) => Entry("././@LongLink", type, [.. Encoding.Latin1.GetBytes(name), 0]);

    public TarBuilder Raw(byte[] bytes)
    {
        _archive.AddRange(bytes);
        return this;
    }

    public byte[] End() => [.. _archive, .. new byte[1024]];

    public byte[] WithoutEnd() => [.. _archive];

    /// <summary>"LENGTH KEY=VALUE\n", the length counting itself.</summary>
    public static byte[] Record(string key, string value)
    {
        var rest = 1 + Encoding.Latin1.GetByteCount(key) + 1 + Encoding.Latin1.GetByteCount(value) + 1;
        var length = rest + 1;
        while (length != rest + length.ToString(CultureInfo.InvariantCulture).Length)
            length = rest + length.ToString(CultureInfo.InvariantCulture).Length;
        return Encoding.Latin1.GetBytes($"{length} {key}={value}\n");
    }

    public static void Octal(byte[] header, int at, int digits, long value) => Put(header, at, Convert.ToString(value, 8).PadLeft(digits, '0'));

    /// <summary>GNU's base-256.</summary>
    public static void Binary(byte[] header, int at, int length, long value)
    {
        for (var i = length - 1; i >= 0; i--, value >>= 8)
            header[at + i] = (byte)value;
        header[at] |= 0x80;
    }

    static void Put(byte[] header, int at, string text) => Encoding.Latin1.GetBytes(text).CopyTo(header, at);

    static void Sum(byte[] header)
    {
        header.AsSpan(148, 8).Fill((byte)' ');
        Put(header, 148, Convert.ToString(header.Sum(b => b), 8).PadLeft(6, '0') + "\0 ");
    }
}
