using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Engine.Steps;

namespace Ka.Engine.Planning;

/// <summary>The micro steps of each strategy.</summary>
static class Strategies
{
    /// <summary>A way to an agent on every node and a target that is mounted.</summary>
    public static Strategy MinimalEnv(StrategySettings settings, DeployRequest request)
    {
        var step = request.Cluster.StepTimeout;
        var choose = new ChooseBoot(BootChoice.Minimal, step);
        var wait = new AwaitAgent(settings.Timeout, settings.FirstSign);
        return settings.Do switch
        {
            "untrusted" => new Strategy("Untrusted", settings.Retries,
                [choose, .. Vlan(request.Options.Vlan?.Default, step), new PowerReboot(LevelOf(settings.Level), settings.Timeout), wait, .. Disk(request, ownsDisk: true)]),
            "kexec" => new Strategy("Kexec", settings.Retries,
                [choose, new SystemStep(SystemTask.KexecMinimal, "kexec_minimal", settings.Timeout), wait, .. Disk(request, ownsDisk: true)]),
            "trusted" => new Strategy("Trusted", settings.Retries,
                [choose, new SystemStep(SystemTask.StartAgent, "start_agent", settings.Timeout), wait, .. Disk(request, ownsDisk: true)]),
            "prod" => new Strategy("Prod", settings.Retries,
                [choose, new SystemStep(SystemTask.StartAgentBeside, "start_agent", settings.Timeout), wait, .. Disk(request, ownsDisk: false)]),
            var unknown => throw Unknown(unknown),
        };
    }

    /// <param name="ownsDisk">False when the running system lives on the disk: only the deploy partition is made anew.</param>
    static ImmutableArray<MicroStep> Disk(DeployRequest request, bool ownsDisk)
    {
        var step = request.Cluster.StepTimeout;
        var steps = ImmutableArray.CreateBuilder<MicroStep>();
        if (ownsDisk && (request.WithKeys || request.Cluster.ServerKey))
            steps.Add(new AgentStep(AgentTask.Keys, "keys_minimal", step));
        if (request.Cluster.PreInstalls is { IsEmpty: false } site)
            steps.Add(new AgentStep(AgentTask.SitePreInstall, "site_pre_install", step + Sum(site)));
        if (request.Needs.WholeDisk)
            return steps.ToImmutable();
        if (request.Environment.PreInstall is { } own)
            steps.Add(new AgentStep(AgentTask.PreInstall, "pre_install", step + own.Timeout));
        else if (ownsDisk && request.Options.Partitioning)
        {
            steps.Add(new AgentStep(AgentTask.Partition, "partition", step));
            steps.Add(new AgentStep(AgentTask.Format, "format", step));
        }
        else
            steps.Add(new AgentStep(AgentTask.FormatDeploy, "format", step));
        if (request.Needs.RawParts.IsEmpty)
            steps.Add(new AgentStep(AgentTask.Mount, "mount", step));
        return steps.ToImmutable();
    }

    /// <summary>Sending and installing; the strategy is called as its way to broadcast.</summary>
    public static Strategy Install(StrategySettings settings, DeployRequest request)
    {
        var step = request.Cluster.StepTimeout;
        var way = BroadcastWays.Parse(settings.Do) ?? throw Unknown(settings.Do);
        var steps = ImmutableArray.CreateBuilder<MicroStep>();
        steps.AddRange(ImageSteps.Send(request, way, settings.Timeout));
        if (!request.Needs.Mounted)
            return new Strategy(way.ToString(), settings.Retries, [.. steps, new AgentStep(AgentTask.Sync, "sync", step)]);
        steps.Add(new AgentStep(AgentTask.Identity, "identity", step));
        steps.Add(new AgentStep(AgentTask.HostCertificate, "host_certificate", step));
        if (request.Environment.Network != NetworkStack.None)
            steps.Add(new AgentStep(AgentTask.Network, "network", step));
        if (!request.Environment.Files.IsEmpty)
            steps.Add(new AgentStep(AgentTask.Files, "files", step));
        var scripts = request.Environment.PostInstalls.AddRange(request.Cluster.PostInstalls);
        if (!scripts.IsEmpty)
            steps.Add(new AgentStep(AgentTask.PostInstall, "post_install", step + Sum(scripts)));
        if (request.WithKeys || request.Cluster.ServerKey)
            steps.Add(new AgentStep(AgentTask.Keys, "keys", step));
        if (request.Options.Bootloader && request.Needs.Bootloader)
            steps.Add(new AgentStep(AgentTask.Bootloader, "bootloader", step));
        steps.Add(new AgentStep(AgentTask.Sync, "sync", step));
        return new Strategy(way.ToString(), settings.Retries, steps.ToImmutable());
    }

    static ImmutableArray<MicroStep> Vlan(string? vlan, TimeSpan step) => vlan is null ? [] : [new SetVlan(vlan, step)];

    /// <summary>A VLAN is set when the boot has been caused: nothing that an agent is told could reach it there.</summary>
    /// <param name="choice">What the machines boot: the local disk, or the profile of the request.</param>
    public static Strategy Boot(StrategySettings settings, BootChoice choice, TimeSpan step, string? vlan) => settings.Do switch
    {
        "kexec" => new Strategy("Kexec", settings.Retries,
        [
            new ChooseBoot(choice, step),
            new AgentStep(AgentTask.Kexec, "kexec", step),
            .. Vlan(vlan, step),
            new AwaitDeployed(settings.Timeout),
        ]),
        "classical" => new Strategy("Classical", settings.Retries,
        [
            new ChooseBoot(choice, step),
            new AgentStep(AgentTask.Reboot, "reboot_from_minimal", step),
            .. Vlan(vlan, step),
            new AwaitDeployed(settings.Timeout),
        ]),
        "hard-reboot" => new Strategy("HardReboot", settings.Retries,
        [
            new ChooseBoot(choice, step),
            new PowerReboot(LevelOf(settings.Level), settings.Timeout),
            .. Vlan(vlan, step),
            new AwaitDeployed(settings.Timeout),
        ]),
        var unknown => throw Unknown(unknown),
    };

    static TimeSpan Sum(ImmutableArray<PostInstall> scripts) => TimeSpan.FromTicks(scripts.Sum(s => s.Timeout.Ticks));

    static ArgumentException Unknown(string strategy) => new($"strategy '{strategy}' passed the configuration check but is not known");

    static Level LevelOf(string text) => text switch
    {
        "soft" => Level.Soft,
        "hard" => Level.Hard,
        "very-hard" => Level.VeryHard,
        _ => throw new ArgumentException($"level '{text}' passed the configuration check but is not known", nameof(text)),
    };
}
