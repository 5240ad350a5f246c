using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Engine.Steps;
using Ka.Engine.Workflows;

namespace Ka.Engine.Planning;

/// <summary>The plans of operations that install nothing.</summary>
public static class OperationPlans
{
    /// <summary>How often a power command is tried again before its node fails.</summary>
    const int PowerRetries = 1;

    /// <summary>For a node to do what its power command says, from its turn.</summary>
    static readonly TimeSpan PowerPatience = TimeSpan.FromSeconds(120);

    /// <summary>Resets the nodes and waits for what they were told to boot. Only from the default VLAN do they boot from the network.</summary>
    public static Plan Reboot(RebootWish wish, Cluster cluster, bool withKeys, VlanWish? vlan = null)
    {
        var fromNetwork = wish.To is RebootTarget.Minimal or RebootTarget.Profile;
        var (settings, choice) = wish.To switch
        {
            RebootTarget.Disk => (Last(cluster), BootChoice.LocalDisk),
            RebootTarget.Minimal => (First(cluster), BootChoice.Minimal),
            RebootTarget.Profile => (Last(cluster), BootChoice.Profile),
        };
        ImmutableArray<MicroStep> wait = wish.To switch
        {
            RebootTarget.Disk => [new AwaitDeployed(settings.Timeout)],
            RebootTarget.Minimal when withKeys || cluster.ServerKey => [new AwaitAgent(settings.Timeout, settings.FirstSign), new AgentStep(AgentTask.Keys, "keys_minimal", cluster.StepTimeout)],
            RebootTarget.Minimal => [new AwaitAgent(settings.Timeout, settings.FirstSign)],
            RebootTarget.Profile => [new AwaitLoaded(settings.Timeout)],
        };
        return new Plan(
            [
                new MacroStep("Reboot", [new Strategy("Classical", settings.Retries,
                [
                    new ChooseBoot(choice, cluster.StepTimeout),
                    .. Vlan(fromNetwork ? vlan?.Default : null),
                    new PowerStep(PowerAction.Cycle, wish.Level, settings.Timeout),
                    .. Vlan(fromNetwork ? null : vlan?.Name),
                    .. wait,
                    .. Vlan(wish.To == RebootTarget.Profile ? vlan?.Name : null),
                ])]),
            ],
            cluster.Gather);

        ImmutableArray<MicroStep> Vlan(string? name) => name is null ? [] : [new SetVlan(name, cluster.StepTimeout)];
    }

    /// <summary>Switches the nodes and looks whether it came about.</summary>
    public static Plan Power(PowerWish wish, Cluster cluster) => new(
        [new MacroStep("Power", [new Strategy("Classical", PowerRetries, [new PowerStep(wish.Action, wish.Level, PowerPatience)])])], cluster.Gather);

    static StrategySettings First(Cluster cluster) => cluster.MinimalEnv.FirstOrDefault(s => s.Do == "untrusted") ?? Cluster.DefaultMinimalEnv[0];

    static StrategySettings Last(Cluster cluster) => (cluster.Boot.FirstOrDefault(s => s.Do == "hard-reboot") ?? Cluster.DefaultBoot.First(s => s.Do == "hard-reboot")) with { Retries = 1 };
}
