using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Environments;

namespace Ka.Engine.Workflows;

/// <summary>What a workflow is for.</summary>
public enum WorkflowKind
{
    Deploy,
    Reboot,
    Power,
}

/// <summary>An accepted operation with everything it needs, frozen at acceptance: a later change of configuration or catalogue does not touch it.</summary>
/// <param name="Id"><c>D-</c>, <c>R-</c> or <c>P-</c> and six characters; what a person types.</param>
/// <param name="Environment">What is deployed, or what a reboot leads to; <see cref="OsEnvironment.None"/> otherwise.</param>
/// <param name="Cluster">The cluster with only the nodes of this workflow, in chain order.</param>
/// <param name="Verify">None in workflows that an older server accepted: their plan has no such step.</param>
/// <param name="AuthorizedKeys">Public ssh keys for root, one line each.</param>
public sealed record Workflow(
    string Id,
    WorkflowKind Kind,
    string Owner,
    OsEnvironment Environment,
    Cluster Cluster,
    ImmutableArray<string> AuthorizedKeys,
    DateTimeOffset CreatedAt,
    VerifyMode Verify = VerifyMode.None)
{
    public DeployOptions Options { get; init; } = DeployOptions.Default;

    /// <summary>Of a reboot.</summary>
    public RebootWish? Reboot { get; init; }

    /// <summary>Of a change of power.</summary>
    public PowerWish? Power { get; init; }

    public ImmutableArray<string> NodeNames => [.. Cluster.Nodes.Select(n => n.Name)];
}

/// <summary>How a workflow stands.</summary>
public enum WorkflowState
{
    Running,
    Done,
    Partial,
    Failed,
    Cancelled,
}
