using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="PartitionDisk"/>.</summary>
static class Partitioning
{
    static readonly TimeSpan NodesPatience = TimeSpan.FromSeconds(15);

    static readonly TimeSpan BusyPatience = TimeSpan.FromSeconds(5);

    /// <summary>Time that the kernel gets to show the new partitions by itself before it is told of them one by one.</summary>
    static readonly TimeSpan KernelPatience = TimeSpan.FromMilliseconds(500);

    public static async Task<OrderOutcome> Run(PartitionDisk order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("partition", 0);
        var (disk, fault) = await TargetDisk.Find(context.Paths, order.Select, order.Layout, FileSystemKind.None, cancel);
        if (disk is null)
        {
            return fault!;
        }
        context.Disk = disk;
        if (TooSmall(order, disk.Facts) is { } small)
        {
            return small;
        }
        var done = await Mounts.Release(context.Paths, disk.Device, cancel)
            ?? (order.Script is { } script
                ? (await Scripting.Run(script, context, report, cancel)).Fault ?? await AwaitNodes(context.Paths, disk, null, cancel)
                : await WriteTable(context.Paths, disk, cancel));
        return done is null ? Found(disk) : done;
    }

    /// <summary>Why the image cannot fit, seen before a byte of the disk changes.</summary>
    internal static Fault? TooSmall(PartitionDisk order, DiskFacts disk)
    {
        if (order.Script is not null || order.NeedBytes == 0)
        {
            return null;
        }
        if (!SfdiskScript.TryPlace(order.Layout, disk.Bytes, out var places, out var faults))
        {
            return faults[0];
        }
        var at = 0;
        while (!order.Layout.Partitions[at].Deploy)
        {
            at++;
        }
        return places[at].Bytes >= order.NeedBytes
            ? null
            : Fault.Of(FaultCodes.ArchiveTooLarge, $"The image unpacks to {order.NeedBytes} bytes, the partition '{order.Layout.Partitions[at].Name}' of {disk.Device} would have {places[at].Bytes}; nothing was erased.", disk.ToString());
    }

    static OrderOutcome Found(TargetDisk disk)
    {
        var values = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        values["device"] = disk.Device;
        values["bytes"] = disk.Facts.Bytes.ToString();
        foreach (var partition in disk.Partitions)
        {
            values["partition." + partition.Spec.Name] = partition.Device;
        }
        return new OrderOutcome(null, values.ToImmutable());
    }

    static async Task<Fault?> WriteTable(AgentPaths paths, TargetDisk disk, CancellationToken cancel)
    {
        if (!SfdiskScript.TryPlace(disk.Layout, disk.Facts.Bytes, out var places, out var faults)
            || !SfdiskScript.TryRender(disk.Layout, disk.Facts.Bytes, out var script, out faults))
        {
            return faults[0];
        }
        var wiped = await Tool.Run("wipefs", ["--all", "--force", "--quiet", .. WrittenDisk.PartitionsOf(paths, disk.Facts), disk.Device], cancel);
        if (wiped.Or(FaultCodes.DiskPartitionFailed, "Old signatures could not be wiped.") is { } notWiped)
        {
            return notWiped;
        }
        var written = await Sfdisk(disk.Device, script, cancel);
        return written.Or(FaultCodes.DiskPartitionFailed, "The partition table could not be written.")
            ?? await AwaitNodes(paths, disk, places, cancel);
    }

    /// <summary>Something that looks at a disk just released (udev, a scan for signatures) holds it for a moment: sfdisk is tried again.</summary>
    static async Task<ToolOutcome> Sfdisk(string device, string script, CancellationToken cancel)
    {
        var begun = Environment.TickCount64;
        while (true)
        {
            var start = Tool.Start("sfdisk", ["--quiet", "--wipe", "always", "--wipe-partitions", "always", device]);
            var written = await Tool.Run(start, script, ownGroup: false, cancel);
            var busy = !written.Ok && written.Errors.Contains("in use", StringComparison.Ordinal);
            if (!busy || Environment.TickCount64 - begun > BusyPatience.TotalMilliseconds)
            {
                return written;
            }
            await Task.Delay(200, cancel);
        }
    }

    /// <summary>Waits until the kernel shows the partitions at their places and the devices exist.</summary>
    static async Task<Fault?> AwaitNodes(AgentPaths paths, TargetDisk disk, ImmutableArray<PartitionPlace>? places, CancellationToken cancel)
    {
        var begun = Environment.TickCount64;
        var told = false;
        while (true)
        {
            var missing = disk.Partitions.Where(p => !IsThere(paths, disk, p, places?[p.Number - 1])).Select(p => p.Device).ToList();
            if (missing.Count == 0)
            {
                return null;
            }
            var waited = Environment.TickCount64 - begun;
            if (!told && waited > KernelPatience.TotalMilliseconds)
            {
                told = true;
                await Tool.Run("partx", ["--update", disk.Device], cancel);
            }
            if (waited > NodesPatience.TotalMilliseconds)
            {
                return Fault.Of(FaultCodes.DiskPartitionFailed, "The kernel does not show the new partitions.", string.Join(' ', missing));
            }
            await Task.Delay(20, cancel);
        }
    }

    static bool IsThere(AgentPaths paths, TargetDisk disk, TargetPartition partition, PartitionPlace? place)
    {
        var entry = Path.Combine(paths.Sys, "block", disk.Facts.Name, Path.GetFileName(partition.Device));
        if (!File.Exists(partition.Device) || !Directory.Exists(entry))
        {
            return false;
        }
        return place is null
            || (DiskScan.Text(entry, "start") == (place.Start / 512).ToString() && DiskScan.Text(entry, "size") == (place.Bytes / 512).ToString());
    }
}
