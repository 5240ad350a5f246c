using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Drivers.Power;
using Ka.Drivers.Programs;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Simulation;

namespace Ka.Tests.Drivers;

/// <summary>Outlets that feed several nodes, and packets that wake one.</summary>
public sealed class SharedOutlets
{
    /// <summary>gris-1 and gris-2 on one outlet, gris-3 alone on another, gris-4 with a BMC.</summary>
    static readonly ImmutableArray<ClusterNode> Nodes = [.. SimulatedDeployment.SampleCluster(["gris-1", "gris-2", "gris-3", "gris-4"]).Nodes.Select((n, i) => n with
    {
        Power = new PowerSettings(i == 3 ? "command" : "pdu", null, 0, null, null, 17, new[] { "status", "on", "off" }.ToImmutableDictionary(v => v, v => ImmutableArray.Create("/site/outlet", v, "{outlet}")))
        {
            Outlet = i switch { < 2 => "strip/1", 2 => "strip/2", _ => null },
            OutletNodes = i switch { < 2 => ["gris-1", "gris-2"], 2 => ["gris-3"], _ => [] },
        },
    })];

    static (Dictionary<int, Fault?> Results, List<string> Asked) Switch(NodeBits nodes, PowerAction action, bool resumed = false, Predicate<string>? checkedIn = null)
    {
        var asked = new List<string>();
        var on = new HashSet<string> { "strip/1", "strip/2", "" };
        RunProgram strip = (_, arguments, _) =>
        {
            var (verb, outlet) = (arguments.First(), arguments.Last());
            if (verb == "status")
                return Task.FromResult(new ProgramResult(0, on.Contains(outlet) ? "on" : "off", ""));
            asked.Add($"{verb} {outlet}".Trim());
            _ = verb == "on" ? on.Add(outlet) : on.Remove(outlet);
            return Task.FromResult(new ProgramResult(0, "", ""));
        };
        var drivers = new PowerDrivers([new CommandPower("pdu", strip), new CommandPower("command", strip)]);
        return VirtualStrand.Run(async clock =>
        {
            var results = new Dictionary<int, Fault?>();
            var power = new PowerControl(Nodes, clock, drivers.For, checkedIn ?? (_ => false));
            await foreach (var done in power.ApplyAsync(nodes, action, Level.Hard, new AttemptId("P-A", 1, 1, resumed), new Pace(new Window(1), TimeSpan.FromMinutes(5), clock), CancellationToken.None))
                results.Add(done.Node, done.Fault);
            return (results, asked);
        }).Result;
    }

    [Fact]
    public void An_outlet_is_switched_once_for_all_its_nodes()
    {
        var (results, asked) = Switch(NodeBits.Of(0) | NodeBits.Of(1) | NodeBits.Of(2), PowerAction.Cycle);
        Assert.All(results.Values, Assert.Null);
        Assert.Equal(3, results.Count);
        Assert.Equal(["off strip/1", "on strip/1", "off strip/2", "on strip/2"], asked);
    }

    [Fact]
    public void An_outlet_of_which_a_node_is_not_meant_is_refused_by_that_nodes_name_and_others_go_on()
    {
        var (results, asked) = Switch(NodeBits.Of(0) | NodeBits.Of(2) | NodeBits.Of(3), PowerAction.Off);
        Assert.Equal(("power.shared_outlet", "outlet strip/1 also feeds gris-2, which is not in this step"), (results[0]?.Code.Text, results[0]?.Message));
        Assert.Equal((null, null), (results[2], results[3]));
        Assert.Equal(["off strip/2", "off"], asked);
    }

    [Fact]
    public void A_resumed_reboot_spares_an_outlet_when_one_of_its_nodes_has_started_already()
    {
        var (results, asked) = Switch(NodeBits.Of(0) | NodeBits.Of(1) | NodeBits.Of(2), PowerAction.Reboot, resumed: true, checkedIn: n => n == "gris-2");
        Assert.All(results.Values, Assert.Null);
        Assert.Equal(["off strip/2", "on strip/2"], asked);
    }

    [Fact]
    public void A_magic_packet_is_six_times_255_and_sixteen_times_the_address()
    {
        var packet = WakeOnLan.Packet("52:54:00:ab:CD:ef");
        Assert.Equal(102, packet.Length);
        Assert.All(packet[..6], b => Assert.Equal(255, b));
        for (var i = 6; i < packet.Length; i += 6)
            Assert.Equal([0x52, 0x54, 0x00, 0xab, 0xcd, 0xef], packet[i..(i + 6)]);
    }

    [Fact]
    public async Task A_magic_packet_goes_out_as_one_datagram()
    {
        var cancel = TestContext.Current.CancellationToken;
        using var card = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        card.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await WakeOnLan.SendAsync((IPEndPoint)card.LocalEndPoint!, WakeOnLan.Packet("52:54:00:ab:cd:ef"), cancel);
        var got = new byte[200];
        Assert.Equal(102, await card.ReceiveAsync(got, cancel));
        Assert.Equal(WakeOnLan.Packet("52:54:00:ab:cd:ef"), got[..102]);
    }
}
