using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>One partition of the layout and its device.</summary>
/// <param name="FileSystem">What is made on it; for the deploy partition what the environment wants.</param>
/// <param name="MountPoint">Where the deployed system mounts it, or null.</param>
sealed record TargetPartition(PartitionSpec Spec, int Number, string Device, FileSystemKind FileSystem, string? MountPoint);

/// <summary>The disk that was chosen, with its partitions.</summary>
sealed record TargetDisk(DiskFacts Facts, DiskLayout Layout, ImmutableArray<TargetPartition> Partitions)
{
    static readonly TimeSpan AppearPatience = TimeSpan.FromSeconds(10);

    public string Device => Facts.Device;

    public TargetPartition Deploy => Partitions.First(p => p.Spec.Deploy);

    /// <summary>What is mounted in the target, the root first and then by depth. The ESP belongs to UEFI machines only.</summary>
    public IEnumerable<TargetPartition> Mounted(bool uefi) => Partitions
        .Where(p => p.MountPoint is not null && p.FileSystem is not (FileSystemKind.None or FileSystemKind.Swap))
        .Where(p => uefi || p.Spec.Type != PartitionType.EfiSystem)
        .OrderBy(p => p.MountPoint == "/" ? 0 : p.MountPoint!.Count(c => c == '/'))
        .ThenBy(p => p.MountPoint, StringComparer.Ordinal);

    /// <summary>Chooses the disk; waits some seconds for one that its driver has not yet found.</summary>
    public static async Task<(TargetDisk? Disk, Fault? Fault)> Find(
        AgentPaths paths, DiskSelector select, DiskLayout layout, FileSystemKind deployFileSystem, CancellationToken cancel)
    {
        if (DiskLayoutRules.Check(layout) is [var wrong, ..])
        {
            return (null, wrong);
        }
        var begun = Environment.TickCount64;
        while (true)
        {
            if (DiskSelection.TryChoose(select, DiskScan.For(paths, select), out var facts, out var fault))
            {
                return (Of(facts, layout, deployFileSystem), null);
            }
            if (Environment.TickCount64 - begun > AppearPatience.TotalMilliseconds)
            {
                return (null, fault);
            }
            await Task.Delay(100, cancel);
        }
    }

    /// <param name="deployFileSystem">What the environment wants on the deploy partition; None leaves the layout's.</param>
    public static TargetDisk Of(DiskFacts facts, DiskLayout layout, FileSystemKind deployFileSystem)
    {
        var partitions = layout.Partitions.Select((spec, i) => new TargetPartition(
            spec,
            spec.Number ?? i + 1,
            PartitionPath.Of(facts.Device, spec.Number ?? i + 1),
            spec.Deploy && deployFileSystem != FileSystemKind.None ? deployFileSystem : spec.FileSystem,
            spec.Deploy ? "/" : spec.MountPoint ?? (spec is { Type: PartitionType.EfiSystem, FileSystem: FileSystemKind.Vfat } ? "/boot/efi" : null)));
        return new TargetDisk(facts, layout, [.. partitions]);
    }
}
