using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Core.NodeSets;
using Ka.Engine;
using Ka.Engine.Ports;

namespace Ka.Drivers.Power;

/// <summary>
/// The power port of one workflow. Reboots with escalation; what counts is the power state that is read back, not an exit status.
/// </summary>
/// <param name="hasCheckedIn">Whether the node's agent of the current boot is known: after a crash of the server such a node is not reset again.</param>
public sealed class PowerControl(
    ImmutableArray<ClusterNode> roster, TimeProvider clock, Func<PowerSettings, IPowerDriver?> driverOf, Predicate<string> hasCheckedIn) : IPower
{
    static readonly TimeSpan SoftPatience = TimeSpan.FromSeconds(20);

    public async IAsyncEnumerable<NodeResult> ApplyAsync(
        NodeBits nodes, PowerAction action, Level level, AttemptId attempt, Pace pace, [EnumeratorCancellation] CancellationToken cancel)
    {
        var wish = new Wish(action, level, attempt.Resumed);
        var outlets = new Dictionary<string, Task<Fault?>>(StringComparer.Ordinal);
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        try
        {
            var results = FanOut.Over(
                nodes,
                pace,
                (index, token) => roster[index].Power.Outlet is { } outlet ? OutletAsync(outlet, roster[index], nodes, wish, outlets, ends.Token, token) : ApplyAsync(roster[index], wish, hasCheckedIn(roster[index].Name), token),
                index => Fault.Of(FaultCodes.PowerBmcUnreachable, $"{roster[index].Power.Host ?? roster[index].Name} took too long"),
                cancel);
            await foreach (var result in results)
                yield return result;
        }
        finally
        {
            ends.Cancel();
        }
    }

    /// <summary>Once for all nodes of the outlet, and only when all of them are meant.</summary>
    /// <param name="all">Ends the work on the outlet.</param>
    /// <param name="cancel">Ends the wait of this node.</param>
    Task<Fault?> OutletAsync(
        string outlet, ClusterNode node, NodeBits nodes, Wish wish, Dictionary<string, Task<Fault?>> outlets, CancellationToken all, CancellationToken cancel)
    {
        if (!outlets.TryGetValue(outlet, out var work))
        {
            var meant = nodes.Select(i => roster[i].Name).ToHashSet(StringComparer.Ordinal);
            var missing = node.Power.OutletNodes.Where(n => !meant.Contains(n)).ToArray();
            work = outlets[outlet] = missing.Length > 0
                ? Task.FromResult<Fault?>(Fault.Of(
                    FaultCodes.PowerSharedOutlet, $"outlet {outlet} also feeds {NodeSet.FromNames(missing.Select(NodeName.Parse))}, which is not in this step", "an outlet is switched only together for all nodes that it feeds"))
                : ApplyAsync(node, wish, node.Power.OutletNodes.Any(n => hasCheckedIn(n)), all);
        }
        return work.WaitAsync(cancel);
    }

    async Task<Fault?> ApplyAsync(ClusterNode node, Wish wish, bool checkedIn, CancellationToken cancel)
    {
        if (driverOf(node.Power) is not { } driver)
            return Fault.Of(FaultCodes.PowerRefused, $"power driver '{node.Power.Kind}' is not known");
        if (wish.Resumed && wish.Action is (PowerAction.Reboot or PowerAction.Cycle) && checkedIn)
            return null;
        Fault? last = null;
        for (var at = wish.Level; at <= Level.VeryHard; at++)
        {
            var fault = wish.Action switch
            {
                PowerAction.On => await OnAsync(driver, node, cancel),
                PowerAction.Off => await OffAsync(driver, node, at, cancel),
                PowerAction.Reboot => await RebootAsync(driver, node, at, cancel),
                PowerAction.Cycle => await OffAsync(driver, node, at, cancel) ?? await BootNextAsync(driver, node, cancel) ?? await OnAsync(driver, node, cancel),
            };
            // What a rougher way lacks says less than why the gentler one failed.
            if (fault is null || last is null || fault.Code != FaultCodes.PowerUnsupported)
                last = fault;
            // There is only one way to switch on.
            if (fault is null || IsFinal(fault) || wish.Action == PowerAction.On)
                break;
        }
        return last;
    }

    /// <summary>Whether asking again changes nothing, or locks the account.</summary>
    static bool IsFinal(Fault fault) => fault.Code == FaultCodes.PowerBmcUnreachable || fault.Code == FaultCodes.PowerBmcCredential || fault.Code == FaultCodes.PowerBmcUntrusted;

    async Task<Fault?> RebootAsync(IPowerDriver driver, ClusterNode node, Level level, CancellationToken cancel)
    {
        var status = await AskAsync(driver, node, PowerVerb.Status, cancel);
        if (status.Fault is not null)
            return status.Fault;
        if (status.On == false)
            return await BootOnAsync(driver, node, cancel);
        switch (level)
        {
            case Level.Soft when driver.Knows(node, PowerVerb.SoftReboot):
                return (await AskAsync(driver, node, PowerVerb.SoftReboot, cancel)).Fault ?? await ObserveAsync(driver, node, false, driver.Patience, cancel);
            case Level.Hard when driver.Knows(node, PowerVerb.Reset):
                return await BootNextAsync(driver, node, cancel) ?? (await AskAsync(driver, node, PowerVerb.Reset, cancel)).Fault;
            case Level.Soft:
            case Level.Hard:
            case Level.VeryHard:
                return await OffAsync(driver, node, level, cancel) ?? await BootOnAsync(driver, node, cancel);
            default:
                throw new InvalidOperationException($"level {level}");
        }
    }

    /// <summary>Where the power itself is not seen, what follows (the wait for the agent or the system) is what observes it.</summary>
    async Task<Fault?> BootOnAsync(IPowerDriver driver, ClusterNode node, CancellationToken cancel) =>
        await BootNextAsync(driver, node, cancel) ?? (driver.SeesPower ? await OnAsync(driver, node, cancel) : (await AskAsync(driver, node, PowerVerb.On, cancel)).Fault);

    static async Task<Fault?> BootNextAsync(IPowerDriver driver, ClusterNode node, CancellationToken cancel) =>
        driver.Knows(node, PowerVerb.BootNetwork) ? (await driver.AskAsync(node, PowerVerb.BootNetwork, cancel)).Fault : null;

    async Task<Fault?> OnAsync(IPowerDriver driver, ClusterNode node, CancellationToken cancel)
    {
        var reply = await AskAsync(driver, node, PowerVerb.On, cancel);
        return reply.Fault ?? await ObserveAsync(driver, node, true, driver.Patience, cancel);
    }

    async Task<Fault?> OffAsync(IPowerDriver driver, ClusterNode node, Level level, CancellationToken cancel)
    {
        var soft = level == Level.Soft && driver.Knows(node, PowerVerb.SoftOff);
        var reply = await AskAsync(driver, node, soft ? PowerVerb.SoftOff : PowerVerb.Off, cancel);
        return reply.Fault ?? await ObserveAsync(driver, node, false, soft && driver.Patience < SoftPatience ? SoftPatience : driver.Patience, cancel);
    }

    static async Task<PowerReply> AskAsync(IPowerDriver driver, ClusterNode node, PowerVerb verb, CancellationToken cancel) => driver.Knows(node, verb)
        ? await driver.AskAsync(node, verb, cancel)
        : new PowerReply(Fault.Of(FaultCodes.PowerUnsupported, $"the driver '{driver.Kind}' {Cannot(verb)}"));

    static string Cannot(PowerVerb verb) => verb switch
    {
        PowerVerb.Status => "does not see whether a node is on",
        PowerVerb.On => "cannot switch on",
        PowerVerb.Off => "cannot switch off",
        PowerVerb.SoftOff => "cannot ask the system to shut down",
        PowerVerb.Reset => "cannot reset",
        PowerVerb.BootNetwork => "cannot choose the next boot",
        PowerVerb.SoftReboot => "cannot ask the system to start anew",
    };

    /// <summary>Asks until the power state is the wanted one; this is the effect, the command was only the wish.</summary>
    async Task<Fault?> ObserveAsync(IPowerDriver driver, ClusterNode node, bool wanted, TimeSpan patience, CancellationToken cancel)
    {
        var end = clock.GetTimestamp() + (long)(patience.TotalSeconds * clock.TimestampFrequency);
        while (true)
        {
            var status = await AskAsync(driver, node, PowerVerb.Status, cancel);
            if (status.On == wanted)
                return null;
            if (clock.GetTimestamp() >= end || (status.Fault is { } fault && (fault.Code == FaultCodes.PowerBmcCredential || fault.Code == FaultCodes.PowerBmcUntrusted)))
                return status.Fault ?? Fault.Of(FaultCodes.PowerNoEffect, $"power is still {(wanted ? "off" : "on")} after {patience.TotalSeconds:0} s");
            await Task.Delay(driver.AskPeriod, clock, cancel);
        }
    }

    sealed record Wish(PowerAction Action, Level Level, bool Resumed);
}
