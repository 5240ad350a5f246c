using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Engine.Steps;

namespace Ka.Engine.Planning;

/// <summary>The steps that depend on what the images are: Kadeploy3's rules of adaptation.</summary>
static class ImageSteps
{
    /// <summary>A system that was to be started by kexec and is not has its firmware to go through.</summary>
    static readonly TimeSpan FirmwareTime = TimeSpan.FromSeconds(200);

    /// <summary>How the disk is made ready. A partition that an image is written over is not formatted, and nothing is mounted before it is written.</summary>
    public static IEnumerable<MicroStep> Prepare(ImageNeeds needs, TimeSpan step)
    {
        if (needs.WholeDisk)
            yield break;
        yield return new AgentStep(AgentTask.Partition, "partition", step);
        yield return new AgentStep(AgentTask.Format, "format", step);
        if (needs.RawParts.IsEmpty)
            yield return new AgentStep(AgentTask.Mount, "mount", step);
    }

    /// <summary>Images that are written come first and are read back before anything changes them; then the root is mounted and archives unpacked.</summary>
    public static IEnumerable<MicroStep> Send(DeployRequest request, TimeSpan turn)
    {
        var (needs, step) = (request.Needs, request.Cluster.StepTimeout);
        if (!needs.WholeDisk)
            yield return new AgentStep(AgentTask.Reformat, "reformat", step, OnlyAgain: true);
        foreach (var part in needs.RawParts)
            yield return new SendImage(turn, part);
        if (!needs.RawParts.IsEmpty && request.Verify != VerifyMode.None)
            yield return new AgentStep(AgentTask.VerifyBlocks, "verify_blocks", turn);
        if (needs.Grow)
            yield return new AgentStep(AgentTask.Grow, "grow", step);
        if (!needs.RawParts.IsEmpty && needs.Mounted)
            yield return new AgentStep(AgentTask.Mount, "mount", step);
        foreach (var part in needs.TarParts)
            yield return new SendImage(turn, part);
        if (needs.Seed)
            yield return new AgentStep(AgentTask.Seed, "seed", step);
    }

    /// <summary>The ways to start the system; without a kernel that can be read kexec becomes a reboot from the minimal environment.</summary>
    public static ImmutableArray<StrategySettings> Ways(DeployRequest request)
    {
        if (request.Needs.Kexec)
            return request.Cluster.Boot;
        ImmutableArray<StrategySettings> left = [.. request.Cluster.Boot.Where(s => s.Do != "kexec")];
        return left.IsEmpty
            ? [.. request.Cluster.Boot.Take(1).Select(s => s with { Do = "classical", Retries = 0, Timeout = s.Timeout + FirmwareTime })]
            : left;
    }
}
