using Ka.Core.Clusters;
using Ka.Core.NodeSets;
using Ka.Core.Nodes;
using Ka.Engine.Planning;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Simulation;

namespace Ka.Tests.Engine;

/// <summary>Reboots and changes of power over a cluster that does not exist, in virtual time.</summary>
public sealed class SimulatedOperations
{
    static readonly Roster Roster = new([.. NodeSet.Parse("gris-[1-4]").Select(n => n.Value)]);

    static SimulatedOutcome Reboot(RebootTarget to, string[] faults, bool installed = true, int? crashAfter = null, Level level = Level.Soft, bool keys = false) =>
        Run(OperationPlans.Reboot(new RebootWish(to, level), SimulatedDeployment.SampleCluster(Roster.Names), keys), faults, installed, crashAfter);

    static SimulatedOutcome Power(PowerAction action, params string[] faults) => Run(OperationPlans.Power(new PowerWish(action, Level.Soft), SimulatedDeployment.SampleCluster(Roster.Names)), faults, installed: true, null);

    static SimulatedOutcome Run(Ka.Engine.Automata.Plan plan, string[] faults, bool installed, int? crashAfter)
    {
        Assert.True(FaultPlan.TryParse(faults, Roster, out var misbehaving, out var error), error);
        return SimulatedDeployment.Run(Roster, 1, SimulatedHardware.Sound, misbehaving, plan, 500, world =>
        {
            foreach (var node in Roster.All)
                if (installed)
                    world.Install(node);
        }, crashAfter);
    }

    [Fact]
    public void A_change_of_power_that_fails_leaves_what_a_node_boots_as_it_was()
    {
        Assert.True(FaultPlan.TryParse(["gris-2 has a dead bmc"], Roster, out var misbehaving, out _));
        var plan = OperationPlans.Power(new PowerWish(PowerAction.On, Level.Soft), SimulatedDeployment.SampleCluster(Roster.Names));
        var outcome = SimulatedDeployment.Run(Roster, 1, SimulatedHardware.Sound, misbehaving, plan, 500, world => world.Remember(1, BootChoice.Profile));
        Assert.Equal("gris-2", Text(outcome.Ko));
        Assert.Equal(BootChoice.Profile, outcome.World.BootsNext(1));
    }

    static string Text(NodeBits nodes) => nodes.IsEmpty ? "" : NodeSet.FromNames(Roster.NamesOf(nodes).Select(NodeName.Parse)).ToString();

    [Fact]
    public void A_reboot_ends_well_where_the_deployed_system_answers_again()
    {
        var outcome = Reboot(RebootTarget.Disk, []);
        Assert.Equal("gris-[1-4]", Text(outcome.Ok));
        Assert.All(outcome.Ok, node => Assert.True(outcome.World.RunsDeployed(node) && outcome.World.BootedAt(node) is not null));
    }

    [Theory]
    [InlineData(RebootTarget.Disk, "blue", new[] { "blue" })]
    [InlineData(RebootTarget.Disk, null, new string[0])]
    [InlineData(RebootTarget.Minimal, null, new[] { "default" })]
    [InlineData(RebootTarget.Profile, "blue", new[] { "default", "blue" })]
    public void Nodes_boot_from_the_network_in_the_default_VLAN_and_end_in_the_one_that_was_asked_for(RebootTarget to, string? vlan, string[] places)
    {
        var outcome = Run(OperationPlans.Reboot(new RebootWish(to, Level.Soft), SimulatedDeployment.SampleCluster(Roster.Names), withKeys: false, new VlanWish(vlan, "default")), [], installed: true, null);
        Assert.Equal("gris-[1-4]", Text(outcome.Ok));
        Assert.All(outcome.Ok, node => Assert.Equal(places, outcome.World.VlansOf(node).Select(v => v.Vlan)));
    }

    [Theory]
    [InlineData("has a dead bmc", "power.bmc_unreachable")]
    [InlineData("never boots", "boot.no_ssh")]
    public void A_reboot_that_a_node_withstands_fails_there_only(string misbehaviour, string cause)
    {
        var outcome = Reboot(RebootTarget.Disk, [$"gris-3 {misbehaviour}"]);
        Assert.Equal("gris-[1-2,4]", Text(outcome.Ok));
        Assert.Equal(cause, Assert.Single(outcome.Faults).Value.Code.Text);
    }

    [Theory]
    [InlineData("ignores soft reboot")]
    [InlineData("ignores hard reboot")]
    [InlineData("is slow")]
    public void A_node_that_ignores_what_is_gentle_is_really_rebooted_all_the_same(string misbehaviour)
    {
        var outcome = Reboot(RebootTarget.Disk, [$"gris-3 {misbehaviour}"]);
        Assert.Equal("gris-[1-4]", Text(outcome.Ok));
        Assert.NotNull(outcome.World.BootedAt(2));
    }

    [Fact]
    public void Nodes_without_a_system_are_not_said_to_be_rebooted()
    {
        var outcome = Reboot(RebootTarget.Disk, [], installed: false);
        Assert.Equal(("", 4), (Text(outcome.Ok), outcome.Causes["boot.no_ssh"]));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_reboot_into_the_minimal_environment_leaves_an_agent_there(bool keys)
    {
        var outcome = Reboot(RebootTarget.Minimal, ["gris-2 has no cable"], keys: keys);
        Assert.Equal("gris-[1,3-4]", Text(outcome.Ok));
        Assert.All(outcome.Ok, node => Assert.True(outcome.World.RunsMinimal(node)));
        Assert.Equal("boot.no_dhcp", Assert.Single(outcome.Faults).Value.Code.Text);
    }

    [Fact]
    public void A_reboot_into_a_profile_ends_when_its_kernel_was_fetched_and_the_profile_stays()
    {
        var outcome = Reboot(RebootTarget.Profile, ["gris-2 has no cable"]);
        Assert.Equal("gris-[1,3-4]", Text(outcome.Ok));
        Assert.All(outcome.Ok, node => Assert.Equal(BootChoice.Profile, outcome.World.BootsNext(node)));
        Assert.Equal(BootChoice.LocalDisk, outcome.World.BootsNext(1));
    }

    [Fact]
    public void A_reboot_goes_on_after_the_server_died_at_any_moment()
    {
        var whole = Reboot(RebootTarget.Disk, ["gris-3 ignores soft reboot"]);
        for (var entries = 1; entries < whole.Journal.Length; entries++)
            Assert.Equal("gris-[1-4]", Text(Reboot(RebootTarget.Disk, ["gris-3 ignores soft reboot"], crashAfter: entries).Ok));
    }

    [Fact]
    public void What_is_switched_off_is_off_and_what_is_switched_on_is_on()
    {
        var off = Power(PowerAction.Off, "gris-4 has a dead bmc");
        Assert.Equal("gris-[1-3]", Text(off.Ok));
        Assert.All(off.Ok, node => Assert.False(off.World.IsOn(node)));
        Assert.Equal("power.bmc_unreachable", Assert.Single(off.Faults).Value.Code.Text);
        var cycled = Power(PowerAction.Cycle);
        Assert.Equal("gris-[1-4]", Text(cycled.Ok));
        Assert.All(cycled.Ok, node => Assert.True(cycled.World.IsOn(node) && cycled.World.BootedAt(node) is not null));
        var on = Power(PowerAction.On);
        Assert.All(on.Ok, node => Assert.Null(on.World.BootedAt(node)));
    }
}
