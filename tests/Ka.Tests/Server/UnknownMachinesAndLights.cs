using System.Net;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Ka.Boot;
using Ka.Boot.Dhcp;
using Ka.Core.BootProfiles;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Ka.Server.Api;
using Ka.Server.Boot;
using Ka.Simulation;
using Ka.Tests.Cli;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

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

    [Fact]
    public void A_light_that_does_not_end_by_itself_is_switched_off_at_its_time_and_a_later_wish_replaces_the_earlier()
    {
        var (offs, _) = VirtualStrand.Run(async clock =>
        {
            var (begin, seen) = (clock.GetUtcNow(), new List<string>());
            using var timers = new LightTimers(clock, NullLogger<LightTimers>.Instance);
            void Shine(string node, int? seconds) => timers.Set(node, seconds is { } s ? TimeSpan.FromSeconds(s) : null, () =>
            {
                seen.Add($"{node} at {(clock.GetUtcNow() - begin).TotalSeconds:0}");
                return Task.FromResult<Fault?>(null);
            });
            Shine("gris-1", 60);
            Shine("gris-2", 60);
            Shine("gris-3", 60);
            await Task.Delay(TimeSpan.FromSeconds(30), clock);
            Shine("gris-2", 60);
            Shine("gris-3", null);
            await Task.Delay(TimeSpan.FromMinutes(5), clock);
            return string.Join(", ", seen);
        });
        Assert.Equal("gris-1 at 60, gris-2 at 90", offs);
    }

    [Fact]
    public async Task The_command_line_says_where_no_light_is_and_who_is_not_known()
    {
        var socket = "unix:" + server.PathOf("kad.sock");
        var light = await InProcess.RunAsync("-S", socket, "nodes", "identify", "rouge-[1-2]", "--for", "2m");
        Assert.Equal((1, "unknown  rouge-[1-2]  the driver 'command' has no light to switch  (power.no_light)\n"), (light.Status, light.Output));
        Assert.Equal(2, (await InProcess.RunAsync("-S", socket, "nodes", "identify", "rouge-1", "--for", "5m")).Status);
        Assert.Equal(2, (await InProcess.RunAsync("-S", socket, "nodes", "identify", "rouge-1", "--for", "5s", "--off")).Status);
        await using var boot = Boot(DhcpMode.Full);
        boot.Take(Discover("52:54:00:ff:00:07", Vendor("PXEClient:Arch:00000:UNDI:002001"), (DhcpOption.ClientArchitecture, [0, 0])), new IPEndPoint(IPAddress.Any, 68), DhcpPort.Dhcp);
        await SeenAsync(s => s.Any(m => m.Mac == "52:54:00:ff:00:07"));
        Assert.Matches("(?m)^52:54:00:ff:00:07,bios,0,,,.*,1$", (await InProcess.RunAsync("-S", socket, "nodes", "discover", "-o", "csv")).Output);
        Assert.Equal("name,mac,address,firmware\ngris-77,52:54:00:ff:00:07,10.0.0.77,bios\n", (await InProcess.RunAsync("-S", socket, "nodes", "discover", "--accept", "52:54:00:ff:00:07=gris-77", "--addresses", "10.0.0.77")).Output);
        Assert.Equal(2, (await InProcess.RunAsync("-S", socket, "nodes", "discover", "--watch", "--accept-as", "a[1-9]")).Status);
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
