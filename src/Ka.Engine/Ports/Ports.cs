using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;

namespace Ka.Engine.Ports;

/// <summary>How one node fared in one step.</summary>
/// <param name="Fault">Null when it went well.</param>
public readonly record struct NodeResult(int Node, Fault? Fault)
{
    public bool Ok => Fault is null;

    public static NodeResult Done(int node) => new(node, null);
}

/// <summary>How roughly a node is taken under control. Each level includes that the earlier ones did not help.</summary>
public enum Level
{
    Soft,
    Hard,
    VeryHard,
}

/// <summary>What is wanted of a node's power.</summary>
public enum PowerAction
{
    On,
    Off,

    /// <summary>By whatever means; a node that is off is switched on.</summary>
    Reboot,

    /// <summary>Off and on again, both observed: what ran before is certainly gone.</summary>
    Cycle,
}

/// <summary>Identifies one try of one step for the nodes of one workflow; every side effect carries it, so that a repetition is seen as one.</summary>
/// <param name="Fence">Grows with each owner of the nodes; an older one is refused.</param>
/// <param name="Run">Number of the node group within the workflow.</param>
/// <param name="Resumed">The server died after it may have caused the effect: look before doing it again.</param>
public sealed record AttemptId(string Workflow, long Fence, int Run, bool Resumed)
{
    /// <summary>The id of the order to one node.</summary>
    public string Order(string step, int node) => $"{Workflow}/{Run}/{step}/{node}";
}

/// <summary>Out-of-band power. The result is what was observed, not what a command claimed.</summary>
public interface IPower
{
    IAsyncEnumerable<NodeResult> ApplyAsync(NodeBits nodes, PowerAction action, Level level, AttemptId attempt, Pace pace, CancellationToken cancel);
}

/// <summary>What a node boots next.</summary>
public enum BootChoice
{
    Minimal,
    LocalDisk,

    /// <summary>The boot profile that the workflow brings; it stays when the workflow has ended.</summary>
    Profile,
}

/// <summary>Boot profiles and what is seen of booting machines.</summary>
public interface IBoot
{
    /// <summary>Makes the profile durable and visible to the boot service; a minimal profile gets a fresh nonce and credential.</summary>
    IAsyncEnumerable<NodeResult> ChooseAsync(NodeBits nodes, BootChoice choice, AttemptId attempt, CancellationToken cancel);
}

/// <summary>Who has come up.</summary>
public interface IPresence
{
    /// <summary>Each node whose agent of the current boot nonce is connected; the fault says how far the boot came.</summary>
    IAsyncEnumerable<NodeResult> AgentsAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel);

    /// <summary>Each node that has fetched the kernel of its boot profile from the network.</summary>
    IAsyncEnumerable<NodeResult> LoadedAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel);

    /// <summary>Each node whose deployed system answers on ssh with the host key made for this deployment; without a known key, any system.</summary>
    IAsyncEnumerable<NodeResult> DeployedAsync(NodeBits nodes, AttemptId attempt, Pace pace, CancellationToken cancel);
}

/// <summary>What an agent can be asked to do; the adapter turns it into a typed order with the workflow's data.</summary>
public enum AgentTask
{
    SitePreInstall,
    PreInstall,
    Partition,
    Format,
    FormatDeploy,
    Mount,
    Reformat,
    Verify,
    Identity,
    HostCertificate,
    Network,
    Files,
    PostInstall,
    Keys,
    Bootloader,
    Sync,
    Kexec,
    Reboot,
    VerifyBlocks,
    Grow,
    Seed,
}

/// <summary>Orders to agents.</summary>
public interface IAgents
{
    IAsyncEnumerable<NodeResult> DoAsync(NodeBits nodes, AgentTask task, AttemptId attempt, Pace pace, CancellationToken cancel);

    /// <param name="again">0 for the first try of this operation within the attempt; each further one is a new order.</param>
    IAsyncEnumerable<NodeResult> OperateAsync(NodeBits nodes, CustomOperation operation, int again, AttemptId attempt, Pace pace, CancellationToken cancel);
}

/// <summary>What is done in a system that runs on a node, without its firmware.</summary>
public enum SystemTask
{
    /// <summary>Jumps into the minimal environment.</summary>
    KexecMinimal,

    /// <summary>Takes over an agent that rests in the minimal environment, or starts one in the system that runs.</summary>
    StartAgent,

    /// <summary>Starts an agent in the system that runs, when its root is not the deploy partition.</summary>
    StartAgentBeside,
}

/// <summary>Systems that run on nodes and let the server in by ssh; only with a host key that is known.</summary>
public interface ISystems
{
    IAsyncEnumerable<NodeResult> DoAsync(NodeBits nodes, SystemTask task, AttemptId attempt, Pace pace, CancellationToken cancel);
}

/// <summary>Sends an image of the workflow to all nodes at once, in one way.</summary>
public interface IBroadcast
{
    /// <param name="part">Which image of the environment; 0 is the first.</param>
    IAsyncEnumerable<NodeResult> SendAsync(NodeBits nodes, int part, AttemptId attempt, Pace pace, CancellationToken cancel);
}

/// <summary>The switch ports of nodes.</summary>
public interface INetwork
{
    /// <summary>Puts the ports into a VLAN; those that are there already stay.</summary>
    IAsyncEnumerable<NodeResult> PlaceAsync(NodeBits nodes, string vlan, AttemptId attempt, Pace pace, CancellationToken cancel);
}

/// <summary>Everything outside the engine, for one workflow.</summary>
/// <param name="Broadcast">The port of each way to broadcast.</param>
public sealed record World(TimeProvider Clock, IPower Power, IBoot Boot, IPresence Presence, IAgents Agents, Func<BroadcastWay, IBroadcast> Broadcast, ISystems Systems)
{
    public required INetwork Network { get; init; }
}
