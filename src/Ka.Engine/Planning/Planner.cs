using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Engine.Steps;

namespace Ka.Engine.Planning;

/// <summary>What a person asks for.</summary>
/// <param name="DiskBytes">Smallest size known of the target disks, or null when no node has been seen yet.</param>
public sealed record DeployRequest(
    OsEnvironment Environment, Cluster Cluster, ImmutableArray<ClusterNode> Nodes, bool WithKeys, long? DiskBytes, VerifyMode Verify = VerifyMode.Sample)
{
    /// <summary>What the environment's images need of the steps.</summary>
    public ImageNeeds Needs { get; } = ImageNeeds.Of(Environment);
}

/// <summary>A plan, or every reason why there is none.</summary>
public sealed record PlanOutcome(Plan? Plan, ImmutableArray<Fault> Faults);

/// <summary>Turns a request into a plan. Pure: it looks at nothing but its arguments.</summary>
public static class Planner
{
    /// <summary>Windows that have no setting of their own: bounded so that 10,000 nodes do not open 10,000 sockets at once.</summary>
    public const int AgentWindow = 2000, ProbeWindow = 256, WaitingWindow = 100_000;

    public static PlanOutcome Plan(DeployRequest request)
    {
        var faults = ImmutableArray.CreateBuilder<Fault>();
        CheckSizes(request, faults);
        if (request.Environment.Image.Kind == ImageKind.Tar && request.Environment.Os is not ("linux" or "xen"))
            faults.Add(Fault.Of(FaultCodes.EnvironmentInvalid, $"{request.Environment.Name}: os '{request.Environment.Os}' cannot be deployed from a tar image"));
        ImageRoom.CheckParts(request, faults);
        if (faults.Count > 0)
            return new PlanOutcome(null, faults.ToImmutable());
        return new PlanOutcome(new Plan([SetDeploymentEnv(request), BroadcastEnv(request), BootNewEnv(request)], request.Cluster.Gather), []);
    }

    static void CheckSizes(DeployRequest request, ImmutableArray<Fault>.Builder faults)
    {
        if (request.Needs.WholeDisk)
        {
            ImageRoom.CheckDisk(request, faults);
            return;
        }
        var unpacked = request.Environment.Image.UnpackedBytes;
        foreach (var layout in request.Nodes.GroupBy(n => n.Layout))
        {
            var deploy = layout.Key.Partitions.Single(p => p.Deploy);
            var room = deploy.Bytes ?? request.DiskBytes - layout.Key.Partitions.Sum(p => p.Bytes ?? 0);
            if (room is { } bytes && unpacked > bytes)
                faults.Add(Fault.Of(
                    FaultCodes.ArchiveTooLarge,
                    $"{request.Environment.Name} unpacks to {unpacked} bytes, partition '{deploy.Name}' has {bytes}",
                    $"nodes {string.Join(',', layout.Select(n => n.Name).Take(10))}"));
        }
    }

    static MacroStep SetDeploymentEnv(DeployRequest request) => new("SetDeploymentEnv", [.. request.Cluster.MinimalEnv.Select(s => Untrusted(s, request))]);

    static Strategy Untrusted(StrategySettings settings, DeployRequest request)
    {
        var step = request.Cluster.StepTimeout;
        var steps = ImmutableArray.CreateBuilder<MicroStep>();
        steps.Add(new ChooseBoot(BootChoice.Minimal, step));
        steps.Add(new PowerReboot(LevelOf(settings.Level), settings.Timeout));
        steps.Add(new AwaitAgent(settings.Timeout, settings.FirstSign));
        if (request.WithKeys)
            steps.Add(new AgentStep(AgentTask.Keys, "keys_minimal", step));
        steps.AddRange(ImageSteps.Prepare(request.Needs, step));
        return new Strategy("Untrusted", settings.Retries, steps.ToImmutable());
    }

    static MacroStep BroadcastEnv(DeployRequest request) => new("BroadcastEnv", [.. request.Cluster.Install.Select(s => Chain(s, request))]);

    static Strategy Chain(StrategySettings settings, DeployRequest request)
    {
        var step = request.Cluster.StepTimeout;
        var steps = ImmutableArray.CreateBuilder<MicroStep>();
        steps.AddRange(ImageSteps.Send(request, settings.Timeout));
        if (!request.Needs.Mounted)
            return new Strategy("Chain", settings.Retries, [.. steps, new AgentStep(AgentTask.Sync, "sync", step)]);
        steps.Add(new AgentStep(AgentTask.Identity, "identity", step));
        var scripts = request.Environment.PostInstalls.Concat(request.Cluster.PostInstalls).ToArray();
        if (scripts.Length > 0)
            steps.Add(new AgentStep(AgentTask.PostInstall, "post_install", step + TimeSpan.FromTicks(scripts.Sum(s => s.Timeout.Ticks))));
        if (request.WithKeys)
            steps.Add(new AgentStep(AgentTask.Keys, "keys", step));
        if (request.Needs.Bootloader)
            steps.Add(new AgentStep(AgentTask.Bootloader, "bootloader", step));
        steps.Add(new AgentStep(AgentTask.Sync, "sync", step));
        return new Strategy("Chain", settings.Retries, steps.ToImmutable());
    }

    static MacroStep BootNewEnv(DeployRequest request) => new("BootNewEnv", [.. ImageSteps.Ways(request).Select(s => Boot(s, request.Cluster.StepTimeout))]);

    static Strategy Boot(StrategySettings settings, TimeSpan step) => settings.Do switch
    {
        "kexec" => new Strategy("Kexec", settings.Retries,
        [
            new ChooseBoot(BootChoice.LocalDisk, step),
            new AgentStep(AgentTask.Kexec, "kexec", step),
            new AwaitDeployed(settings.Timeout),
        ]),
        "classical" => new Strategy("Classical", settings.Retries,
        [
            new ChooseBoot(BootChoice.LocalDisk, step),
            new AgentStep(AgentTask.Reboot, "reboot_from_minimal", step),
            new AwaitDeployed(settings.Timeout),
        ]),
        "hard-reboot" => new Strategy("HardReboot", settings.Retries,
        [
            new ChooseBoot(BootChoice.LocalDisk, step),
            new PowerReboot(LevelOf(settings.Level), settings.Timeout),
            new AwaitDeployed(settings.Timeout),
        ]),
        var unknown => throw new ArgumentException($"strategy '{unknown}' passed the configuration check but is not known", nameof(settings)),
    };

    static Level LevelOf(string text) => text switch
    {
        "soft" => Level.Soft,
        "hard" => Level.Hard,
        "very-hard" => Level.VeryHard,
        _ => throw new ArgumentException($"level '{text}' passed the configuration check but is not known", nameof(text)),
    };
}
