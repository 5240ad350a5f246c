using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Drivers.Programs;

namespace Ka.Drivers.Power;

/// <summary>IPMI 2.0 by ipmitool over RMCP+ (lanplus). The password travels by file, never as an argument; cipher suite 0 is never offered.</summary>
public sealed class IpmiPower(RunProgram run) : IPowerDriver, IChassisLight
{
    public const string Program = "/usr/bin/ipmitool";

    public string Kind => "ipmi";

    public bool Knows(ClusterNode node, PowerVerb verb) => verb != PowerVerb.SoftReboot;

    public async Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel) =>
        Parse(verb, node, await run(Program, Arguments(node, verb), cancel));

    public bool EndsItself => true;

    public async Task<Fault?> ShineAsync(ClusterNode node, TimeSpan? shine, CancellationToken cancel) =>
        Parse(PowerVerb.On, node, await run(Program, LightArguments(node, shine), cancel)).Fault;

    /// <summary>Arguments of ipmitool for the light (Chassis Identify, IPMI 2.0 section 28.5); 0 s switches it off.</summary>
    public static ImmutableArray<string> LightArguments(ClusterNode node, TimeSpan? shine) =>
        [.. Session(node.Power), "chassis", "identify", ((int)Math.Ceiling((shine ?? TimeSpan.Zero).TotalSeconds)).ToString()];

    /// <summary>Arguments of ipmitool for one request.</summary>
    public static ImmutableArray<string> Arguments(ClusterNode node, PowerVerb verb)
    {
        var common = Session(node.Power);
        return verb switch
        {
            PowerVerb.Status => [.. common, "chassis", "power", "status"],
            PowerVerb.On => [.. common, "chassis", "power", "on"],
            PowerVerb.Off => [.. common, "chassis", "power", "off"],
            PowerVerb.SoftOff => [.. common, "chassis", "power", "soft"],
            PowerVerb.Reset => [.. common, "chassis", "power", "reset"],
            PowerVerb.BootNetwork when node.Firmware == "uefi" => [.. common, "chassis", "bootdev", "pxe", "options=efiboot"],
            PowerVerb.BootNetwork => [.. common, "chassis", "bootdev", "pxe"],
            PowerVerb.SoftReboot => throw new ArgumentOutOfRangeException(nameof(verb), verb, "IPMI has no such command"),
        };
    }

    /// <summary>The arguments that say to which BMC and how; a command of ipmitool follows.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The cipher suite is neither 17 nor 3.</exception>
    public static ImmutableArray<string> Session(PowerSettings power) => power.Cipher is 3 or 17
        ?
        [
            "-I", "lanplus", "-C", power.Cipher.ToString(), "-H", power.Host ?? "", "-p", power.Port.ToString(),
            "-U", power.User ?? "", "-f", power.PasswordFile ?? "", "-N", "2", "-R", "3",
        ]
        : throw new ArgumentOutOfRangeException(nameof(power), power.Cipher, "cipher suite 17 or 3");

    /// <summary>Reads ipmitool's answer.</summary>
    public static PowerReply Parse(PowerVerb verb, ClusterNode node, ProgramResult result)
    {
        if (result.ExitCode is null)
            return new PowerReply(Fault.Of(FaultCodes.PowerRefused, "ipmitool could not be started", result.Evidence));
        if (result.Ok && verb != PowerVerb.Status)
            return new PowerReply(null);
        if (result.Ok && result.Output.Contains("Chassis Power is on", StringComparison.Ordinal))
            return new PowerReply(null, true);
        if (result.Ok && result.Output.Contains("Chassis Power is off", StringComparison.Ordinal))
            return new PowerReply(null, false);
        var unreachable = result.Errors.Contains("Unable to establish", StringComparison.Ordinal)
            || result.Errors.Contains("Get Session", StringComparison.OrdinalIgnoreCase)
            || result.Errors.Contains("no response", StringComparison.OrdinalIgnoreCase);
        return new PowerReply(Fault.Of(
            unreachable ? FaultCodes.PowerBmcUnreachable : FaultCodes.PowerRefused,
            unreachable ? $"the BMC {node.Power.Host} does not answer or refuses the credential" : $"ipmitool ended with status {result.ExitCode}",
            result.Evidence));
    }
}
