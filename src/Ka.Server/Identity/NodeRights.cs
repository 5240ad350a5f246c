using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Engine.Planning;
using Ka.Engine.Workflows;
using Ka.Store;

namespace Ka.Server.Identity;

/// <summary>Who may work on which node now, by the rules of the store.</summary>
public sealed class NodeRights(GrantTable grants, TimeProvider clock)
{
    /// <summary>The rules as they are now, for several decisions.</summary>
    public ImmutableArray<Grant> Rules => grants.All();

    public Verdict Decide(Caller caller, IEnumerable<ClusterNode> nodes, Func<ClusterNode, PartitionNeed> need) => Decide(caller, nodes, need, Rules);

    /// <param name="need">What is written on each node; nodes that need the same are decided together.</param>
    public Verdict Decide(Caller caller, IEnumerable<ClusterNode> nodes, Func<ClusterNode, PartitionNeed> need, ImmutableArray<Grant> rules)
    {
        var now = clock.GetUtcNow();
        var parts = nodes.GroupBy(n => n.Layout).SelectMany(alike =>
            NodeRules.Decide(caller, NodeSet.FromNames(alike.Select(n => NodeName.Parse(n.Name))), need(alike.First()), rules, now).Parts);
        return new Verdict([.. parts.GroupBy(p => (p.Allowed, p.Rule, p.Reason)).Select(g => g.First() with { Nodes = g.Aggregate(NodeSet.Empty, (all, p) => all | p.Nodes) })]);
    }

    /// <summary>Null when all nodes are allowed; else why not, and what would be.</summary>
    public Fault? Refusal(Caller caller, IReadOnlyCollection<ClusterNode> nodes, Func<ClusterNode, PartitionNeed> need) =>
        Decide(caller, nodes, need) is { Allowed: false } verdict ? Fault.Of(FaultCodes.RightsMissing, $"not allowed on {verdict.Denied}", Said(verdict)) : null;

    internal static string Said(Verdict verdict) => string.Join('\n', verdict.Parts.OrderBy(p => p.Allowed).Select(p => $"{p.Nodes}: {(p.Allowed ? "yours by " : "")}{p.Reason}"));

    /// <summary>What an accepted operation writes on a node.</summary>
    public static PartitionNeed NeedOf(Workflow workflow, ClusterNode node) =>
        workflow.Kind == WorkflowKind.Deploy ? NeedOf(node, workflow.Environment, workflow.Options.Partitioning) : PartitionNeed.Nothing;

    /// <summary>
    /// What a deployment writes: with its partitioning every partition that is not kept (the whole disk when none is), without it the
    /// deploy partition; a disk image writes the whole disk, and a pre-install may.
    /// </summary>
    /// <param name="more">A further partition that is made anew, by its name.</param>
    public static PartitionNeed NeedOf(ClusterNode node, OsEnvironment environment, bool partitioning, string? more = null)
    {
        var layout = node.Layout;
        if (ImageNeeds.Of(environment).WholeDisk || environment.PreInstall is not null || layout.MoreDisks is not null || layout.Arrays is not null || layout.Groups is not null)
            return PartitionNeed.WholeDisk;
        return partitioning && !layout.Partitions.Any(p => p.Keep)
            ? PartitionNeed.WholeDisk
            : new PartitionNeed([.. layout.Partitions.Select((p, i) => (Spec: p, Ref: new PartitionRef(p.Name, p.Number ?? i + 1))).Where(p => (partitioning ? !p.Spec.Keep : p.Spec.Deploy) || p.Spec.Name == more).Select(p => p.Ref)]);
    }
}

/// <summary>Which environments somebody sees and may change.</summary>
public static class EnvironmentRights
{
    public static bool Sees(this Caller caller, OsEnvironment environment) =>
        caller.Role >= Role.Operator || environment.Visibility != Visibility.Private || environment.Owner == caller.Name;

    /// <summary>The environment that a name means to somebody: names before aliases, their own before public ones before others', the highest version of these.</summary>
    public static OsEnvironment? FindFor(this EnvironmentCatalogue catalogue, Caller caller, string name, int? version) => catalogue.All()
        .Where(e => (e.Name == name || e.Alias == name) && (version is null || e.Version == version) && caller.Sees(e))
        .OrderByDescending(e => e.Name == name).ThenByDescending(e => e.Owner == caller.Name).ThenByDescending(e => e.Visibility == Visibility.Public).ThenByDescending(e => e.Version)
        .FirstOrDefault();

    /// <summary>Why somebody may not register this, or null. A name belongs to who used it first; what everybody sees is for operators.</summary>
    public static Fault? RefuseRegistration(this EnvironmentCatalogue catalogue, Caller caller, OsEnvironment environment) =>
        caller.Role >= Role.Operator ? null
        : environment.Visibility == Visibility.Public ? Fault.Of(FaultCodes.RightsRole, $"{caller.Name} is {caller.Role.Word()}; 'visibility: public' needs operator")
        : catalogue.All().Any(e => e.Name == environment.Name && e.Owner != caller.Name) ? Fault.Of(FaultCodes.RightsMissing, $"the name '{environment.Name}' is taken by somebody else")
        : null;

    public static Fault? RefuseRemoval(Caller caller, OsEnvironment environment) =>
        caller.Role >= Role.Operator || environment.Owner == caller.Name
            ? null
            : Fault.Of(FaultCodes.RightsMissing, $"{environment.Name}:{environment.Version} belongs to {environment.Owner}");
}
