using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Ka.Boot.Tftp;

/// <summary>Error codes of RFC 1350 and RFC 2347.</summary>
public enum TftpError : ushort
{
    NotFound = 1,
    AccessViolation = 2,
    IllegalOperation = 4,
    UnknownTransfer = 5,
    BadOptions = 8,
}

/// <summary>A request to read a file, with the options asked for (names in lower case).</summary>
public sealed record TftpRequest(string File, string Mode, IReadOnlyDictionary<string, string> Options);

/// <summary>Puts packets together and takes them apart (RFC 1350, 2347).</summary>
public static class TftpPacket
{
    /// <summary>Operation codes.</summary>
    public const ushort Read = 1;

    /// <inheritdoc cref="Read"/>
    public const ushort Write = 2;

    /// <inheritdoc cref="Read"/>
    public const ushort Data = 3;

    /// <inheritdoc cref="Read"/>
    public const ushort Ack = 4;

    /// <inheritdoc cref="Read"/>
    public const ushort Error = 5;

    /// <inheritdoc cref="Read"/>
    public const ushort OptionAck = 6;

    private const int MaxRequest = 512;

    /// <summary>The operation code; 0 when the packet is too short to have one.</summary>
    public static ushort Operation(ReadOnlySpan<byte> packet) => packet.Length < 4 ? (ushort)0 : BinaryPrimitives.ReadUInt16BigEndian(packet);

    /// <summary>The block number of DATA and ACK, the code of ERROR.</summary>
    public static ushort Number(ReadOnlySpan<byte> packet) => BinaryPrimitives.ReadUInt16BigEndian(packet[2..]);

    /// <summary>Takes a read request apart: printable ASCII ended by zeros, at most 512 bytes, each option once.</summary>
    public static bool TryParseRequest(ReadOnlySpan<byte> packet, [NotNullWhen(true)] out TftpRequest? request)
    {
        request = null;
        if (packet.Length is < 6 or > MaxRequest || packet[^1] != 0)
        {
            return false;
        }

        var parts = Encoding.Latin1.GetString(packet[2..^1]).Split('\0');
        if (parts.Length < 2 || parts.Length % 2 != 0 || parts.Any(part => part.AsSpan().ContainsAnyExceptInRange(' ', '~')))
        {
            return false;
        }

        var options = new Dictionary<string, string>();
        for (var i = 2; i < parts.Length; i += 2)
        {
            if (!options.TryAdd(parts[i].ToLowerInvariant(), parts[i + 1]))
            {
                return false;
            }
        }

        request = new(parts[0], parts[1].ToLowerInvariant(), options);
        return true;
    }

    /// <summary>DATA.</summary>
    public static byte[] DataPacket(ushort block, ReadOnlySpan<byte> data) => [.. Header(Data, block), .. data];

    /// <summary>ERROR with a sentence.</summary>
    public static byte[] ErrorPacket(TftpError error, string message) => [.. Header(Error, (ushort)error), .. Encoding.ASCII.GetBytes(message), 0];

    /// <summary>OACK.</summary>
    public static byte[] OptionAckPacket(IEnumerable<(string Name, long Value)> options)
    {
        var text = string.Concat(options.Select(option => string.Create(CultureInfo.InvariantCulture, $"{option.Name}\0{option.Value}\0")));
        return [0, (byte)OptionAck, .. Encoding.ASCII.GetBytes(text)];
    }

    private static byte[] Header(ushort operation, ushort number) => [0, (byte)operation, (byte)(number >> 8), (byte)number];
}
