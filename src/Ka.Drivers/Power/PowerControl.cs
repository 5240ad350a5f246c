using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Ports;

namespace Ka.Drivers.Power;

/// <summary>
/// The power port of one workflow. Reboots with escalation; what counts is the power state that is read back, not an exit status.
/// </summary>
/// <param name="hasCheckedIn">Whether the node's agent of the current boot is known: after a crash of the server such a node is not reset again.</param>
public sealed class PowerControl(
    ImmutableArray<ClusterNode> roster, TimeProvider clock, Func<string, IPowerDriver?> driverOf, Predicate<string> hasCheckedIn) : IPower
{
    static readonly TimeSpan AskPeriod = TimeSpan.FromMilliseconds(300);
    static readonly TimeSpan SoftPatience = TimeSpan.FromSeconds(20);
    static readonly TimeSpan HardPatience = TimeSpan.FromSeconds(15);

    public IAsyncEnumerable<NodeResult> ApplyAsync(NodeBits nodes, PowerAction action, Level level, AttemptId attempt, Pace pace, CancellationToken cancel) =>
        FanOut.Over(
            nodes,
            pace,
            (index, token) => ApplyAsync(roster[index], action, level, attempt.Resumed, token),
            index => Fault.Of(FaultCodes.PowerBmcUnreachable, $"the BMC {roster[index].Power.Host} took too long"),
            cancel);

    async Task<Fault?> ApplyAsync(ClusterNode node, PowerAction action, Level level, bool resumed, CancellationToken cancel)
    {
        if (driverOf(node.Power.Kind) is not { } driver)
            return Fault.Of(FaultCodes.PowerRefused, $"power driver '{node.Power.Kind}' is not known");
        if (resumed && action is (PowerAction.Reboot or PowerAction.Cycle) && hasCheckedIn(node.Name))
            return null;
        Fault? last = null;
        for (var at = level; at <= Level.VeryHard; at++)
        {
            last = action switch
            {
                PowerAction.On => await OnAsync(driver, node, cancel),
                PowerAction.Off => await OffAsync(driver, node, at, cancel),
                PowerAction.Reboot => await RebootAsync(driver, node, at, cancel),
                PowerAction.Cycle => await OffAsync(driver, node, at, cancel) ?? await BootOnAsync(driver, node, cancel),
            };
            if (last is null || last.Code == FaultCodes.PowerBmcUnreachable)
                break;
        }
        return last;
    }

    async Task<Fault?> RebootAsync(IPowerDriver driver, ClusterNode node, Level level, CancellationToken cancel)
    {
        var status = await driver.AskAsync(node, PowerVerb.Status, cancel);
        if (status.Fault is not null)
            return status.Fault;
        if (status.On == false)
            return await BootOnAsync(driver, node, cancel);
        switch (level)
        {
            case Level.Hard when driver.Knows(node, PowerVerb.Reset):
                return await BootNextAsync(driver, node, cancel) ?? (await driver.AskAsync(node, PowerVerb.Reset, cancel)).Fault;
            case Level.Soft:
            case Level.Hard:
            case Level.VeryHard:
                return await OffAsync(driver, node, level, cancel) ?? await BootOnAsync(driver, node, cancel);
            default:
                throw new InvalidOperationException($"level {level}");
        }
    }

    async Task<Fault?> BootOnAsync(IPowerDriver driver, ClusterNode node, CancellationToken cancel) =>
        await BootNextAsync(driver, node, cancel) ?? await OnAsync(driver, node, cancel);

    static async Task<Fault?> BootNextAsync(IPowerDriver driver, ClusterNode node, CancellationToken cancel) =>
        driver.Knows(node, PowerVerb.BootNetwork) ? (await driver.AskAsync(node, PowerVerb.BootNetwork, cancel)).Fault : null;

    async Task<Fault?> OnAsync(IPowerDriver driver, ClusterNode node, CancellationToken cancel)
    {
        var reply = await driver.AskAsync(node, PowerVerb.On, cancel);
        return reply.Fault ?? await ObserveAsync(driver, node, true, HardPatience, cancel);
    }

    async Task<Fault?> OffAsync(IPowerDriver driver, ClusterNode node, Level level, CancellationToken cancel)
    {
        var soft = level == Level.Soft && driver.Knows(node, PowerVerb.SoftOff);
        var reply = await driver.AskAsync(node, soft ? PowerVerb.SoftOff : PowerVerb.Off, cancel);
        return reply.Fault ?? await ObserveAsync(driver, node, false, soft ? SoftPatience : HardPatience, cancel);
    }

    /// <summary>Asks until the power state is the wanted one; this is the effect, the command was only the wish.</summary>
    async Task<Fault?> ObserveAsync(IPowerDriver driver, ClusterNode node, bool wanted, TimeSpan patience, CancellationToken cancel)
    {
        var end = clock.GetTimestamp() + (long)(patience.TotalSeconds * clock.TimestampFrequency);
        while (true)
        {
            var status = await driver.AskAsync(node, PowerVerb.Status, cancel);
            if (status.On == wanted)
                return null;
            if (clock.GetTimestamp() >= end)
                return status.Fault ?? Fault.Of(FaultCodes.PowerNoEffect, $"power is still {(wanted ? "off" : "on")} after {patience.TotalSeconds:0} s");
            await Task.Delay(AskPeriod, clock, cancel);
        }
    }
}
