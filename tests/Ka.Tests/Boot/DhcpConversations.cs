using System.Net;
using System.Text;
using Ka.Boot;
using Ka.Boot.Dhcp;
using Ka.Core.BootProfiles;
using Ka.Core.NodeSets;

namespace Ka.Tests.Boot;

public class DhcpConversations
{
    private static readonly MacAddress Mac = MacAddress.Parse("52:54:00:77:00:01");

    private static readonly BootNode Node = new(
        NodeName.Parse("gris-1"), Mac, IPAddress.Parse("10.77.0.101"), "0123456789abcdef0123456789abcdef", new BootProfile.LocalDisk());

    private static readonly BootSettings Full = new(
        "br0", IPAddress.Parse("10.77.0.1"), new Uri("http://10.77.0.1:8080/"),
        [new(IPNetwork.Parse("10.77.0.0/24"), IPAddress.Parse("10.77.0.254"), [IPAddress.Parse("10.77.0.2")], "site.example")]);

    private static readonly BootSettings Proxy = Full with { Mode = DhcpMode.Proxy };

    [Fact]
    public void A_bios_machine_gets_its_address_and_the_first_loader()
    {
        var answer = Decide(Discover("PXEClient:Arch:00000:UNDI:002001", 0));

        var offer = Assert.IsType<DhcpMessage>(answer.Reply);
        Assert.Equal(DhcpMessageType.Offer, offer.Type);
        Assert.Equal(Node.Address, offer.YourAddress);
        Assert.Equal(Full.Address, offer.NextServer);
        Assert.Equal("undionly.kpxe", offer.File);
        Assert.Equal(IPAddress.Parse("255.255.255.0"), offer.Address(DhcpOption.SubnetMask));
        Assert.Equal(IPAddress.Parse("10.77.0.254"), offer.Address(DhcpOption.Router));
        Assert.Equal("gris-1", offer.Text(DhcpOption.HostName));
        Assert.Equal([0, 0, 0x0e, 0x10], offer.Option(DhcpOption.LeaseTime));
        Assert.Equal(BootEventKind.DhcpDiscover, answer.Kind);
    }

    [Theory]
    [InlineData("PXEClient:Arch:00000:UNDI:002001", 0, "undionly.kpxe")]
    [InlineData("PXEClient:Arch:00007:UNDI:003016", 7, "snponly.efi")]
    [InlineData("PXEClient:Arch:00009:UNDI:003016", 9, "snponly.efi")]
    [InlineData("PXEClient:Arch:00007:UNDI:003016", -1, "snponly.efi")]
    [InlineData("HTTPClient:Arch:00016:UNDI:003001", 16, "http://10.77.0.1:8080/boot/loader/ipxe.efi")]
    [InlineData("PXEClient:Arch:00006:UNDI:003016", 6, "")]
    [InlineData(null, -1, "")]
    [InlineData("udhcp 1.36", -1, "")]
    public void Each_firmware_gets_the_loader_it_can_run(string? vendor, int architecture, string file) =>
        Assert.Equal(file, Decide(Discover(vendor, architecture)).Reply!.File);

    [Theory]
    [InlineData("PXEClient:Arch:00007:UNDI:003016", 7, "0123456789abcdef0123456789abcdef/shimx64.efi")]
    [InlineData("PXEClient:Arch:00000:UNDI:002001", 0, "")]
    [InlineData("HTTPClient:Arch:00016:UNDI:003001", 16, "")]
    [InlineData("udhcp 1.36", -1, "")]
    public void A_node_with_secure_boot_gets_shim_under_its_key_and_nothing_unsigned(string vendor, int architecture, string file) =>
        Assert.Equal(file, DhcpDecision.Decide(Discover(vendor, architecture), DhcpPort.Dhcp, Node with { SecureBoot = true }, Full).Reply!.File);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Ipxe_gets_the_address_of_the_nodes_script(bool byUserClass)
    {
        var option = byUserClass ? (DhcpOption.UserClass, "iPXE"u8.ToArray()) : (DhcpOption.IpxeEncapsulated, new byte[] { 0xeb, 3, 1, 2, 3 });

        var offer = Decide(Discover("PXEClient:Arch:00000:UNDI:002001", 0, option)).Reply!;

        Assert.Equal("http://10.77.0.1:8080/boot/0123456789abcdef0123456789abcdef/script.ipxe", offer.File);
        Assert.Equal([176, 1, 1], offer.Option(DhcpOption.IpxeEncapsulated));
    }

    [Fact]
    public void An_unknown_machine_gets_no_answer_but_is_noted()
    {
        var answer = DhcpDecision.Decide(Discover("PXEClient", 0), DhcpPort.Dhcp, null, Full);

        Assert.Null(answer.Reply);
        Assert.Equal(BootEventKind.UnknownMachine, answer.Kind);
    }

    [Fact]
    public void A_request_for_its_own_address_is_acknowledged_and_another_refused()
    {
        var good = Decide(Message(DhcpMessageType.Request, (DhcpOption.RequestedAddress, Node.Address.GetAddressBytes())));
        var bad = Decide(Message(DhcpMessageType.Request, (DhcpOption.RequestedAddress, [10, 77, 0, 200])));
        var other = Decide(Message(DhcpMessageType.Request, (DhcpOption.ServerIdentifier, [10, 77, 0, 9]), (DhcpOption.RequestedAddress, [10, 77, 0, 200])));

        Assert.Equal((DhcpMessageType.Ack, BootEventKind.DhcpAck), (good.Reply!.Type, good.Kind));
        Assert.Equal(Node.Address, good.Reply.YourAddress);
        Assert.Equal((DhcpMessageType.Nak, IPAddress.Any), (bad.Reply!.Type, bad.Reply.YourAddress));
        Assert.Equal((null, BootEventKind.Refused), (other.Reply, other.Kind));
    }

    [Theory]
    [InlineData(DhcpMessageType.Release)]
    [InlineData(DhcpMessageType.Decline)]
    [InlineData(DhcpMessageType.Offer)]
    [InlineData(DhcpMessageType.Ack)]
    public void Nothing_else_is_answered(DhcpMessageType type) => Assert.Null(Decide(Message(type)).Reply);

    [Fact]
    public void A_proxy_adds_the_boot_file_and_leaves_addresses_alone()
    {
        var offer = DhcpDecision.Decide(Discover("PXEClient:Arch:00007:UNDI:003016", 7), DhcpPort.Dhcp, Node, Proxy).Reply!;
        var ack = DhcpDecision.Decide(
            Message(DhcpMessageType.Request, Vendor("PXEClient:Arch:00007:UNDI:003016"), Architecture(7)), DhcpPort.PxeProxy, Node, Proxy).Reply!;

        Assert.Equal((DhcpMessageType.Offer, IPAddress.Any, "snponly.efi"), (offer.Type, offer.YourAddress, offer.File));
        Assert.Equal("PXEClient", offer.Text(DhcpOption.VendorClass));
        Assert.Equal([6, 1, 8, 255], offer.Option(DhcpOption.VendorSpecific));
        Assert.Null(offer.Option(DhcpOption.LeaseTime));
        Assert.Equal((DhcpMessageType.Ack, IPAddress.Any, "snponly.efi"), (ack.Type, ack.YourAddress, ack.File));
        Assert.Null(DhcpDecision.Decide(Message(DhcpMessageType.Request), DhcpPort.Dhcp, Node, Proxy).Reply);
        Assert.Null(DhcpDecision.Decide(Discover(null, -1), DhcpPort.Dhcp, Node, Proxy).Reply);
    }

    [Fact]
    public void A_relay_is_answered_when_it_is_known_and_gets_its_option_back()
    {
        var request = Discover("PXEClient:Arch:00000:UNDI:002001", 0, (DhcpOption.RelayAgent, [1, 2, 0xca, 0xfe])) with { RelayAddress = IPAddress.Parse("10.77.0.254") };

        var refused = Decide(request);
        var answer = DhcpDecision.Decide(request, DhcpPort.Dhcp, Node, Full with { Relays = [IPAddress.Parse("10.77.0.254")] });

        Assert.Equal((null, BootEventKind.Refused), (refused.Reply, refused.Kind));
        Assert.Equal([1, 2, 0xca, 0xfe], answer.Reply!.Option(DhcpOption.RelayAgent));
        Assert.Equal(
            new IPEndPoint(IPAddress.Parse("10.77.0.254"), 67), DhcpDecision.Destination(request, answer.Reply, new(IPAddress.Any, 68), DhcpPort.Dhcp));
    }

    [Fact]
    public void Without_an_address_the_answer_goes_to_everybody()
    {
        var request = Discover("PXEClient", 0);
        var renewal = Message(DhcpMessageType.Request) with { ClientAddress = Node.Address };

        Assert.Equal(IPAddress.Broadcast, DhcpDecision.Destination(request, Decide(request).Reply!, new(IPAddress.Any, 68), DhcpPort.Dhcp).Address);
        Assert.Equal(Node.Address, DhcpDecision.Destination(renewal, Decide(renewal).Reply!, new(Node.Address, 68), DhcpPort.Dhcp).Address);
    }

    [Fact]
    public void Messages_survive_the_wire()
    {
        var sent = Decide(Discover("PXEClient:Arch:00000:UNDI:002001", 0)).Reply! with { Flags = 0x8000, Hops = 3 };

        Assert.True(DhcpMessage.TryParse(sent.Encode(), out var read));

        Assert.Equal((sent.Transaction, sent.Mac, sent.YourAddress, sent.File, sent.Flags), (read.Transaction, read.Mac, read.YourAddress, read.File, read.Flags));
        Assert.Equal(sent.Options.OrderBy(option => option.Key), read.Options.OrderBy(option => option.Key), (a, b) => a.Key == b.Key && a.Value.SequenceEqual(b.Value));
        Assert.Equal(sent.Encode(), read.Encode());
    }

    [Fact]
    public void Long_options_are_split_and_joined()
    {
        var value = Enumerable.Range(0, 600).Select(i => (byte)i).ToArray();

        Assert.True(DhcpMessage.TryParse(Message(DhcpMessageType.Discover, (DhcpOption.VendorSpecific, value)).Encode(), out var read));

        Assert.Equal(value, read.Option(DhcpOption.VendorSpecific));
    }

    [Fact]
    public void No_bytes_make_the_server_throw()
    {
        var luck = new Random(5);
        var seed = Discover("PXEClient:Arch:00000:UNDI:002001", 0, (DhcpOption.UserClass, [4, 105, 80, 88, 69])).Encode();
        for (var i = 0; i < 50_000; i++)
        {
            var packet = seed[..luck.Next(seed.Length + 1)];
            for (var flips = luck.Next(8); flips > 0 && packet.Length > 0; flips--)
            {
                packet[luck.Next(2) == 0 ? luck.Next(packet.Length) : Math.Min(packet.Length - 1, 240 + luck.Next(60))] = (byte)luck.Next(256);
            }

            if (DhcpMessage.TryParse(packet, out var message) && Decide(message).Reply is { } reply)
            {
                Assert.True(reply.Encode().Length <= DhcpMessage.MaxLength);
            }
        }
    }

    private static DhcpAnswer Decide(DhcpMessage message) => DhcpDecision.Decide(message, DhcpPort.Dhcp, Node, Full);

    private static DhcpMessage Discover(string? vendor, int architecture, params (byte, byte[])[] more) => Message(
        DhcpMessageType.Discover,
        [.. vendor is null ? Array.Empty<(byte, byte[])>() : [Vendor(vendor)], .. architecture < 0 ? Array.Empty<(byte, byte[])>() : [Architecture(architecture)], .. more]);

    private static (byte, byte[]) Vendor(string vendor) => (DhcpOption.VendorClass, Encoding.ASCII.GetBytes(vendor));

    private static (byte, byte[]) Architecture(int number) => (DhcpOption.ClientArchitecture, [0, (byte)number]);

    private static DhcpMessage Message(DhcpMessageType type, params (byte Code, byte[] Value)[] options)
    {
        var written = options.ToDictionary(option => option.Code, option => option.Value);
        written[DhcpOption.MessageType] = [(byte)type];
        return new() { IsRequest = true, Transaction = 0x12345678, Mac = Mac, Options = written };
    }
}
