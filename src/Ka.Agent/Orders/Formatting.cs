using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="FormatPartitions"/>, all partitions at once.</summary>
static class Formatting
{
    public static async Task<OrderOutcome> Run(FormatPartitions order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("format", 0);
        var (disk, fault) = await TargetDisk.Find(context.Paths, order.Select, order.Layout, order.DeployFileSystem, cancel);
        if (disk is null)
        {
            return fault!;
        }
        context.Disk = disk;
        context.DeployFileSystem = disk.Deploy.FileSystem;
        // With only the deploy partition to make, a system that runs from another one keeps what it has mounted.
        if (order.OnlyDeploy && await Mounts.Release(context.Paths, disk.Deploy.Device, cancel) is { } held)
        {
            return held;
        }
        foreach (var each in order.OnlyDeploy ? [] : disk.Disks)
        {
            if (await BlockStack.Unmount(context.Paths, each.Name, cancel) is { } busy)
            {
                return busy;
            }
        }
        var chosen = disk.Partitions.Where(p => p.FileSystem != FileSystemKind.None && !p.Spec.Keep && (p.Spec.Deploy || !order.OnlyDeploy));
        var faults = await Task.WhenAll(chosen.Select(p => Format(p, context.Paths, disk, cancel)));
        return faults.FirstOrDefault(f => f is not null) is { } failed ? failed : OrderOutcome.Done;
    }

    static async Task<Fault?> Format(TargetPartition partition, AgentPaths paths, TargetDisk disk, CancellationToken cancel)
    {
        if (!File.Exists(partition.Device))
        {
            return Fault.Of(FaultCodes.DiskFormatFailed, "A partition of the layout is not on the disk.", partition.Device);
        }
        var sectors = DiskScan.Text(Path.Combine(paths.Sys, "block", disk.Disks[partition.Disk].Name, Path.GetFileName(partition.Device)), "size");
        var bytes = long.TryParse(sectors, out var count) ? count * 512 : 0;
        var (program, arguments) = Command(partition, bytes);
        var made = await Tool.Run(program, arguments, cancel);
        return made.Or(FaultCodes.DiskFormatFailed, $"The file system of '{partition.Spec.Name}' could not be made.");
    }

    /// <summary>The program that makes a file system, with its arguments; the site's own come before the device.</summary>
    /// <param name="bytes">Size of the partition: FAT32 needs 65,525 clusters, so smaller ones are left to mkfs.vfat.</param>
    internal static (string Program, ImmutableArray<string> Arguments) Command(TargetPartition partition, long bytes)
    {
        var label = DiskLayoutRules.LabelOf(partition.Spec, partition.FileSystem);
        ImmutableArray<string> own = partition.Spec.FormatOptions ?? [];
        var device = partition.Device;
        return partition.FileSystem switch
        {
            FileSystemKind.Ext4 => ("mkfs.ext4", ["-F", "-q", "-L", label, .. own, device]),
            FileSystemKind.Xfs => ("mkfs.xfs", ["-f", "-q", "-L", label, .. own, device]),
            FileSystemKind.Btrfs => ("mkfs.btrfs", ["-f", "-q", "-L", label, .. own, device]),
            FileSystemKind.Vfat => ("mkfs.vfat", [.. bytes >= 34 * DiskLayoutRules.MiB ? ["-F", "32"] : ImmutableArray<string>.Empty, "-n", label.ToUpperInvariant(), .. own, device]),
            FileSystemKind.Swap => ("mkswap", ["-L", label, .. own, device]),
            FileSystemKind.None => throw new ArgumentException("There is nothing to make.", nameof(partition)),
        };
    }
}
