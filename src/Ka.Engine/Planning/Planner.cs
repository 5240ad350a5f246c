using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Engine.Steps;

namespace Ka.Engine.Planning;

/// <summary>What a person asks for.</summary>
/// <param name="Verify">How much of the unpacked image each node reads back and compares.</param>
/// <param name="DiskBytes">Smallest size known of the target disks, or null when no node has been seen yet.</param>
public sealed record DeployRequest(OsEnvironment Environment, Cluster Cluster, ImmutableArray<ClusterNode> Nodes, bool WithKeys, long? DiskBytes, VerifyMode Verify = VerifyMode.Sample)
{
    public DeployOptions Options { get; init; } = DeployOptions.Default;

    /// <summary>What the environment's images need of the steps.</summary>
    public ImageNeeds Needs { get; } = ImageNeeds.Of(Environment);
}

/// <summary>A plan, or every reason why there is none.</summary>
public sealed record PlanOutcome(Plan? Plan, ImmutableArray<Fault> Faults);

/// <summary>Turns a request into a plan. Pure: it looks at nothing but its arguments.</summary>
public static class Planner
{
    /// <summary>Windows that have no setting of their own: bounded so that 10,000 nodes do not open 10,000 sockets at once.</summary>
    public const int AgentWindow = 2000, WaitingWindow = 100_000, SystemWindow = 100;

    /// <summary>Checks a request and plans it.</summary>
    public static PlanOutcome Plan(DeployRequest request)
    {
        var faults = ImmutableArray.CreateBuilder<Fault>();
        CheckSizes(request, faults);
        CheckTemplates(request, faults);
        CheckProfile(request, faults);
        if (request.Environment.Image.Kind == ImageKind.Tar && request.Environment.Os is not ("linux" or "xen"))
            faults.Add(Fault.Of(FaultCodes.EnvironmentInvalid, $"{request.Environment.Name}: os '{request.Environment.Os}' cannot be deployed from a tar image"));
        if (request.Environment.Network != NetworkStack.None && !(request.Needs.Mounted && request.Environment.Os is "linux" or "xen"))
            faults.Add(Fault.Of(FaultCodes.EnvironmentInvalid, $"{request.Environment.Name} names a network stack, but has no root of Linux that can be mounted to configure it"));
        ImageRoom.CheckParts(request, faults);
        ImageRoom.CheckStrategies(request, faults);
        return faults.Count > 0 ? new PlanOutcome(null, faults.ToImmutable()) : Accepted(request);
    }

    /// <summary>
    /// The plan of a request whose sizes, files and strategies have been checked before: an operation is read from its journal at every
    /// look at it, and its files would be rendered for all of its nodes each time.
    /// </summary>
    public static PlanOutcome Accepted(DeployRequest request)
    {
        var faults = ImmutableArray.CreateBuilder<Fault>();
        var own = request.Options.Profile is not null;
        ImmutableArray<MacroStep> macros =
        [
            new("SetDeploymentEnv", [.. request.Cluster.MinimalEnv.Select(s => Strategies.MinimalEnv(s, request))]),
            new("BroadcastEnv", [.. request.Cluster.Install.Select(s => Strategies.Install(s, request))]),
            new("BootNewEnv", [.. (request.Needs.Kexec && !own ? request.Cluster : request.Cluster.WithoutKexec()).Boot
                .Select(s => Strategies.Boot(s, own ? BootChoice.Profile : BootChoice.LocalDisk, request.Cluster.StepTimeout, request.Options.Vlan?.Name))]),
        ];
        macros = OperationPlacement.Insert(macros, request.Cluster.Operations, faults);
        macros = BreakpointPlacement.CutOff(macros, request.Options.Breakpoint, faults);
        return faults.Count > 0
            ? new PlanOutcome(null, faults.ToImmutable())
            : new PlanOutcome(new Plan(macros, request.Cluster.Gather, request.Options.Breakpoint), []);
    }

    /// <summary>Every file of every node must come out; what is wrong with many nodes alike is said once.</summary>
    static void CheckTemplates(DeployRequest request, ImmutableArray<Fault>.Builder faults)
    {
        var wrong = new HashSet<string>(StringComparer.Ordinal);
        if (request.Environment.Files.IsEmpty)
            return;
        var values = request.Nodes.Select(n => (Node: n, Values: TemplateValues.Of(n, request.Cluster, request.Environment))).ToArray();
        foreach (var file in request.Environment.Files)
            foreach (var (node, known) in values)
                if (!NodeTemplate.TryRender(file, known, out _, out var errors))
                    foreach (var error in errors)
                        if (wrong.Add($"{file.Path}:{error}"))
                            faults.Add(Fault.Of(FaultCodes.TemplateInvalid, $"{file.Path}, {error}", $"on {node.Name}"));
    }

    /// <summary>Every node must get a kernel line that loaders and kernel can carry.</summary>
    static void CheckProfile(DeployRequest request, ImmutableArray<Fault>.Builder faults)
    {
        if (request.Options.Profile is not { } profile)
            return;
        var wrong = new HashSet<string>(StringComparer.Ordinal);
        foreach (var node in request.Nodes)
            if (!profile.TryRender(TemplateValues.Of(node, request.Cluster, request.Environment), out _, out var errors))
                foreach (var error in errors.Where(wrong.Add))
                    faults.Add(Fault.Of(FaultCodes.ProfileInvalid, error, $"on {node.Name}"));
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
            var deploy = layout.Key.Deploy();
            if (LayoutRoom.OfDeploy(layout.Key, request.DiskBytes) is { } bytes && unpacked > bytes)
                faults.Add(Fault.Of(
                    FaultCodes.ArchiveTooLarge,
                    $"{request.Environment.Name} unpacks to {unpacked} bytes, partition '{deploy.Name}' has {bytes}",
                    $"nodes {string.Join(',', layout.Select(n => n.Name).Take(10))}"));
        }
    }
}
