using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Drivers.Power;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Simulation;

namespace Ka.Tests.Drivers;

/// <summary>What every kind of power control keeps to against honest, lying, hanging, refusing and babbling counterparts, in virtual time.</summary>
public sealed class PowerContract : IDisposable
{
    /// <summary>For one node, as the engine gives it.</summary>
    static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    public static TheoryData<string> Kinds => [.. PowerDrivers.Kinds];

    (Fault? Fault, PowerRig Rig, TimeSpan Elapsed) Run(string kind, Counterpart manner, bool on, PowerAction action, Level level = Level.Soft)
    {
        var (result, elapsed) = VirtualStrand.Run(async clock =>
        {
            var rig = PowerRigs.Make(kind, manner, clock, _directory);
            rig.Machine.On = on;
            var power = new PowerControl([rig.Node], clock, _ => rig.Driver, _ => false);
            await foreach (var done in power.ApplyAsync(NodeBits.Of(0), action, level, new AttemptId("P-A", 1, 1, false), new Pace(new Window(1), Deadline, clock), CancellationToken.None))
                return (done.Fault, rig);
            throw new InvalidOperationException("no result came");
        });
        return (result.Item1, result.Item2, elapsed);
    }

    static bool StartsOnly(string kind) => kind == "wol";

    [Theory, MemberData(nameof(Kinds))]
    public void It_switches_on_and_off_and_over_and_has_seen_it(string kind)
    {
        var on = Run(kind, Counterpart.Honest, on: false, PowerAction.On);
        Assert.Null(on.Fault);
        Assert.True(on.Rig.Machine.On);
        var off = Run(kind, Counterpart.Honest, on: true, PowerAction.Off);
        var cycle = Run(kind, Counterpart.Honest, on: true, PowerAction.Cycle);
        Assert.Equal((StartsOnly(kind) ? "power.unsupported" : null, StartsOnly(kind)), (off.Fault?.Code.Text, off.Rig.Machine.On));
        Assert.Equal((StartsOnly(kind) ? "power.unsupported" : null, StartsOnly(kind) ? 0 : 2), (cycle.Fault?.Code.Text, Math.Min(2, cycle.Rig.Machine.Commands)));
        Assert.True(cycle.Rig.Machine.On);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Its_status_is_what_the_machine_is(string kind)
    {
        foreach (var on in (bool[])[true, false])
            Assert.Equal(new PowerReply(null, on), VirtualStrand.Run(clock =>
            {
                var rig = PowerRigs.Make(kind, Counterpart.Honest, clock, _directory);
                rig.Machine.On = on;
                return rig.Driver.AskAsync(rig.Node, PowerVerb.Status, CancellationToken.None);
            }).Result);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void A_counterpart_that_says_done_and_did_nothing_is_found_out(string kind)
    {
        var on = Run(kind, Counterpart.Lies, on: false, PowerAction.On);
        Assert.Equal(("power.no_effect", false), (on.Fault?.Code.Text, on.Rig.Machine.On));
        Assert.True(on.Rig.Machine.Commands > 0);
        if (StartsOnly(kind))
            return;
        Assert.Equal("power.no_effect", Run(kind, Counterpart.Lies, on: true, PowerAction.Off).Fault?.Code.Text);
        Assert.Equal("power.no_effect", Run(kind, Counterpart.Lies, on: true, PowerAction.Cycle).Fault?.Code.Text);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void A_counterpart_that_hangs_costs_its_deadline_and_no_more(string kind)
    {
        foreach (var action in (PowerAction[])[PowerAction.On, PowerAction.Reboot])
        {
            var (fault, rig, elapsed) = Run(kind, Counterpart.Hangs, on: false, action);
            Assert.Equal(("power.bmc_unreachable", 0), (fault?.Code.Text, rig.Machine.Commands));
            Assert.InRange(elapsed, TimeSpan.FromSeconds(1), Deadline);
        }
    }

    [Theory]
    [InlineData("ipmi", "power.bmc_unreachable"), InlineData("redfish", "power.bmc_credential"), InlineData("command", "power.refused"), InlineData("pdu", "power.refused")]
    [InlineData("ssh", "ssh.unreachable")]
    public void A_refusal_is_said_and_nothing_is_switched(string kind, string code)
    {
        var (fault, rig, _) = Run(kind, Counterpart.Refuses, on: true, PowerAction.Off);
        Assert.Equal((code, 0, true), (fault?.Code.Text, rig.Machine.Commands, rig.Machine.On));
    }

    [Theory]
    [InlineData("ipmi"), InlineData("redfish"), InlineData("command"), InlineData("pdu")]
    public void Babble_is_no_state(string kind)
    {
        var reply = VirtualStrand.Run(clock =>
        {
            var rig = PowerRigs.Make(kind, Counterpart.Garbage, clock, _directory);
            return rig.Driver.AskAsync(rig.Node, PowerVerb.Status, CancellationToken.None);
        }).Result;
        Assert.Equal(("power.refused", null), (reply.Fault?.Code.Text, reply.On));
    }

    [Theory, MemberData(nameof(Kinds))]
    public void What_a_driver_cannot_do_is_refused_by_name_before_anything_happens(string kind)
    {
        var rig = VirtualStrand.Run(clock => Task.FromResult(PowerRigs.Make(kind, Counterpart.Honest, clock, _directory))).Result;
        Assert.Equal(rig.CanSwitchOff && kind != "ssh", rig.Driver.Knows(rig.Node, PowerVerb.Off));
        if (rig.Driver.Knows(rig.Node, PowerVerb.Off))
            return;
        var (fault, after, elapsed) = Run(kind, Counterpart.Honest, on: true, PowerAction.Off, Level.Hard);
        Assert.Equal(("power.unsupported", $"the driver '{kind}' cannot switch off", 0, TimeSpan.Zero), (fault?.Code.Text, fault?.Message, after.Machine.Commands, elapsed));
    }
}
