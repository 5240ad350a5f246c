using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Drivers.Power;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Simulation;

namespace Ka.Tests.Drivers;

/// <summary>Escalation against a BMC that is not there, in virtual time.</summary>
public class PowerControlTests
{
    /// <summary>A machine behind a BMC: obeys what it is told to obey and remembers what it was asked.</summary>
    sealed class Bmc(bool on, params PowerVerb[] obeys) : IPowerDriver
    {
        public bool On { get; private set; } = on;

        public Fault? Refuses { get; init; }

        public List<PowerVerb> Asked { get; } = [];

        public PowerVerb[] Unknown { get; init; } = [];

        public string Kind => "none";

        public bool Knows(ClusterNode node, PowerVerb verb) => verb != PowerVerb.SoftReboot && !Unknown.Contains(verb);

        public Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel)
        {
            if (verb != PowerVerb.Status)
                Asked.Add(verb);
            if (Refuses is not null)
                return Task.FromResult(new PowerReply(Refuses));
            if (obeys.Contains(verb) && verb is not (PowerVerb.Status or PowerVerb.BootNetwork))
                On = verb is PowerVerb.On or PowerVerb.Reset;
            return Task.FromResult(new PowerReply(null, verb == PowerVerb.Status ? On : null));
        }
    }

    static readonly PowerVerb[] Everything = Enum.GetValues<PowerVerb>();

    [Fact]
    public void A_soft_reboot_shuts_down_and_switches_on_with_the_network_as_next_boot()
    {
        var bmc = new Bmc(true, Everything);
        Assert.Null(Reboot(bmc).Fault);
        Assert.Equal([PowerVerb.SoftOff, PowerVerb.BootNetwork, PowerVerb.On], bmc.Asked);
    }

    [Fact]
    public void A_soft_shutdown_without_effect_escalates_to_a_reset()
    {
        var bmc = new Bmc(true, PowerVerb.On, PowerVerb.Off, PowerVerb.Reset, PowerVerb.BootNetwork);
        var (fault, elapsed) = Reboot(bmc);
        Assert.Null(fault);
        Assert.Equal([PowerVerb.SoftOff, PowerVerb.BootNetwork, PowerVerb.Reset], bmc.Asked);
        Assert.InRange(elapsed, TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(21));
    }

    [Fact]
    public void A_node_that_is_off_is_only_switched_on()
    {
        var bmc = new Bmc(false, Everything);
        Assert.Null(Reboot(bmc).Fault);
        Assert.Equal([PowerVerb.BootNetwork, PowerVerb.On], bmc.Asked);
        Assert.True(bmc.On);
    }

    [Fact]
    public void Verbs_that_a_site_has_no_command_for_are_left_out()
    {
        var bmc = new Bmc(true, Everything) { Unknown = [PowerVerb.SoftOff, PowerVerb.Reset, PowerVerb.BootNetwork] };
        Assert.Null(Reboot(bmc).Fault);
        Assert.Equal([PowerVerb.Off, PowerVerb.On], bmc.Asked);
    }

    [Fact]
    public void A_bmc_that_accepts_everything_and_does_nothing_is_found_out()
    {
        var bmc = new Bmc(true) { Unknown = [PowerVerb.Reset] };
        Assert.Equal(FaultCodes.PowerNoEffect, Reboot(bmc).Fault?.Code);
        Assert.Equal([PowerVerb.SoftOff, PowerVerb.Off, PowerVerb.Off], bmc.Asked);
    }

    [Fact]
    public void A_bmc_that_does_not_answer_is_not_asked_more_roughly()
    {
        var bmc = new Bmc(true) { Refuses = Fault.Of(FaultCodes.PowerBmcUnreachable, "silence") };
        var (fault, elapsed) = Reboot(bmc);
        Assert.Equal((FaultCodes.PowerBmcUnreachable, TimeSpan.Zero), (fault?.Code, elapsed));
        Assert.Empty(bmc.Asked);
    }

    [Fact]
    public void A_resumed_reboot_leaves_a_node_whose_agent_has_checked_in_alone()
    {
        var bmc = new Bmc(true, Everything);
        Assert.Null(Reboot(bmc, resumed: true, checkedIn: true).Fault);
        Assert.Empty(bmc.Asked);
        Assert.Null(Reboot(bmc, resumed: true, checkedIn: false).Fault);
        Assert.NotEmpty(bmc.Asked);
    }

    [Fact]
    public void A_reboot_that_is_not_resumed_happens_whoever_has_checked_in()
    {
        var bmc = new Bmc(true, Everything);
        Assert.Null(Reboot(bmc, resumed: false, checkedIn: true).Fault);
        Assert.NotEmpty(bmc.Asked);
    }

    [Fact]
    public void On_and_off_are_what_is_read_back()
    {
        var bmc = new Bmc(false, PowerVerb.On, PowerVerb.Off);
        Assert.Null(Apply(bmc, PowerAction.On).Fault);
        Assert.True(bmc.On);
        Assert.Null(Apply(bmc, PowerAction.Off).Fault);
        Assert.False(bmc.On);
        Assert.Equal(FaultCodes.PowerNoEffect, Apply(new Bmc(false), PowerAction.On).Fault?.Code);
    }

    [Fact]
    public void A_driver_that_nobody_knows_is_a_refusal()
    {
        var (faults, _) = Run(_ => null, PowerAction.Reboot, false, false);
        Assert.Equal(FaultCodes.PowerRefused, faults?.Code);
    }

    [Fact]
    public void A_cycle_sees_the_power_go_before_it_switches_on_and_never_trusts_a_reset()
    {
        var bmc = new Bmc(true, PowerVerb.On, PowerVerb.Off, PowerVerb.Reset, PowerVerb.BootNetwork);
        var (fault, elapsed) = Apply(bmc, PowerAction.Cycle);
        Assert.Null(fault);
        Assert.Equal([PowerVerb.SoftOff, PowerVerb.Off, PowerVerb.BootNetwork, PowerVerb.On], bmc.Asked);
        Assert.InRange(elapsed, TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(21));
        Assert.Equal(FaultCodes.PowerNoEffect, Apply(new Bmc(true, PowerVerb.On, PowerVerb.Reset), PowerAction.Cycle).Fault?.Code);
    }

    static (Fault? Fault, TimeSpan Elapsed) Reboot(Bmc bmc, bool resumed = false, bool checkedIn = false) => Run(_ => bmc, PowerAction.Reboot, resumed, checkedIn);

    static (Fault? Fault, TimeSpan Elapsed) Apply(Bmc bmc, PowerAction action) => Run(_ => bmc, action, false, false);

    static (Fault?, TimeSpan) Run(Func<PowerSettings, IPowerDriver?> drivers, PowerAction action, bool resumed, bool checkedIn) => VirtualStrand.Run(async clock =>
    {
        var power = new PowerControl(SimulatedDeployment.SampleCluster(["gris-1"]).Nodes, clock, drivers, _ => checkedIn);
        var pace = new Pace(new Window(1), TimeSpan.FromMinutes(5), clock);
        await foreach (var result in power.ApplyAsync(NodeBits.Of(0), action, Level.Soft, new AttemptId("D-A", 1, 1, resumed), pace, CancellationToken.None))
            return result.Fault;
        throw new InvalidOperationException("no result came");
    });
}
