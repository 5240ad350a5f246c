using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Engine.Steps;

namespace Ka.Engine.Planning;

/// <summary>The steps that depend on what the images are: Kadeploy3's rules of adaptation.</summary>
static class ImageSteps
{
    /// <summary>Images that are written come first and are read back before anything changes them; then the root is mounted and archives unpacked.</summary>
    public static IEnumerable<MicroStep> Send(DeployRequest request, BroadcastWay way, TimeSpan turn)
    {
        var (needs, step) = (request.Needs, request.Cluster.StepTimeout);
        if (!needs.WholeDisk)
            yield return new AgentStep(AgentTask.Reformat, "reformat", step, OnlyAgain: true);
        foreach (var part in needs.RawParts)
            yield return new SendImage(turn, part) { Way = way };
        if (!needs.RawParts.IsEmpty && request.Verify != VerifyMode.None)
            yield return new AgentStep(AgentTask.VerifyBlocks, "verify_blocks", turn);
        if (needs.Grow)
            yield return new AgentStep(AgentTask.Grow, "grow", step);
        if (!needs.RawParts.IsEmpty && needs.Mounted)
            yield return new AgentStep(AgentTask.Mount, "mount", step);
        foreach (var part in needs.TarParts)
            yield return new SendImage(turn, part) { Way = way };
        if (request.Environment.Image.Kind == ImageKind.Tar && request.Verify != VerifyMode.None)
            yield return new AgentStep(AgentTask.Verify, "verify", turn);
        if (needs.Seed)
            yield return new AgentStep(AgentTask.Seed, "seed", step);
    }
}
