using Ka.Core.Faults;
using Ka.Drivers.Power;
using Ka.Drivers.Programs;
using Ka.Lab;
using Ka.Simulation;

namespace Ka.Tests.Drivers;

/// <summary>What every driver with a light keeps to against honest, lying, hanging, refusing and babbling counterparts, in virtual time.</summary>
public sealed class ChassisLightContract : IDisposable
{
    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    public static TheoryData<string> WithLight => ["ipmi", "redfish"];

    /// <summary>The redfish rig's BMC, for what only it knows.</summary>
    (Fault? Fault, PowerRig Rig) Shine(string kind, Counterpart manner, TimeSpan? shine, Action<RedfishSimulator>? bmc = null) => VirtualStrand.Run(async clock =>
    {
        var rig = PowerRigs.Make(kind, manner, clock, _directory);
        if (rig.Bmc is { } simulator)
            bmc?.Invoke(simulator);
        using var late = new CancellationTokenSource(TimeSpan.FromMinutes(1), clock);
        try
        {
            return (await ((IChassisLight)rig.Driver).ShineAsync(rig.Node, shine, late.Token), rig);
        }
        catch (OperationCanceledException)
        {
            return (Fault.Of(FaultCodes.PowerBmcUnreachable, "the caller's time is over"), rig);
        }
    }).Result;

    [Theory, MemberData(nameof(WithLight))]
    public void It_switches_the_light_on_and_off_and_nothing_else(string kind)
    {
        var on = Shine(kind, Counterpart.Honest, TimeSpan.FromSeconds(90));
        Assert.Null(on.Fault);
        Assert.Equal((true, 0), (on.Rig.Machine.Light, on.Rig.Machine.Commands));
        var off = Shine(kind, Counterpart.Honest, null);
        Assert.Null(off.Fault);
        Assert.False(off.Rig.Machine.Light);
    }

    [Theory]
    [InlineData("ipmi", Counterpart.Refuses, "power.bmc_unreachable"), InlineData("redfish", Counterpart.Refuses, "power.bmc_credential")]
    [InlineData("ipmi", Counterpart.Hangs, "power.bmc_unreachable"), InlineData("redfish", Counterpart.Hangs, "power.bmc_unreachable")]
    [InlineData("redfish", Counterpart.Garbage, "power.refused")]
    [InlineData("redfish", Counterpart.Lies, "power.no_effect")]
    public void What_did_not_come_about_is_said(string kind, Counterpart manner, string code) => Assert.Equal(code, Shine(kind, manner, TimeSpan.FromSeconds(5)).Fault?.Code.Text);

    [Theory]
    [InlineData(RedfishLamp.System, "LocationIndicatorActive:true")]
    [InlineData(RedfishLamp.OldSystem, "IndicatorLED:Blinking")]
    [InlineData(RedfishLamp.OldWithoutBlinking, "IndicatorLED:Lit")]
    [InlineData(RedfishLamp.Chassis, "LocationIndicatorActive:true")]
    public void Redfish_finds_the_light_of_the_system_or_its_chassis_old_or_new(RedfishLamp lamp, string change)
    {
        var (fault, rig) = Shine("redfish", Counterpart.Honest, TimeSpan.FromSeconds(5), bmc => bmc.Lamp = lamp);
        Assert.Null(fault);
        Assert.Equal("Light:" + change, Assert.Single(rig.Bmc!.Changes));
    }

    [Fact]
    public void A_bmc_without_a_light_says_so_and_is_asked_to_change_nothing()
    {
        var (fault, rig) = Shine("redfish", Counterpart.Honest, TimeSpan.FromSeconds(5), bmc => bmc.Lamp = RedfishLamp.None);
        Assert.Equal("power.no_light", fault?.Code.Text);
        Assert.Empty(rig.Bmc!.Changes);
    }

    [Theory]
    [InlineData(null, "0")]
    [InlineData(60, "60")]
    [InlineData(255, "255")]
    public void Ipmi_counts_the_seconds_itself(int? seconds, string word) => Assert.Equal(
        ["chassis", "identify", word], IpmiPower.LightArguments(VirtualStrand.Run(clock => Task.FromResult(PowerRigs.Make("ipmi", Counterpart.Honest, clock, _directory))).Result.Node, seconds is { } s ? TimeSpan.FromSeconds(s) : null)[^3..]);

    [Fact]
    public void Other_drivers_have_none()
    {
        var drivers = PowerDrivers.Of(TimeProvider.System, (_, _, _) => throw new InvalidOperationException("nothing runs here"));
        Assert.Equal(["ipmi", "redfish"], PowerDrivers.Kinds.Where(k => drivers.Find(k) is IChassisLight));
    }
}
