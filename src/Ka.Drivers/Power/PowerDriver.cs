using System.Collections.Immutable;
using System.Net;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Drivers.Probes;
using Ka.Drivers.Programs;

namespace Ka.Drivers.Power;

/// <summary>What a driver can be asked for, of one node.</summary>
public enum PowerVerb
{
    Status,
    On,
    Off,

    /// <summary>Asks the operating system to shut down (ACPI).</summary>
    SoftOff,
    Reset,

    /// <summary>The next boot comes from the network, once.</summary>
    BootNetwork,

    /// <summary>Asks the operating system to start anew.</summary>
    SoftReboot,
}

/// <summary>What a driver's counterpart answered.</summary>
/// <param name="On">Only after <see cref="PowerVerb.Status"/>; null when it is neither, as while it changes.</param>
public sealed record PowerReply(Fault? Fault, bool? On = null);

/// <summary>One kind of power control: a pure request and a pure reply around a thin transport.</summary>
public interface IPowerDriver
{
    string Kind { get; }

    /// <summary>Whether the verb exists for this node; one that does not is skipped or refused.</summary>
    bool Knows(ClusterNode node, PowerVerb verb);

    /// <summary>How long the effect of a command may take to be seen.</summary>
    TimeSpan Patience => TimeSpan.FromSeconds(15);

    /// <summary>How long to wait between two looks.</summary>
    TimeSpan AskPeriod => TimeSpan.FromMilliseconds(300);

    /// <summary>Whether <see cref="PowerVerb.Status"/> is the power itself; else a sign of the running system, which comes late after a start and may not come at all.</summary>
    bool SeesPower => true;

    Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel);
}

/// <summary>Starts a program and waits for its end: <see cref="ExternalProgram"/>, or what stands for it.</summary>
public delegate Task<ProgramResult> RunProgram(string program, IEnumerable<string> arguments, CancellationToken cancel);

/// <summary>Runs a script as root in the system that runs on a node. Null when it ended well.</summary>
public delegate Task<Fault?> RunInSystem(ClusterNode node, string script, CancellationToken cancel);

/// <summary>The drivers there are; an explicit list, nothing is scanned.</summary>
public sealed class PowerDrivers(ImmutableArray<IPowerDriver> all)
{
    /// <summary>The names of <see cref="Of"/>.</summary>
    public static readonly ImmutableArray<string> Kinds = ["ipmi", "redfish", "pdu", "ssh", "wol", "command"];

    /// <summary>Drivers of the real world.</summary>
    public static PowerDrivers Of(TimeProvider clock, RunInSystem systems)
    {
        RunProgram run = ExternalProgram.RunAsync;
        var ssh = new HostKeyProbe(clock);
        ProbeSystem answers = (node, cancel) => ssh.AnswersAsync(IPAddress.Parse(node.Address), cancel);
        return new PowerDrivers(
            [new IpmiPower(run), new RedfishPower(clock), new CommandPower(CommandPower.Outlet, run), new SshPower(systems, answers), new WakeOnLan(WakeOnLan.SendAsync, answers), new CommandPower(CommandPower.Own, run)]);
    }

    public IPowerDriver? Find(string kind) => all.FirstOrDefault(d => d.Kind == kind);

    /// <summary>What switches the light of a node; null when its driver has none.</summary>
    public IChassisLight? LightOf(PowerSettings power) => Find(power.Kind) as IChassisLight;

    /// <summary>What switches a node: one driver, or two when another one switches it on. Null when a name is not known.</summary>
    public IPowerDriver? For(PowerSettings power) =>
        power.OnKind is not { } on ? Find(power.Kind) : Find(power.Kind) is { } main && Find(on) is { } starter ? new SplitPower(main, starter) : null;
}

/// <summary>One driver for everything but switching on.</summary>
sealed class SplitPower(IPowerDriver main, IPowerDriver on) : IPowerDriver
{
    public string Kind => main.Kind;

    public TimeSpan Patience => main.Patience;

    public TimeSpan AskPeriod => main.AskPeriod;

    public bool SeesPower => main.SeesPower;

    public bool Knows(ClusterNode node, PowerVerb verb) => Of(verb).Knows(node, verb);

    public Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel) => Of(verb).AskAsync(node, verb, cancel);

    IPowerDriver Of(PowerVerb verb) => verb == PowerVerb.On ? on : main;
}
