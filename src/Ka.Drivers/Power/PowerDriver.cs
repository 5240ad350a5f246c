using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
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
}

/// <summary>What a driver's program answered.</summary>
/// <param name="On">Only after <see cref="PowerVerb.Status"/>.</param>
public sealed record PowerReply(Fault? Fault, bool? On = null);

/// <summary>One kind of power control: a pure request and a pure reply around a thin transport.</summary>
public interface IPowerDriver
{
    string Kind { get; }

    /// <summary>Whether the verb exists for this node; one that does not is skipped.</summary>
    bool Knows(ClusterNode node, PowerVerb verb);

    Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel);
}

/// <summary>IPMI 2.0 by ipmitool over RMCP+ (lanplus). The password travels by file, never as an argument; cipher suite 0 is never offered.</summary>
public sealed class IpmiPower : IPowerDriver
{
    public const string Program = "/usr/bin/ipmitool";

    public string Kind => "ipmi";

    public bool Knows(ClusterNode node, PowerVerb verb) => true;

    public async Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel) =>
        Parse(verb, node, await ExternalProgram.RunAsync(Program, Arguments(node, verb), cancel));

    /// <summary>Arguments of ipmitool for one request.</summary>
    public static ImmutableArray<string> Arguments(ClusterNode node, PowerVerb verb)
    {
        var power = node.Power;
        if (power.Cipher is not (3 or 17))
            throw new ArgumentOutOfRangeException(nameof(node), power.Cipher, "cipher suite 17 or 3");
        ImmutableArray<string> common =
        [
            "-I", "lanplus", "-C", power.Cipher.ToString(), "-H", power.Host ?? "", "-p", power.Port.ToString(),
            "-U", power.User ?? "", "-f", power.PasswordFile ?? "", "-N", "2", "-R", "3",
        ];
        return verb switch
        {
            PowerVerb.Status => [.. common, "chassis", "power", "status"],
            PowerVerb.On => [.. common, "chassis", "power", "on"],
            PowerVerb.Off => [.. common, "chassis", "power", "off"],
            PowerVerb.SoftOff => [.. common, "chassis", "power", "soft"],
            PowerVerb.Reset => [.. common, "chassis", "power", "reset"],
            PowerVerb.BootNetwork when node.Firmware == "uefi" => [.. common, "chassis", "bootdev", "pxe", "options=efiboot"],
            PowerVerb.BootNetwork => [.. common, "chassis", "bootdev", "pxe"],
        };
    }

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

/// <summary>A site's own commands: each verb names a program and its arguments, in which {node}, {address} and {host} are replaced.</summary>
public sealed class CommandPower : IPowerDriver
{
    public string Kind => "command";

    public bool Knows(ClusterNode node, PowerVerb verb) => node.Power.Commands.ContainsKey(KeyOf(verb));

    public async Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel)
    {
        var command = Arguments(node, verb);
        return Parse(verb, await ExternalProgram.RunAsync(command[0], command.Skip(1), cancel));
    }

    public static ImmutableArray<string> Arguments(ClusterNode node, PowerVerb verb) =>
    [
        .. node.Power.Commands[KeyOf(verb)].Select(a => a
            .Replace("{node}", node.Name, StringComparison.Ordinal)
            .Replace("{address}", node.Address, StringComparison.Ordinal)
            .Replace("{host}", node.Power.Host ?? "", StringComparison.Ordinal)),
    ];

    /// <summary>Exit status 0 is success; of a status the first word of the output is read: on, off.</summary>
    public static PowerReply Parse(PowerVerb verb, ProgramResult result)
    {
        if (!result.Ok)
            return new PowerReply(Fault.Of(FaultCodes.PowerRefused, $"the command for '{KeyOf(verb)}' ended with status {result.ExitCode?.ToString() ?? "none"}", result.Evidence));
        if (verb != PowerVerb.Status)
            return new PowerReply(null);
        return result.Output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).FirstOrDefault()?.ToLowerInvariant() switch
        {
            "on" or "1" => new PowerReply(null, true),
            "off" or "0" => new PowerReply(null, false),
            _ => new PowerReply(Fault.Of(FaultCodes.PowerRefused, "the status command printed neither 'on' nor 'off'", result.Evidence)),
        };
    }

    static string KeyOf(PowerVerb verb) => verb switch
    {
        PowerVerb.Status => "status",
        PowerVerb.On => "on",
        PowerVerb.Off => "off",
        PowerVerb.SoftOff => "soft",
        PowerVerb.Reset => "reset",
        PowerVerb.BootNetwork => "boot-network",
    };
}

/// <summary>The drivers there are; an explicit list, nothing is scanned.</summary>
public static class PowerDrivers
{
    public static readonly ImmutableArray<IPowerDriver> All = [new IpmiPower(), new CommandPower()];

    public static IPowerDriver? Find(string kind) => All.FirstOrDefault(d => d.Kind == kind);
}
