using System.Collections.Concurrent;
using Ka.Agent.Machine;
using Ka.Agent.Session;
using Ka.Broadcast;
using Ka.Core.Disks;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>What orders work with, and what one order leaves for the next.</summary>
/// <param name="Firmware"><c>bios</c> or <c>uefi</c>.</param>
sealed record OrderContext(AgentPaths Paths, string Firmware, ChainListener Chain, FileFetcher Files, ChainOptions ChainOptions)
{
    /// <summary>The disk that the last disk order worked on; scripts get it in their variables.</summary>
    public TargetDisk? Disk { get; set; }

    /// <summary>File system of the deploy partition, as the last order that named it.</summary>
    public FileSystemKind DeployFileSystem { get; set; }

    /// <summary>Broadcasts that this node still serves to its successors: a machine does not leave before they are done.</summary>
    public Task Serving { get; set; } = Task.CompletedTask;

    /// <summary>How long receiving and unpacking the image took; zero when another life of the agent did it.</summary>
    public TimeSpan Unpacked { get; set; }

    /// <summary>The chains in which this node receives, by the key of their broadcast.</summary>
    public ConcurrentDictionary<string, ChainNode> Receptions { get; } = new(StringComparer.Ordinal);

    /// <summary>Lets a reception that is under way ask others.</summary>
    public void Turn(SourcesChanged changed)
    {
        if (Receptions.TryGetValue(changed.Key, out var node))
        {
            node.Replan([.. changed.Upstreams.Select(u => new ChainPeer(u.Host, u.Port))]);
        }
    }

    public bool IsUefi => Firmware == "uefi";

    /// <summary>Whether the firmware enforces Secure Boot.</summary>
    public bool SecureBoot => IsUefi && Inventory.SecureBoot(Paths);
}

/// <summary>Takes the progress of one order.</summary>
/// <param name="done">Bytes done in this phase.</param>
/// <param name="ring">Of a node that receives in a chain or tree.</param>
delegate void Report(string phase, long done, long? total = null, long bytesIn = 0, long bytesOut = 0, RingSeen? ring = null);
