namespace Ka.Protocol.Rest;

/// <summary>A machine that asked to boot from the network and that no cluster has.</summary>
/// <param name="Firmware"><c>bios</c>, <c>uefi</c>, or <c>unknown</c> for what Ka cannot boot.</param>
/// <param name="Architecture">DHCP option 93; null when it is not sent.</param>
/// <param name="Uuid">DHCP option 97, as SMBIOS writes it.</param>
/// <param name="Asked">The address that it asks for.</param>
public sealed record UnknownMachineReply(string Mac, string Firmware, int? Architecture, string? Uuid, string? Asked, DateTimeOffset FirstSeen, DateTimeOffset LastSeen, int Requests);
