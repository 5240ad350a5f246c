using System.Collections.Immutable;

namespace Ka.Protocol.Rest;

/// <summary>Asks for a deployment.</summary>
/// <param name="Environment"><c>name</c> or <c>name:version</c>.</param>
/// <param name="Nodes">Node set in ClusterShell's syntax.</param>
/// <param name="AuthorizedKeys">Public ssh keys for root, one a line.</param>
/// <param name="Verify"><c>none</c>, <c>sample</c> or <c>full</c>: how much of the unpacked image each node reads back and compares; null leaves it to the cluster.</param>
/// <param name="DryRun">Answer with the plan and change nothing.</param>
public sealed record DeployBody(string Environment, string Nodes, ImmutableArray<string> AuthorizedKeys, bool DryRun, string? Verify = null)
{
    /// <summary>Strategies in place of the cluster's: <c>minimal-env=kexec,untrusted:1:300s</c>, <c>boot=classical</c>.</summary>
    public ImmutableArray<string> Strategies { get; init; } = [];

    /// <summary>Leaves out every kexec, into the minimal environment as well as out of it.</summary>
    public bool NoKexec { get; init; }

    /// <summary>How the images come to the nodes: <c>auto</c>, <c>chain</c>, <c>tree</c>, <c>two-trees</c>, <c>multicast</c>, <c>torrent</c>, <c>custom</c>; null leaves it to the cluster.</summary>
    public string? Broadcast { get; init; }

    /// <summary>What is done with a node that holds the others back: <c>keep</c>, <c>tail</c>, <c>evict</c>; null leaves it to the cluster.</summary>
    public string? Straggler { get; init; }

    /// <summary>Rate as <c>100mbit</c> below which a node that the others wait for counts as slow; null leaves it to the cluster.</summary>
    public string? Floor { get; init; }

    /// <summary>Leaves the partition table and every partition but the deploy partition as they are.</summary>
    public bool NoPartitioning { get; init; }

    public bool NoBootloader { get; init; }

    /// <summary>Where the nodes are left as they are: <c>MACRO</c> or <c>MACRO:STEP</c>.</summary>
    public string? Breakpoint { get; init; }

    /// <summary>VLAN into which the switch ports of the nodes are put when their system boots; null leaves it to the site.</summary>
    public string? Vlan { get; init; }

    /// <summary>Leaves nodes alone that have this very environment already.</summary>
    public bool IfNeeded { get; init; }

    /// <summary>Makes this file system on the partition named <c>tmp</c>.</summary>
    public string? ReformatTmp { get; init; }

    /// <summary>Takes nodes that are out of use as well; for operators.</summary>
    public bool Drained { get; init; }

    /// <summary>How many nodes are meant; needed beyond the site's limit of nodes at once.</summary>
    public int? ConfirmNodes { get; init; }

    /// <summary>Custom operations beside or in place of the site's; their files are referred to by digest, the client has sent them before.</summary>
    public ApplyBody? CustomSteps { get; init; }

    /// <summary>What the nodes boot from the network at the end, in place of their local disk; files by digest, the client has sent them before.</summary>
    public ApplyBody? BootProfile { get; init; }
}

/// <summary>What a deployment would do.</summary>
/// <param name="Breakpoint">Where the plan ends before a system is booted, or null.</param>
public sealed record PlanReply(
    string Environment, string Sha256, long Bytes, long UnpackedBytes, string Nodes, int Count, ImmutableArray<PlannedMacroStep> Steps, ImmutableArray<string> Erases, string? Breakpoint = null)
{
    /// <summary>Steps that the image does not need or does not allow, each with its reason.</summary>
    public ImmutableArray<string> LeftOut { get; init; } = [];

    /// <summary>What the nodes boot at the end in place of their local disk, or null.</summary>
    public PlannedProfile? BootProfile { get; init; }

    /// <summary>The way to broadcast, and why: <c>chain (asked for)</c>.</summary>
    public string? Broadcast { get; init; }

    /// <summary>Nodes that are left alone because they have the environment already, or null.</summary>
    public string? Skipped { get; init; }
}

/// <summary>A boot profile as one node gets it.</summary>
/// <param name="Node">The first one.</param>
public sealed record PlannedProfile(string File, PlannedFile Kernel, PlannedFile? Initrd, string Node, string Params);

/// <summary>A file that a request brings.</summary>
public sealed record PlannedFile(string Path, string Sha256, long Bytes);

/// <summary>A macro step of a plan with its strategies in order.</summary>
public sealed record PlannedMacroStep(string Name, ImmutableArray<PlannedStrategy> Strategies);

/// <summary>A strategy of a plan and how often it is tried again.</summary>
public sealed record PlannedStrategy(string Name, int Retries, ImmutableArray<PlannedStep> Steps);

/// <summary>A micro step of a plan and how long a node has for it.</summary>
public sealed record PlannedStep(string Name, double TimeoutSeconds);

/// <summary>The key of a node's encrypted disk.</summary>
public sealed record NodeKeyReply(string Node, string Key)
{
    public override string ToString() => $"a key of {Node}";
}

/// <summary>An operation as it stands.</summary>
/// <param name="State"><c>running</c>, <c>done</c>, <c>partial</c>, <c>failed</c>, <c>cancelled</c>.</param>
/// <param name="Nodes">Folded node set.</param>
/// <param name="LastEvent">Number of the newest event; a watcher resumes after it.</param>
public sealed record OperationReply(
    string Id,
    string Kind,
    string Owner,
    string State,
    string Environment,
    string Nodes,
    int Count,
    string Ok,
    string Failed,
    DateTimeOffset CreatedAt,
    DateTimeOffset? EndedAt,
    long LastEvent,
    ImmutableArray<NodeProgress> PerNode,
    ImmutableArray<FailureReply> Failures)
{
    /// <summary>What is asked for in few words: <c>debian12:1</c>, <c>reboot to minimal</c>, <c>power off</c>.</summary>
    public string? Wish { get; init; }

    /// <summary>Names of the macro steps, in order.</summary>
    public ImmutableArray<string> MacroSteps { get; init; } = [];

    /// <summary>The step before which the nodes were to be left as they are, or null.</summary>
    public string? Breakpoint { get; init; }

    /// <summary>The document of the boot profile that the nodes boot from the network at the end, or null for their local disks.</summary>
    public string? BootProfile { get; init; }

    /// <summary>The way to broadcast, and why: <c>chain (asked for)</c>; null where there was no choice.</summary>
    public string? Broadcast { get; init; }

    /// <summary>Only when it is accepted: nodes that are left alone because they have the environment already, or null. Without any other node the id is empty and nothing begins.</summary>
    public string? Skipped { get; init; }
}

/// <summary>Where one node is.</summary>
/// <param name="State"><c>queued</c>, <c>running</c>, <c>waiting</c>, <c>ok</c>, <c>failed</c>.</param>
/// <param name="Macro">1, 2, 3; 0 before the start.</param>
/// <param name="Step">Micro step.</param>
/// <param name="Done">Bytes done of a transfer, when there is one.</param>
public sealed record NodeProgress(string Node, string State, int Macro, string? MacroName, string? Strategy, string? Step, int Try, string? Fault, string? Phase, long Done, long? Total, double BytesPerSecond)
{
    /// <summary>How it held the others of its broadcast back, and what was done with it; null when it did not.</summary>
    public string? Slow { get; init; }
}

/// <summary>Nodes that failed alike, with all that helps.</summary>
public sealed record FailureReply(string Nodes, int Count, string Macro, string Step, int Tries, string Code, string Message, string? Evidence, string Meaning, string Next);

/// <summary>One event of an operation: what happened and what follows.</summary>
/// <param name="Seq">Grows by one; the id of the event stream.</param>
/// <param name="Kind"><c>started</c>, <c>step_ok</c>, <c>step_failed</c>, <c>gathered</c>, <c>cancelled</c>, <c>ended</c>.</param>
/// <param name="Follows">What each part does next.</param>
public sealed record OperationEvent(
    long Seq,
    DateTimeOffset At,
    string Kind,
    string Nodes,
    int Count,
    string? Macro,
    string? Strategy,
    string? Step,
    int Try,
    ImmutableArray<EventFault> Faults,
    ImmutableArray<EventFollow> Follows,
    string State);

/// <summary>A fault within an event, and the nodes it struck.</summary>
public sealed record EventFault(string Nodes, string Code, string Message, string? Evidence);

/// <param name="What"><c>run</c>, <c>wait</c>, <c>retry</c>, <c>fallback</c>, <c>ok</c>, <c>failed</c>.</param>
public sealed record EventFollow(string What, string Nodes, int Count, string? Macro, string? Strategy, string? Step, int Try);

/// <summary>A line of a node's log within an operation.</summary>
public sealed record LogLine(DateTimeOffset At, string Node, string Step, string Text);

/// <summary>A registered environment.</summary>
public sealed record EnvironmentReply(
    string Name,
    int Version,
    string Owner,
    string Description,
    string Visibility,
    string Arch,
    string Os,
    string Sha256,
    long Bytes,
    long UnpackedBytes,
    string Kind,
    string Compression,
    string FileSystem,
    string Kernel,
    string? Initrd,
    ImmutableArray<string> Params,
    ImmutableArray<string> PostInstalls,
    DateTimeOffset RegisteredAt)
{
    /// <summary>Deploying it destroys what others need.</summary>
    public bool Destructive { get; init; }

    /// <summary>Another name that leads to it, or null.</summary>
    public string? Alias { get; init; }

    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}

/// <summary>Registers what a description says. Files named in it are referred to by digest; the client has sent them before.</summary>
/// <param name="File">Name for error messages.</param>
/// <param name="Text">The YAML text.</param>
/// <param name="Files">Path as written in the description → SHA-256 of its bytes.</param>
public sealed record ApplyBody(string File, string Text, ImmutableDictionary<string, string> Files);

/// <summary>What came of it.</summary>
/// <param name="Change"><c>created</c>, <c>unchanged</c>, or <c>updated</c> when only visibility, destructive tag, alias or labels are others.</param>
public sealed record ApplyReply(string Change, EnvironmentReply Environment);

/// <summary>Files of an environment as one node would get them.</summary>
public sealed record RenderReply(string Environment, string Node, ImmutableArray<RenderedReply> Files);

/// <param name="Mode">Octal.</param>
public sealed record RenderedReply(string Path, string Mode, string Text);

/// <summary>The files that a description names, before anything is sent.</summary>
public sealed record DescriptionFiles(string Name, int Version, ImmutableArray<string> Paths);

/// <summary>A node: what the configuration says of it and what was seen.</summary>
public sealed record NodeReply(
    string Name,
    string Cluster,
    string Mac,
    string Address,
    string Firmware,
    string? Rack,
    string Power,
    string State,
    string? Environment,
    string? Operation,
    string? Fault,
    bool AgentConnected,
    DateTimeOffset? ChangedAt,
    System.Text.Json.JsonElement? Inventory)
{
    /// <summary>Why it is out of use; null when it is not.</summary>
    public OutOfUseReply? Drained { get; init; }

    /// <summary>What it boots from the network while no operation holds it; null for its local disk.</summary>
    public NodeProfileReply? BootProfile { get; init; }
}

/// <param name="Operation">The deployment that brought it.</param>
/// <param name="Kernel">SHA-256.</param>
public sealed record NodeProfileReply(string Operation, string Kernel, string? Initrd, string Params);

/// <summary>Nodes that boot their local disks again.</summary>
public sealed record ForgottenReply(string Nodes, int Count);

/// <summary>How a node is reached and recognised by ssh.</summary>
/// <param name="HostKeys">Plain host keys of its latest deployments, the newest first.</param>
/// <param name="AuthorityKey">Public key that signs the host keys of this site, or null when none was ever signed.</param>
public sealed record NodeSshReply(string Name, string Address, ImmutableArray<string> HostKeys, string? AuthorityKey);

/// <summary>Asks whether running nodes are still what was deployed.</summary>
/// <param name="Mode"><c>sample</c> or <c>full</c>.</param>
public sealed record VerifyBody(string Nodes, string Mode);

/// <summary>What a running node is, compared with its environment's image.</summary>
/// <param name="State"><c>same</c>, <c>changed</c>, or <c>unknown</c> with the reason in <paramref name="Code"/> and <paramref name="Message"/>.</param>
/// <param name="Compared">Names compared.</param>
/// <param name="Read">Files whose content was read.</param>
/// <param name="Differing">All differences; the first ones are listed.</param>
public sealed record NodeVerifyReply(
    string Node, string? Environment, string State, long Compared, long Read, long Differing, ImmutableArray<string> Differences, string? Code, string? Message);

/// <summary>Name and version of a program, and the version of its API.</summary>
public sealed record VersionReply(string Name, string Version, string Api);

/// <summary>RFC 9457 problem document with Ka's members.</summary>
/// <param name="Code">A code of <c>ka explain</c>.</param>
/// <param name="Errors">Every independent error at once.</param>
public sealed record Problem(string? Type, string? Title, int Status, string? Detail, string Code, string? Next, string? Evidence, ImmutableArray<ProblemError>? Errors);

/// <param name="Pointer">JSON pointer or file:line:column.</param>
public sealed record ProblemError(string? Pointer, string Message, string? Offending, string? Expected, string? Text);
