using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Ka.Boot.Dhcp;

/// <summary>What to send back and what to note.</summary>
/// <param name="Reply">Null for silence.</param>
/// <param name="Kind">Null for nothing worth noting.</param>
public sealed record DhcpAnswer(DhcpMessage? Reply, BootEventKind? Kind, string Detail)
{
    internal static DhcpAnswer Silence { get; } = new(null, null, "");
}

/// <summary>The port a message came to.</summary>
public enum DhcpPort
{
    /// <summary>67, where DHCP servers listen.</summary>
    Dhcp = 67,

    /// <summary>4011, where PXE clients ask a proxy (PXE 2.1 section 2.2.3).</summary>
    PxeProxy = 4011,
}

/// <summary>
/// Answers DHCP messages, purely. Known nodes always get their own fixed address: there is no pool to exhaust, and Release and
/// Decline change nothing. Unknown machines get no answer.
/// </summary>
public static class DhcpDecision
{
    /// <summary>The answer to a message from a machine; <paramref name="node"/> is null when its hardware address is not known.</summary>
    public static DhcpAnswer Decide(DhcpMessage message, DhcpPort port, BootNode? node, BootSettings settings)
    {
        if (!message.IsRequest || message.Type is not { } type || settings.Mode == DhcpMode.Off)
        {
            return DhcpAnswer.Silence;
        }

        if (!message.RelayAddress.Equals(IPAddress.Any) && !settings.Relays.Contains(message.RelayAddress))
        {
            return new(null, BootEventKind.Refused, $"the relay {message.RelayAddress} is not configured");
        }

        if (node is null)
        {
            return new(null, BootEventKind.UnknownMachine, $"DHCP {type} from {message.Mac}");
        }

        return (settings.Mode, port) switch
        {
            (DhcpMode.Full, DhcpPort.Dhcp) => Full(message, type, node, settings),
            (DhcpMode.Proxy, _) => Proxy(message, type, port, node, settings),
            _ => DhcpAnswer.Silence,
        };
    }

    /// <summary>Where a reply goes: to the relay, to the address the client answers on, or to everybody on the wire.</summary>
    public static IPEndPoint Destination(DhcpMessage request, DhcpMessage reply, IPEndPoint from, DhcpPort port)
    {
        if (port == DhcpPort.PxeProxy)
        {
            return from;
        }

        if (!request.RelayAddress.Equals(IPAddress.Any))
        {
            return new(request.RelayAddress, 67);
        }

        var hasAddress = !request.ClientAddress.Equals(IPAddress.Any) && reply.Type != DhcpMessageType.Nak;
        return new(hasAddress ? request.ClientAddress : IPAddress.Broadcast, 68);
    }

    private static DhcpAnswer Full(DhcpMessage message, DhcpMessageType type, BootNode node, BootSettings settings)
    {
        if (settings.NetworkOf(node.Address) is not { } network)
        {
            return new(null, BootEventKind.Refused, $"the address {node.Address} of {node.Name} is in none of the boot networks");
        }

        switch (type)
        {
            case DhcpMessageType.Discover:
                return new(Lease(message, DhcpMessageType.Offer, node, network, settings), BootEventKind.DhcpDiscover, Describe(message));
            case DhcpMessageType.Request:
                return Request(message, node, network, settings);
            case DhcpMessageType.Inform:
                return new(Lease(message, DhcpMessageType.Ack, node, network, settings) with { YourAddress = IPAddress.Any }, null, "");
            case DhcpMessageType.Decline:
                return new(null, BootEventKind.Refused, $"{node.Name} says that its address {node.Address} is used by another machine");
            case DhcpMessageType.Release or DhcpMessageType.Offer or DhcpMessageType.Ack or DhcpMessageType.Nak:
                return DhcpAnswer.Silence;
            default:
                return DhcpAnswer.Silence;
        }
    }

    private static DhcpAnswer Request(DhcpMessage message, BootNode node, BootNetwork network, BootSettings settings)
    {
        if (message.Address(DhcpOption.ServerIdentifier) is { } chosen && !chosen.Equals(settings.Address))
        {
            return new(null, BootEventKind.Refused, $"{node.Name} takes its address from another DHCP server, {chosen}");
        }

        var wanted = message.Address(DhcpOption.RequestedAddress) ?? message.ClientAddress;
        if (!wanted.Equals(node.Address))
        {
            var nak = Reply(message, DhcpMessageType.Nak, settings, []);
            return new(nak, BootEventKind.DhcpRequest, $"asked for {wanted}, which is not its address {node.Address}");
        }

        return new(Lease(message, DhcpMessageType.Ack, node, network, settings), BootEventKind.DhcpAck, Describe(message));
    }

    private static DhcpMessage Lease(DhcpMessage message, DhcpMessageType type, BootNode node, BootNetwork network, BootSettings settings)
    {
        var options = new List<(byte, byte[])>
        {
            (DhcpOption.SubnetMask, Mask(network.Network.PrefixLength)),
            (DhcpOption.HostName, Encoding.ASCII.GetBytes(node.Name.Value)),
        };
        if (message.Type != DhcpMessageType.Inform)
        {
            options.Add((DhcpOption.LeaseTime, Number((uint)settings.LeaseTime.TotalSeconds)));
        }

        if (network.Router is { } router)
        {
            options.Add((DhcpOption.Router, router.GetAddressBytes()));
        }

        if (!network.DnsServers.IsEmpty)
        {
            options.Add((DhcpOption.DnsServers, [.. network.DnsServers.SelectMany(server => server.GetAddressBytes())]));
        }

        if (network.Domain is { } domain)
        {
            options.Add((DhcpOption.DomainName, Encoding.ASCII.GetBytes(domain)));
        }

        var reply = Reply(message, type, settings, [.. options, .. BootOptions(message, node, settings)]);
        return reply with { YourAddress = node.Address, File = BootFile(message, node, settings) ?? "" };
    }

    private static DhcpAnswer Proxy(DhcpMessage message, DhcpMessageType type, DhcpPort port, BootNode node, BootSettings settings)
    {
        DhcpMessageType? answer = (type, port) switch
        {
            (DhcpMessageType.Discover, DhcpPort.Dhcp) => DhcpMessageType.Offer,
            (DhcpMessageType.Request or DhcpMessageType.Inform, DhcpPort.PxeProxy) => DhcpMessageType.Ack,
            _ => null,
        };
        if (answer is not { } reply || BootFile(message, node, settings) is not { } file)
        {
            return DhcpAnswer.Silence;
        }

        var options = BootOptions(message, node, settings);
        var kind = reply == DhcpMessageType.Offer ? BootEventKind.DhcpDiscover : BootEventKind.DhcpAck;
        return new(Reply(message, reply, settings, options) with { File = file }, kind, Describe(message));
    }

    /// <summary>The boot file for whoever asks: the node's script for iPXE, a first loader for other firmware, null for systems.</summary>
    private static string? BootFile(DhcpMessage message, BootNode node, BootSettings settings) => FirmwareOf.Sender(message) switch
    {
        // Also to iPXE in a card's ROM: it could not start the kernel. Never anything that the firmware would refuse.
        BootFirmware.Ipxe or BootFirmware.UefiPxe when node.SecureBoot => $"{node.Key}/{BootSettings.Shim}",
        BootFirmware.BiosPxe or BootFirmware.UefiHttp when node.SecureBoot => null,
        BootFirmware.Ipxe => settings.UrlsOf(node).Script.AbsoluteUri,
        BootFirmware.BiosPxe => settings.BiosLoader,
        BootFirmware.UefiPxe => settings.UefiLoader,
        BootFirmware.UefiHttp => new Uri(settings.HttpBase, $"boot/loader/{settings.UefiHttpLoader}").AbsoluteUri,
        BootFirmware.None or BootFirmware.Other => null,
    };

    private static List<(byte, byte[])> BootOptions(DhcpMessage message, BootNode node, BootSettings settings)
    {
        var firmware = FirmwareOf.Sender(message);
        if (BootFile(message, node, settings) is not { } file)
        {
            return [];
        }

        var options = new List<(byte, byte[])>
        {
            (DhcpOption.TftpServerName, Encoding.ASCII.GetBytes(settings.Address.ToString())),
            (DhcpOption.BootFile, Encoding.ASCII.GetBytes(file)),
        };
        if (firmware == BootFirmware.UefiHttp)
        {
            options.Add((DhcpOption.VendorClass, "HTTPClient"u8.ToArray()));
        }
        else if (settings.Mode == DhcpMode.Proxy)
        {
            // Discovery control (tag 6) 8: take the boot file from this offer, do not search for boot servers.
            options.Add((DhcpOption.VendorClass, "PXEClient"u8.ToArray()));
            options.Add((DhcpOption.VendorSpecific, [6, 1, 8, 255]));
        }
        else if (firmware == BootFirmware.Ipxe)
        {
            // iPXE's no-proxydhcp (176): do not wait for a proxy that will not answer.
            options.Add((DhcpOption.IpxeEncapsulated, [176, 1, 1]));
        }

        if (message.Option(DhcpOption.ClientMachineIdentifier) is { Length: <= 17 } machine)
        {
            options.Add((DhcpOption.ClientMachineIdentifier, machine));
        }

        return options;
    }

    private static DhcpMessage Reply(DhcpMessage message, DhcpMessageType type, BootSettings settings, IEnumerable<(byte, byte[])> options)
    {
        var written = new Dictionary<byte, byte[]>
        {
            [DhcpOption.MessageType] = [(byte)type],
            [DhcpOption.ServerIdentifier] = settings.Address.GetAddressBytes(),
        };
        foreach (var (code, value) in options)
        {
            written[code] = value;
        }

        if (message.Option(DhcpOption.RelayAgent) is { Length: <= 255 } relay)
        {
            written[DhcpOption.RelayAgent] = relay;
        }

        return new()
        {
            IsRequest = false,
            Transaction = message.Transaction,
            Mac = message.Mac,
            Hops = 0,
            Flags = message.Flags,
            ClientAddress = type == DhcpMessageType.Ack ? message.ClientAddress : IPAddress.Any,
            RelayAddress = message.RelayAddress,
            NextServer = settings.Address,
            Options = written,
        };
    }

    private static string Describe(DhcpMessage message)
    {
        var vendor = message.Text(DhcpOption.VendorClass);
        return Core.Documents.DocumentError.Cut($"{FirmwareOf.Sender(message)}{(vendor is null ? "" : $", {vendor}")}");
    }

    private static byte[] Mask(int prefix) => Number(prefix == 0 ? 0 : uint.MaxValue << (32 - prefix));

    private static byte[] Number(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }
}
