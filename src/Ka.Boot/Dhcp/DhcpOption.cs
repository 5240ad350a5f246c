namespace Ka.Boot.Dhcp;

/// <summary>The option codes Ka reads or writes (RFC 2132, 3004, 3046, 4578, and iPXE's 175).</summary>
public static class DhcpOption
{
    public const byte SubnetMask = 1;
    public const byte Router = 3;
    public const byte DnsServers = 6;
    public const byte HostName = 12;
    public const byte DomainName = 15;
    public const byte VendorSpecific = 43;
    public const byte RequestedAddress = 50;
    public const byte LeaseTime = 51;
    public const byte MessageType = 53;
    public const byte ServerIdentifier = 54;
    public const byte Message = 56;
    public const byte VendorClass = 60;
    public const byte ClientIdentifier = 61;
    public const byte TftpServerName = 66;
    public const byte BootFile = 67;
    public const byte UserClass = 77;
    public const byte RelayAgent = 82;
    public const byte ClientArchitecture = 93;
    public const byte ClientMachineIdentifier = 97;
    public const byte IpxeEncapsulated = 175;
}

/// <summary>What a DHCP message says (option 53, RFC 2132 section 9.6).</summary>
public enum DhcpMessageType : byte
{
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}
