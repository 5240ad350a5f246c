using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Drivers.Programs;

namespace Ka.Drivers.Power;

/// <summary>A site's own commands: each verb names a program and its arguments, in which {node}, {address} and {host} are replaced.</summary>
/// <param name="kind"><c>command</c>, or <c>pdu</c> where a command switches an outlet, in which <c>{outlet}</c> is replaced too.</param>
public sealed class CommandPower(string kind, RunProgram run) : IPowerDriver
{
    public const string Own = "command", Outlet = "pdu";

    public string Kind => kind;

    public bool Knows(ClusterNode node, PowerVerb verb) => KeyOf(verb) is { } key && node.Power.Commands.ContainsKey(key);

    public async Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel)
    {
        var command = Arguments(node, verb);
        return Parse(verb, await run(command[0], command.Skip(1), cancel));
    }

    public static ImmutableArray<string> Arguments(ClusterNode node, PowerVerb verb) =>
    [
        .. NodeWords.In(node.Power.Commands[KeyOf(verb)!], node),
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

    static string? KeyOf(PowerVerb verb) => verb switch
    {
        PowerVerb.Status => "status",
        PowerVerb.On => "on",
        PowerVerb.Off => "off",
        PowerVerb.SoftOff => "soft",
        PowerVerb.Reset => "reset",
        PowerVerb.BootNetwork => "boot-network",
        PowerVerb.SoftReboot => null,
    };
}

/// <summary>Words of a node in the arguments of a site's program; no shell reads the result.</summary>
public static class NodeWords
{
    /// <summary>Replaces <c>{node}</c>, <c>{address}</c>, <c>{host}</c> and <c>{outlet}</c>.</summary>
    public static IEnumerable<string> In(ImmutableArray<string> arguments, ClusterNode node) => arguments.Select(a => a
        .Replace("{node}", node.Name, StringComparison.Ordinal)
        .Replace("{address}", node.Address, StringComparison.Ordinal)
        .Replace("{host}", node.Power.Host ?? "", StringComparison.Ordinal)
        .Replace("{outlet}", node.Power.Outlet ?? "", StringComparison.Ordinal));
}
