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
        if (order.Script is { } script)
        {
            var run = await BlockStack.Release(context.Paths, disk.Disks.Select(d => d.Name), cancel)
                ?? (await Scripting.Run(script, context, report, cancel)).Fault
                ?? await AwaitNodes(context.Paths, disk, null, cancel);
            return run is null ? Found(disk) : run;
        }
        var (tables, refused) = await TablePlan.Of(order, disk, cancel);
        if (refused is not null)
        {
            return refused;
        }
        // From here on the disks change.
        var done = await BlockStack.Release(context.Paths, disk.Disks.Select(d => d.Name), cancel);
        foreach (var table in tables)
        {
            done ??= await WriteTable(context.Paths, disk, table, cancel);
        }
        done ??= await Stacking.Build(disk, order.Key, cancel);
        return done is null ? Found(disk) : done;
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

    /// <summary>
    /// Writes one table. Where partitions are kept, it is written over the old one in one go and nothing is wiped but what is new;
    /// else all signatures go first.
    /// </summary>
    static async Task<Fault?> WriteTable(AgentPaths paths, TargetDisk disk, TablePlan plan, CancellationToken cancel)
    {
        var keeps = plan.Places.Any(p => p.Kept is not null);
        var old = WrittenDisk.PartitionsOf(paths, plan.Facts).Where(d => plan.Places.All(p => p.Kept is null || PartitionPath.Of(plan.Facts.Device, p.Number) != d));
        var wiped = await Tool.Run("wipefs", ["--all", "--force", "--quiet", .. old, .. keeps ? ImmutableArray<string>.Empty : [plan.Facts.Device]], cancel);
        if (wiped.ExitCode != 0 && wiped.Or(FaultCodes.DiskPartitionFailed, "Old signatures could not be wiped.") is { } notWiped)
        {
            return notWiped;
        }
        var written = await Sfdisk(plan.Facts.Device, SfdiskScript.Render(plan.Table, plan.Places, keeps ? plan.Existing : null), keeps ? "never" : "always", cancel);
        if ((written.Or(FaultCodes.DiskPartitionFailed, "The partition table could not be written.") ?? await AwaitNodes(paths, disk, plan, cancel)) is { } failed)
        {
            return failed;
        }
        var fresh = plan.Places.Where(p => p.Kept is null).Select(p => PartitionPath.Of(plan.Facts.Device, p.Number)).ToArray();
        var cleaned = keeps && fresh.Length > 0 ? await Tool.Run("wipefs", ["--all", "--force", "--quiet", .. fresh], cancel) : null;
        return cleaned?.Or(FaultCodes.DiskPartitionFailed, "Old signatures in the new partitions could not be wiped.");
    }

    /// <summary>Something that looks at a disk just released (udev, a scan for signatures) holds it for a moment: sfdisk is tried again.</summary>
    static async Task<ToolOutcome> Sfdisk(string device, string script, string wipe, CancellationToken cancel)
    {
        var begun = Environment.TickCount64;
        while (true)
        {
            var start = Tool.Start("sfdisk", ["--quiet", "--wipe", wipe, "--wipe-partitions", wipe, device]);
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
    static async Task<Fault?> AwaitNodes(AgentPaths paths, TargetDisk disk, TablePlan? plan, CancellationToken cancel)
    {
        var begun = Environment.TickCount64;
        var told = false;
        while (true)
        {
            var awaited = disk.Partitions.Where(p => p.Number > 0 && (plan is null || disk.Disks[p.Disk] == plan.Facts));
            var missing = awaited.Where(p => !IsThere(paths, disk.Disks[p.Disk], p, plan?.Places[p.Number - 1])).Select(p => p.RawDevice).ToList();
            if (missing.Count == 0)
            {
                return null;
            }
            var waited = Environment.TickCount64 - begun;
            if (!told && waited > KernelPatience.TotalMilliseconds)
            {
                told = true;
                await Tool.Run("partx", ["--update", (plan?.Facts ?? disk.Facts).Device], cancel);
            }
            if (waited > NodesPatience.TotalMilliseconds)
            {
                return Fault.Of(FaultCodes.DiskPartitionFailed, "The kernel does not show the new partitions.", string.Join(' ', missing));
            }
            await Task.Delay(20, cancel);
        }
    }

    static bool IsThere(AgentPaths paths, DiskFacts disk, TargetPartition partition, PartitionPlace? place)
    {
        var entry = Path.Combine(paths.Sys, "block", disk.Name, Path.GetFileName(partition.RawDevice));
        if (!File.Exists(partition.RawDevice) || !Directory.Exists(entry))
        {
            return false;
        }
        return place is null
            || (DiskScan.Text(entry, "start") == (place.Start / 512).ToString() && DiskScan.Text(entry, "size") == (place.Bytes / 512).ToString());
    }
}
