using System.Net;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Ka.Boot;
using Ka.Boot.Dhcp;
using Ka.Core.BootProfiles;
using Ka.Protocol.Rest;
using Ka.Server.Boot;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>Machines that nobody has told of, from the DHCP packet to the API; and the light by which a machine is found.</summary>
public sealed class UnknownMachinesAndLights(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static readonly Guid Uuid = Guid.Parse("12345678-9abc-def0-1122-334455667788");

    static byte[] Discover(string mac, params (byte Code, byte[] Value)[] options) => new DhcpMessage
    {
        IsRequest = true, Transaction = 7, Mac = MacAddress.Parse(mac),
        Options = options.Append((DhcpOption.MessageType, [(byte)DhcpMessageType.Discover])).ToDictionary(o => o.Item1, o => o.Item2),
    }.Encode();

    static (byte, byte[]) Vendor(string text) => (DhcpOption.VendorClass, Encoding.ASCII.GetBytes(text));

    BootServer Boot(DhcpMode mode)
    {
        var services = server.App.Services;
        return new BootServer(services.GetRequiredService<BootServer>().Settings with { Mode = mode }, services.GetRequiredService<BootDirectory>(), services.GetRequiredService<Channel<BootEvent>>().Writer, TimeProvider.System);
    }

    async Task<UnknownMachineReply[]> SeenAsync(Func<UnknownMachineReply[], bool> enough)
    {
        while (true)
        {
            var seen = JsonSerializer.Deserialize(await server.Http.GetStringAsync("machines", Cancel), RestJson.Default.UnknownMachineReplyArray)!;
            if (enough(seen))
                return seen;
            await Task.Yield();
        }
    }

    [Theory]
    [InlineData(DhcpMode.Full)]
    [InlineData(DhcpMode.Proxy)]
    public async Task An_unknown_machine_that_boots_is_listed_with_what_it_says_of_itself_and_gets_no_answer(DhcpMode mode)
    {
        await using var boot = Boot(mode);
        var mac = mode == DhcpMode.Full ? "52:54:00:ff:00:01" : "52:54:00:ff:00:02";
        var packet = Discover(
            mac, Vendor("PXEClient:Arch:00007:UNDI:003016"), (DhcpOption.ClientArchitecture, [0, 7]), (DhcpOption.ClientMachineIdentifier, [0, .. Uuid.ToByteArray()]), (DhcpOption.RequestedAddress, [10, 0, 0, 99]));
        Assert.Null(boot.Take(packet, new IPEndPoint(IPAddress.Any, 68), DhcpPort.Dhcp));
        // A second look by iPXE, which does not know the UUID, and an operating system, which does not boot.
        Assert.Null(boot.Take(Discover(mac, Vendor("PXEClient:Arch:00007:UNDI:003016"), (DhcpOption.UserClass, "iPXE"u8.ToArray())), new IPEndPoint(IPAddress.Any, 68), DhcpPort.Dhcp));
        Assert.Null(boot.Take(Discover("52:54:00:ff:00:09", Vendor("udhcp 1.36")), new IPEndPoint(IPAddress.Any, 68), DhcpPort.Dhcp));
        var machine = (await SeenAsync(s => s.Any(m => m.Mac == mac && m.Requests == 2))).Single(m => m.Mac == mac);
        Assert.Equal(("uefi", 7, Uuid.ToString(), "10.0.0.99"), (machine.Firmware, machine.Architecture, machine.Uuid, machine.Asked));
        Assert.True(machine.FirstSeen <= machine.LastSeen);
        Assert.DoesNotContain(await SeenAsync(_ => true), m => m.Mac == "52:54:00:ff:00:09");
    }

    [Fact]
    public async Task A_known_machine_gets_its_answer_and_is_not_listed()
    {
        await using var boot = Boot(DhcpMode.Full);
        var answer = boot.Take(Discover("52:54:00:00:00:01", Vendor("PXEClient:Arch:00000:UNDI:002001")), new IPEndPoint(IPAddress.Any, 68), DhcpPort.Dhcp);
        Assert.NotNull(answer);
        Assert.DoesNotContain(await SeenAsync(_ => true), m => m.Mac == "52:54:00:00:00:01");
    }

    [Fact]
    public void Whoever_was_silent_longest_gives_way()
    {
        var list = new UnknownMachineList();
        var traits = new MachineTraits(BootFirmware.BiosPxe, 0, null, null);
        for (var i = 0; i <= UnknownMachineList.Limit; i++)
        {
            list.Saw(new MacAddress((ulong)i), traits, DateTimeOffset.UnixEpoch.AddSeconds(i));
            list.Saw(new MacAddress(0), traits, DateTimeOffset.UnixEpoch.AddSeconds(i));
        }
        var all = list.All();
        Assert.Equal((UnknownMachineList.Limit, 0UL), (all.Length, all[0].Mac.Bits));
        Assert.DoesNotContain(all, m => m.Mac.Bits == 1);
    }

    [Fact]
    public async Task A_node_without_a_light_says_so_by_a_code_of_its_own()
    {
        var reply = await server.PostAsync("nodes/identify", """{"nodes":"rouge-[1-2]","off":false}""");
        Assert.Equal(HttpStatusCode.OK, reply.StatusCode);
        var lights = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.LightReplyArray)!;
        Assert.Equal([("rouge-1", "unknown", "power.no_light"), ("rouge-2", "unknown", "power.no_light")], lights.Select(l => (l.Node, l.Light, l.Code)));
    }

    [Theory]
    [InlineData("""{"nodes":"rouge-1","off":false,"seconds":0}""", 422, "request.invalid")]
    [InlineData("""{"nodes":"rouge-1","off":true,"seconds":5}""", 422, "request.invalid")]
    [InlineData("""{"nodes":"rouge-9","off":true}""", 404, "nodes.unknown")]
    [InlineData("""{"nodes":"","off":true}""", 422, "nodes.empty")]
    public async Task A_wish_for_light_that_makes_no_sense_is_refused(string body, int status, string code)
    {
        var reply = await server.PostAsync("nodes/identify", body);
        Assert.Equal((status, code), ((int)reply.StatusCode, (await RunningServer.ProblemOf(reply)).Code));
    }

    [Fact]
    public async Task Nobody_switches_the_light_of_a_node_that_no_rule_gives()
    {
        var alice = await server.AsAsync("alice");
        var reply = await alice.PostAsync("nodes/identify", RunningServer.Json("""{"nodes":"rouge-1","off":false}"""), Cancel);
        Assert.Equal("rights.missing", (await RunningServer.ProblemOf(reply)).Code);
    }
}
