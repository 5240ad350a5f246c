using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Text;
using Ka.Core.BootProfiles;

namespace Ka.Boot.Dhcp;

/// <summary>
/// One DHCP message over Ethernet (RFC 2131 figure 1; options as in RFC 2132, long ones split and joined as in RFC 3396). Addresses are
/// IPv4; <see cref="IPAddress.Any"/> stands for none.
/// </summary>
public sealed record DhcpMessage
{
    /// <summary>Largest message read or written, in bytes: an Ethernet frame's payload without IP and UDP headers.</summary>
    public const int MaxLength = 1472;

    private const int HeaderLength = 236;
    private const int MinLength = 300;
    private const uint Cookie = 0x63825363;

    /// <summary>True from a client (BOOTREQUEST), false from a server.</summary>
    public required bool IsRequest { get; init; }

    /// <summary>The client's transaction, copied into the answer.</summary>
    public required uint Transaction { get; init; }

    /// <summary>The client's hardware address.</summary>
    public required MacAddress Mac { get; init; }

    /// <summary>Relays passed so far.</summary>
    public byte Hops { get; init; }

    /// <summary>Seconds since the client began.</summary>
    public ushort Seconds { get; init; }

    /// <summary>Bit 15: the client can only hear broadcasts yet.</summary>
    public ushort Flags { get; init; }

    /// <summary>ciaddr: the address the client has and answers on.</summary>
    public IPAddress ClientAddress { get; init; } = IPAddress.Any;

    /// <summary>yiaddr: the address given.</summary>
    public IPAddress YourAddress { get; init; } = IPAddress.Any;

    /// <summary>siaddr: where the boot file is.</summary>
    public IPAddress NextServer { get; init; } = IPAddress.Any;

    /// <summary>giaddr: the relay.</summary>
    public IPAddress RelayAddress { get; init; } = IPAddress.Any;

    /// <summary>The boot file field, at most 127 ASCII characters.</summary>
    public string File { get; init; } = "";

    /// <summary>Options by code, in the order they are written. 53 comes first.</summary>
    public IReadOnlyDictionary<byte, byte[]> Options { get; init; } = new Dictionary<byte, byte[]>();

    /// <summary>Option 53; null when absent (plain BOOTP) or unknown.</summary>
    public DhcpMessageType? Type =>
        Option(DhcpOption.MessageType) is [var type] && Enum.IsDefined((DhcpMessageType)type) ? (DhcpMessageType)type : null;

    /// <summary>An option's bytes, or null.</summary>
    public byte[]? Option(byte code) => Options.GetValueOrDefault(code);

    /// <summary>An option that is an address, or null.</summary>
    public IPAddress? Address(byte code) => Option(code) is { Length: 4 } bytes ? new(bytes) : null;

    /// <summary>An option that is ASCII text, or null.</summary>
    public string? Text(byte code) => Option(code) is { } bytes ? Encoding.ASCII.GetString(bytes).TrimEnd('\0') : null;

    /// <summary>Takes a datagram apart; false when it is no DHCP message over Ethernet.</summary>
    public static bool TryParse(ReadOnlySpan<byte> packet, [NotNullWhen(true)] out DhcpMessage? message)
    {
        message = null;
        if (packet.Length is < HeaderLength + 4 or > MaxLength || packet[0] is not (1 or 2) || packet[1] != 1 || packet[2] != 6
            || BinaryPrimitives.ReadUInt32BigEndian(packet[HeaderLength..]) != Cookie)
        {
            return false;
        }

        var options = new Dictionary<byte, byte[]>();
        if (!ReadOptions(packet[(HeaderLength + 4)..], options))
        {
            return false;
        }

        // Option 52 lends the file and sname fields to options.
        var overload = options.TryGetValue(52, out var bytes) && bytes is [var bits] ? bits : 0;
        if (((overload & 1) != 0 && !ReadOptions(packet.Slice(108, 128), options)) || ((overload & 2) != 0 && !ReadOptions(packet.Slice(44, 64), options)))
        {
            return false;
        }

        message = new()
        {
            IsRequest = packet[0] == 1,
            Hops = packet[3],
            Transaction = BinaryPrimitives.ReadUInt32BigEndian(packet[4..]),
            Seconds = BinaryPrimitives.ReadUInt16BigEndian(packet[8..]),
            Flags = BinaryPrimitives.ReadUInt16BigEndian(packet[10..]),
            ClientAddress = new(packet.Slice(12, 4)),
            YourAddress = new(packet.Slice(16, 4)),
            NextServer = new(packet.Slice(20, 4)),
            RelayAddress = new(packet.Slice(24, 4)),
            Mac = MacAddress.FromBytes(packet.Slice(28, 6)),
            File = (overload & 1) != 0 ? "" : ReadText(packet.Slice(108, 128)),
            Options = options,
        };
        return true;
    }

    /// <summary>The datagram, padded to 300 bytes as old relays want it. Throws when the options do not fit into <see cref="MaxLength"/>.</summary>
    public byte[] Encode()
    {
        var packet = new byte[MaxLength];
        (packet[0], packet[1], packet[2], packet[3]) = ((byte)(IsRequest ? 1 : 2), 1, 6, Hops);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(4), Transaction);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(8), Seconds);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), Flags);
        ClientAddress.GetAddressBytes().CopyTo(packet, 12);
        YourAddress.GetAddressBytes().CopyTo(packet, 16);
        NextServer.GetAddressBytes().CopyTo(packet, 20);
        RelayAddress.GetAddressBytes().CopyTo(packet, 24);
        Mac.ToBytes().CopyTo(packet, 28);
        Encoding.ASCII.GetBytes(File.Length > 127 ? "" : File).CopyTo(packet, 108);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(HeaderLength), Cookie);
        var at = HeaderLength + 4;
        foreach (var (code, value) in Options)
        {
            var offset = 0;
            do
            {
                var length = Math.Min(255, value.Length - offset);
                if (at + 2 + length >= MaxLength)
                {
                    throw new InvalidOperationException($"DHCP option {code} does not fit");
                }

                (packet[at], packet[at + 1]) = (code, (byte)length);
                value.AsSpan(offset, length).CopyTo(packet.AsSpan(at + 2));
                (at, offset) = (at + 2 + length, offset + length);
            }
            while (offset < value.Length);
        }

        packet[at++] = 255;
        return packet[..Math.Max(at, MinLength)];
    }

    private static bool ReadOptions(ReadOnlySpan<byte> bytes, Dictionary<byte, byte[]> options)
    {
        for (var at = 0; at < bytes.Length && bytes[at] != 255;)
        {
            if (bytes[at] == 0)
            {
                at++;
                continue;
            }

            if (at + 2 > bytes.Length || at + 2 + bytes[at + 1] > bytes.Length)
            {
                return false;
            }

            var (code, value) = (bytes[at], bytes.Slice(at + 2, bytes[at + 1]).ToArray());
            options[code] = options.TryGetValue(code, out var before) ? [.. before, .. value] : value;
            at += 2 + value.Length;
        }

        return true;
    }

    private static string ReadText(ReadOnlySpan<byte> field)
    {
        var end = field.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? field : field[..end]);
    }
}
