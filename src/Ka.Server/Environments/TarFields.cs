using System.Text;
using Ka.Protocol.Manifests;

namespace Ka.Server.Environments;

/// <summary>Fields of a tar header (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").</summary>
static class TarFields
{
    public const int Block = 512;

    public static bool ChecksumHolds(ReadOnlySpan<byte> header)
    {
        if (!TryNumber(header.Slice(148, 8), out var stored))
            return false;
        var sum = 0;
        for (var i = 0; i < Block; i++)
            sum += i is >= 148 and < 156 ? ' ' : header[i];
        return sum == stored;
    }

    /// <summary>Octal text, or GNU's base-256 when the first bit is set. Numbers beyond 63 bits are none.</summary>
    public static bool TryNumber(ReadOnlySpan<byte> field, out long value)
    {
        value = 0;
        if ((field[0] & 0x80) != 0)
        {
            // The second bit is the sign; the rest is two's complement.
            value = (field[0] & 0x40) != 0 ? (sbyte)field[0] : field[0] & 0x3F;
            foreach (var b in field[1..])
            {
                if (value is > long.MaxValue >> 8 or < long.MinValue >> 8)
                    return false;
                value = (value << 8) | b;
            }
            return true;
        }
        foreach (var b in field.Trim(" \0"u8))
        {
            if (b is < (byte)'0' or > (byte)'7' || value > long.MaxValue >> 3)
                return false;
            value = value * 8 + (b - '0');
        }
        return true;
    }

    /// <summary>An owner, a mode or a device number.</summary>
    public static bool TryUnsigned(ReadOnlySpan<byte> field, out uint value)
    {
        var sound = TryNumber(field, out var number) && number is >= 0 and <= uint.MaxValue;
        value = sound ? (uint)number : 0;
        return sound;
    }

    public static string Name(ReadOnlySpan<byte> header)
    {
        var name = Text(header[..100]);
        var prefix = header.Slice(257, 6).SequenceEqual("ustar\0"u8) ? Text(header.Slice(345, 155)) : "";
        return prefix.Length > 0 ? prefix + "/" + name : name;
    }

    public static string Text(ReadOnlySpan<byte> field)
    {
        var end = field.IndexOf((byte)0);
        return ByteText.Decode(end < 0 ? field : field[..end]);
    }

    public static long Padding(long size) => (Block - size % Block) % Block;

    /// <summary>What a file begins like, for messages; null when it is nothing known.</summary>
    public static string? Format(ReadOnlySpan<byte> begin) =>
        begin.StartsWith((ReadOnlySpan<byte>)[0x1F, 0x8B]) ? "gzip"
        : begin.StartsWith((ReadOnlySpan<byte>)[0x28, 0xB5, 0x2F, 0xFD]) ? "zstd"
        : begin.StartsWith((ReadOnlySpan<byte>)[0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0]) ? "xz"
        : begin.StartsWith((ReadOnlySpan<byte>)[0x04, 0x22, 0x4D, 0x18]) ? "lz4"
        : begin.StartsWith("BZh"u8) ? "bzip2"
        : begin.StartsWith("QFI"u8) ? "qcow2"
        : begin.StartsWith("PK\x03\x04"u8) ? "zip"
        : begin.StartsWith("070701"u8) ? "cpio"
        : begin.StartsWith("KDMV"u8) ? "vmdk"
        : begin.StartsWith("conectix"u8) ? "vhd"
        : begin.StartsWith((ReadOnlySpan<byte>)[0x3A, 0xFF, 0x26, 0xED]) ? "an Android sparse image"
        : null;
}
