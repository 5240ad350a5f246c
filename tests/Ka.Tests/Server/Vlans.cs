using System.Collections.Immutable;
using System.Net;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Server.Configuration;
using Ka.Server.Workflows;
using Ka.Simulation;

namespace Ka.Tests.Server;

/// <summary>The program of a site that puts nodes into VLANs.</summary>
public sealed class Vlans(RunningServer server) : IClassFixture<RunningServer>, IDisposable
{
    static readonly ImmutableArray<ClusterNode> Roster = [.. SimulatedDeployment.SampleCluster(["gris-1", "gris-2", "gris-3"]).Nodes.Select(n => n with { Address = "10.0.0.7" })];

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    static VlanSettings Settings(string? names, params string[] command) => new([.. command], "default", names, TimeSpan.FromMinutes(1));

    static async Task<Fault?[]> PlaceAsync(VlanSettings? settings)
    {
        var faults = new List<Fault?>();
        var port = new VlanPort(Roster, settings, TimeProvider.System);
        await foreach (var result in port.PlaceAsync(NodeBits.Of(0) | NodeBits.Of(2), "blue", new AttemptId("D-1", 1, 1, false), new Pace(new Window(1), TimeSpan.FromMinutes(1), TimeProvider.System), Cancel))
            faults.Add(result.Fault);
        return [.. faults];
    }

    [Fact]
    public async Task The_program_is_run_once_with_the_VLAN_and_all_its_nodes()
    {
        Assert.All(await PlaceAsync(Settings(null, "/bin/sh", "-c", "echo \"$@\" >> \"$0\"", _directory["said"], "set", "{vlan}", "{nodes}")), Assert.Null);
        Assert.Equal("set blue gris-[1,3]\n", await File.ReadAllTextAsync(_directory["said"], Cancel));
    }

    [Fact]
    public async Task A_program_that_fails_or_is_gone_is_the_fault_of_its_nodes()
    {
        var failed = await PlaceAsync(Settings(null, "/bin/sh", "-c", "echo no such switch >&2; exit 4", "{vlan}", "{nodes}"));
        Assert.All(failed, f => Assert.Equal((FaultCodes.VlanFailed, "/bin/sh ended with status 4 for VLAN blue", "no such switch"), (f!.Code, f.Message, f.Evidence)));
        Assert.Equal(2, failed.Length);
        Assert.All(await PlaceAsync(Settings(null, _directory["missing"], "{vlan}", "{nodes}")), f => Assert.Contains("could not be started", f!.Message, StringComparison.Ordinal));
        Assert.All(await PlaceAsync(Settings(null, "/usr/bin/tail", "-f", "/dev/null") with { Patience = TimeSpan.FromMilliseconds(1) }), f => Assert.Contains("did not end within", f!.Message, StringComparison.Ordinal));
        Assert.All(await PlaceAsync(null), f => Assert.Equal(FaultCodes.VlanUnconfigured, f!.Code));
    }

    [Fact]
    public async Task A_node_in_a_VLAN_answers_where_DNS_says()
    {
        var workflow = new Workflow("D-1", WorkflowKind.Deploy, "alice", SimulatedDeployment.SampleEnvironment, SimulatedDeployment.SampleCluster(["host"]), [], DateTimeOffset.UnixEpoch)
        {
            Options = new DeployOptions { Vlan = new VlanWish("local", "default") },
        };
        var node = Roster[0] with { Name = "host" };
        Task<IPAddress> Of(Workflow of, string? names) => new DeployedAddresses(of, Settings(names, "/bin/true"), TimeProvider.System).OfAsync(node, _ => { }, Cancel);
        Assert.Equal(IPAddress.Loopback, await Of(workflow, "{vlan}{node}"));
        Assert.Equal("10.0.0.7", (await Of(workflow, null)).ToString());
        Assert.Equal("10.0.0.7", (await Of(workflow with { Options = DeployOptions.Default }, "{vlan}{node}")).ToString());
    }

    [Theory]
    [InlineData("blue", "vlan.unconfigured")]
    [InlineData("../blue", "vlan.unconfigured")]
    public async Task Without_a_program_of_the_site_a_VLAN_is_refused(string vlan, string code)
    {
        var reply = await server.PostAsync("deployments", $"{{\"environment\":\"debian12\",\"nodes\":\"gris-5\",\"dryRun\":true,\"vlan\":\"{vlan}\"}}");
        Assert.Equal(code, (await RunningServer.ProblemOf(reply)).Code);
        var reboot = await server.PostAsync("reboots", $"{{\"nodes\":\"gris-5\",\"dryRun\":true,\"vlan\":\"{vlan}\"}}");
        Assert.Equal(code, (await RunningServer.ProblemOf(reboot)).Code);
    }

    [Theory]
    [InlineData("4", true)]
    [InlineData("blue_2", true)]
    [InlineData("", false)]
    [InlineData("-x", false)]
    [InlineData("a b", false)]
    [InlineData("{nodes}", false)]
    [InlineData("blue\n", false)]
    public void A_name_of_a_VLAN_is_a_plain_word(string text, bool good) => Assert.Equal(good, VlanWish.IsName(text));

    [Theory]
    [InlineData("vlan: { command: [set-vlan, \"{vlan}\", \"{nodes}\"], default: \"1\", names: \"{node}-{vlan}.x\", timeout: 5s }", null)]
    [InlineData("vlan: { command: [set-vlan] }", "the program must be told VLAN and nodes")]
    [InlineData("vlan: { command: [set-vlan, \"{vlan}\", \"{nodes}\"], default: \"a b\" }", "is no VLAN")]
    [InlineData("vlan: { command: [set-vlan, \"{vlan}\", \"{nodes}\"], names: \"{node}.x\" }", "does not name a node in a VLAN")]
    public void The_configuration_says_how_ports_are_put_into_VLANs(string text, string? refusal)
    {
        _directory.Write("ka.yaml", "server: { state: state, users: [\"unix:/run/ka/kad.sock\"] }\nboot: { dhcp: off }\n" + text + "\n");
        var reading = SiteReader.Read(_directory["ka.yaml"]);
        if (refusal is not null)
            Assert.Contains(refusal, Assert.Single(reading.Findings).Error.Message, StringComparison.Ordinal);
        else
            Assert.Equal(
                (_directory["set-vlan"], "1", "gris-1-4.x", TimeSpan.FromSeconds(5)),
                (reading.Site!.Vlan!.Command[0], reading.Site.Vlan.Default, reading.Site.Vlan.NameOf("gris-1", "4"), reading.Site.Vlan.Patience));
    }
}
