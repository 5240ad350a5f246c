using System.Buffers.Binary;
using System.Net;

namespace Ka.Boot.Dhcp;

/// <summary>What a machine that boots over the network says of itself, for people who do not know it yet.</summary>
/// <param name="Architecture">Option 93 (RFC 4578, numbers of IANA's registry); null when it is not sent.</param>
/// <param name="Uuid">Option 97, as SMBIOS writes it; null when it is not sent.</param>
/// <param name="Asked">The address that it asks for or has; null for none.</param>
public sealed record MachineTraits(BootFirmware Firmware, ushort? Architecture, Guid? Uuid, IPAddress? Asked)
{
    /// <summary>Null for a message that no firmware sent.</summary>
    public static MachineTraits? Of(DhcpMessage message) => FirmwareOf.Sender(message) is var firmware and not BootFirmware.None
        ? new(
            firmware,
            message.Option(DhcpOption.ClientArchitecture) is { Length: >= 2 } number ? BinaryPrimitives.ReadUInt16BigEndian(number) : null,
            message.Option(DhcpOption.ClientMachineIdentifier) is [0, .. { Length: 16 } uuid] ? new Guid(uuid) : null,
            message.Address(DhcpOption.RequestedAddress) ?? (message.ClientAddress.Equals(IPAddress.Any) ? null : message.ClientAddress))
        : null;
}
