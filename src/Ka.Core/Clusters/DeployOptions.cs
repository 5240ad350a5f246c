using Ka.Core.BootProfiles;

namespace Ka.Core.Clusters;

/// <summary>What a person asks for beside environment and nodes. What concerns the cluster (strategies, layouts, operations) is already in the cluster that is asked for.</summary>
public sealed record DeployOptions
{
    public static readonly DeployOptions Default = new();

    /// <summary>False leaves the partition table and every partition but the deploy partition as they are.</summary>
    public bool Partitioning { get; init; } = true;

    /// <summary>False leaves the image's own way to boot as it is.</summary>
    public bool Bootloader { get; init; } = true;

    /// <summary>Where the nodes are left as they are: <c>MACRO</c> (before it) or <c>MACRO:STEP</c> (before that micro step); null for nowhere.</summary>
    public string? Breakpoint { get; init; }

    /// <summary>What the nodes boot from the network at the end in place of their local disk; null for the disk.</summary>
    public ProfileTemplate? Profile { get; init; }

    /// <summary>Where the switch ports of the nodes are put; null leaves them.</summary>
    public VlanWish? Vlan { get; init; }

    /// <summary>How the images come to the nodes; null in operations that were accepted before there was a choice.</summary>
    public BroadcastChoice? Broadcast { get; init; }
}
