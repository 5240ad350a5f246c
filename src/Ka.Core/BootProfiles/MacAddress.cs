using System.Globalization;

namespace Ka.Core.BootProfiles;

/// <summary>The 48-bit address of a network card, the name a machine has before it has one.</summary>
public readonly record struct MacAddress(ulong Bits)
{
    /// <summary>Reads <c>52:54:00:12:34:56</c>, also with <c>-</c> or <c>.</c> or nothing between, in either case.</summary>
    public static bool TryParse(string text, out MacAddress mac)
    {
        mac = default;
        var digits = text.Replace(":", "").Replace("-", "").Replace(".", "");
        var separators = text.Length - digits.Length;
        if (digits.Length != 12 || separators is not (0 or 2 or 5) || !ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var bits))
        {
            return false;
        }

        mac = new(bits);
        return true;
    }

    /// <summary>Takes an address written in the program or a test. Throws <see cref="FormatException"/> when it is none.</summary>
    public static MacAddress Parse(string text) => TryParse(text, out var mac) ? mac : throw new FormatException($"'{text}' is not a MAC address");

    /// <summary>The address from its six bytes.</summary>
    public static MacAddress FromBytes(ReadOnlySpan<byte> bytes)
    {
        ulong bits = 0;
        foreach (var b in bytes[..6])
        {
            bits = (bits << 8) | b;
        }

        return new(bits);
    }

    /// <summary>The six bytes.</summary>
    public byte[] ToBytes() => [.. Enumerable.Range(0, 6).Select(MacByte)];

    /// <summary>Lower case with hyphens, as in the file names of PXELINUX and in iPXE's <c>mac:hexhyp</c>.</summary>
    public string ToHyphens() => ToString().Replace(':', '-');

    /// <summary>Lower case with colons.</summary>
    public override string ToString() => string.Join(':', ToBytes().Select(b => b.ToString("x2", CultureInfo.InvariantCulture)));

    private byte MacByte(int i) => (byte)(Bits >> (8 * (5 - i)));
}
