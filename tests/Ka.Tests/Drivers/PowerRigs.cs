using System.Collections.Immutable;
using System.Net;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Drivers.Power;
using Ka.Drivers.Programs;
using Ka.Lab;
using Ka.Simulation;

namespace Ka.Tests.Drivers;

/// <summary>How the counterpart of a driver behaves.</summary>
public enum Counterpart
{
    Honest,
    Lies,
    Hangs,
    Refuses,
    Garbage,
}

/// <summary>A machine as a driver's counterpart switches it; every kind of counterpart moves one of these.</summary>
sealed class Machine(Counterpart manner, TimeProvider clock)
{
    public bool On { get; set; }

    public Counterpart Manner => manner;

    /// <summary>Whether the light is on by which a person finds it.</summary>
    public bool Light { get; set; }

    /// <summary>Commands that would change something.</summary>
    public int Commands { get; private set; }

    public void Switch(bool on)
    {
        Commands++;
        if (manner == Counterpart.Honest)
            On = on;
    }

    /// <summary>Hangs where the counterpart does.</summary>
    public Task TurnAsync(CancellationToken cancel) => manner == Counterpart.Hangs ? Task.Delay(Timeout.InfiniteTimeSpan, clock, cancel) : Task.CompletedTask;
}

/// <summary>A driver with a counterpart in virtual time.</summary>
/// <param name="CanSwitchOff">Whether it can be switched off; Wake-on-LAN only starts.</param>
/// <param name="Bmc">Where the counterpart is one.</param>
sealed record PowerRig(IPowerDriver Driver, ClusterNode Node, Machine Machine, bool CanSwitchOff = true, RedfishSimulator? Bmc = null);

/// <summary>One rig for each driver that there is.</summary>
static class PowerRigs
{
    static readonly ClusterNode Plain = SimulatedDeployment.SampleCluster(["gris-1"]).Nodes[0] with { Address = "10.0.0.1", Mac = "52:54:00:00:00:01" };

    static PowerSettings Settings(string kind) => new(kind, "bmc", 443, "admin", "/secret", 17, ImmutableDictionary<string, ImmutableArray<string>>.Empty);

    public static PowerRig Make(string kind, Counterpart manner, TimeProvider clock, TemporaryDirectory directory)
    {
        var machine = new Machine(manner, clock);
        switch (kind)
        {
            case "ipmi":
                return new PowerRig(new IpmiPower(Ipmitool(machine)), Plain with { Power = Settings(kind) }, machine);
            case "command" or "pdu":
                var commands = new[] { "status", "on", "off" }.ToImmutableDictionary(v => v, v => ImmutableArray.Create("/site/power", v, "{node}"));
                return new PowerRig(
                    new CommandPower(kind, SiteProgram(machine)),
                    Plain with { Power = Settings(kind) with { Commands = commands, Outlet = kind == "pdu" ? "strip/1" : null, OutletNodes = kind == "pdu" ? ["gris-1"] : [] } }, machine);
            case "redfish":
                var simulator = new RedfishSimulator("admin", "secret") { Manner = Redfish(manner) };
                directory.Write("bmc", "secret\n");
                return new PowerRig(
                    new RedfishPower(clock, _ => new SimulatedBmc(simulator, machine)), Plain with { Power = Settings(kind) with { PasswordFile = directory["bmc"] } }, machine, Bmc: simulator);
            case "ssh":
                var both = new PowerDrivers([new SshPower(System(machine), Answers(machine)), new WakeOnLan(Waker(machine), Answers(machine))]);
                var settings = Settings(kind) with { OnKind = "wol", Broadcast = "10.0.0.255" };
                return new PowerRig(both.For(settings)!, Plain with { Power = settings }, machine);
            case "wol":
                return new PowerRig(new WakeOnLan(Waker(machine), Answers(machine)), Plain with { Power = Settings(kind) with { Broadcast = "10.0.0.255" } }, machine, CanSwitchOff: false);
            default:
                throw new ArgumentOutOfRangeException(nameof(kind), kind, "no rig");
        }
    }

    static RunProgram Ipmitool(Machine machine) => async (_, arguments, cancel) =>
    {
        await machine.TurnAsync(cancel);
        var words = arguments.SkipWhile(a => a != "chassis").ToArray();
        if (machine.Manner == Counterpart.Refuses)
            return new ProgramResult(1, "", "Error: Unable to establish IPMI v2 / RMCP+ session");
        if (machine.Manner == Counterpart.Garbage)
            return new ProgramResult(0, "Chassis Power is \u001b[31mperhaps\n", "");
        switch (words)
        {
            case [_, "identify", var seconds]:
                machine.Light = seconds != "0";
                return new ProgramResult(0, $"Chassis identify interval: {seconds} seconds\n", "");
            case [_, "power", "status"]:
                return new ProgramResult(0, $"Chassis Power is {(machine.On ? "on" : "off")}\n", "");
            case [_, "power", var verb]:
                machine.Switch(verb is not ("off" or "soft"));
                return new ProgramResult(0, "Chassis Power Control: Done\n", "");
            default:
                return new ProgramResult(0, "Set Boot Device to pxe\n", "");
        }
    };

    static RunProgram SiteProgram(Machine machine) => async (_, arguments, cancel) =>
    {
        await machine.TurnAsync(cancel);
        if (machine.Manner == Counterpart.Refuses)
            return new ProgramResult(1, "", "denied");
        if (machine.Manner == Counterpart.Garbage)
            return new ProgramResult(0, "\0\0maybe", "");
        if (arguments.First() is var verb && verb == "status")
            return new ProgramResult(0, machine.On ? "on\n" : "off\n", "");
        machine.Switch(verb == "on");
        return new ProgramResult(0, "", "");
    };

    static RunInSystem System(Machine machine) => async (_, script, cancel) =>
    {
        await machine.TurnAsync(cancel);
        if (machine.Manner is Counterpart.Refuses or Counterpart.Garbage || (!machine.On && machine.Manner == Counterpart.Honest))
            return Fault.Of(FaultCodes.SystemUnreachable, "the running system cannot be reached by ssh");
        Assert.Contains("poweroff", script, StringComparison.Ordinal);
        machine.Switch(false);
        return null;
    };

    /// <summary>A refusing or strange system answers on its port all the same.</summary>
    static ProbeSystem Answers(Machine machine) => async (_, cancel) =>
    {
        await machine.TurnAsync(cancel);
        return machine.On;
    };

    static Func<IPEndPoint, ReadOnlyMemory<byte>, CancellationToken, Task> Waker(Machine machine) => async (to, packet, cancel) =>
    {
        await machine.TurnAsync(cancel);
        Assert.Equal(("10.0.0.255:9", 102), (to.ToString(), packet.Length));
        machine.Switch(true);
    };

    static RedfishManner Redfish(Counterpart manner) => manner switch
    {
        Counterpart.Honest => RedfishManner.Honest,
        Counterpart.Lies => RedfishManner.Lies,
        Counterpart.Hangs => RedfishManner.Hangs,
        Counterpart.Refuses => RedfishManner.RefusesCredential,
        Counterpart.Garbage => RedfishManner.Garbage,
    };

    /// <summary>The lab's BMC without a socket, so that time may be virtual.</summary>
    internal sealed class SimulatedBmc(RedfishSimulator simulator, Machine machine) : HttpMessageHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            await machine.TurnAsync(cancellationToken);
            simulator.IsOn = machine.On;
            var body = request.Content is { } content ? await content.ReadAsStringAsync(cancellationToken) : "";
            var before = simulator.Changes.Count;
            var answer = simulator.Answer(request.Method.Method, request.RequestUri!.AbsolutePath, request.Headers.Authorization?.ToString(), body);
            machine.Light = simulator.LightOn;
            if (simulator.Changes.Count > before && !simulator.Changes[^1].Contains(':'))
                machine.Switch(simulator.IsOn);
            return new HttpResponseMessage(answer.Status) { Content = new ByteArrayContent(global::System.Text.Encoding.UTF8.GetBytes(answer.Body)) };
        }
    }
}
