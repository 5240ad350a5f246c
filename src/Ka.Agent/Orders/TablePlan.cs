using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>The table that one disk will have. Making it looks at the disks and changes nothing.</summary>
/// <param name="Existing">The table that is there now; null when nothing of it is kept.</param>
sealed record TablePlan(DiskFacts Facts, PartitionTableKind Table, ImmutableArray<PartitionPlace> Places, ExistingTable? Existing)
{
    /// <summary>A plan for each disk; or why there is none: what is kept is not there, it does not fit, the image is too large.</summary>
    public static async Task<(ImmutableArray<TablePlan> Plans, Fault? Fault)> Of(PartitionDisk order, TargetDisk disk, CancellationToken cancel)
    {
        var plans = ImmutableArray.CreateBuilder<TablePlan>();
        foreach (var ((table, partitions), facts) in disk.Layout.Disks().Zip(disk.Disks))
        {
            var (plan, fault) = await Of(table, partitions, facts, cancel);
            if (plan is null)
            {
                return ([], fault);
            }
            plans.Add(plan);
        }
        return order.Key is null && disk.Layout.IsEncrypted()
            ? ([], Fault.Of(FaultCodes.AgentProtocol, "The layout is encrypted, and the order brings no key."))
            : (plans.ToImmutable(), TooSmall(disk, [.. plans.SelectMany(p => p.Places)], order.NeedBytes));
    }

    static async Task<(TablePlan? Plan, Fault? Fault)> Of(PartitionTableKind table, ImmutableArray<PartitionSpec> partitions, DiskFacts facts, CancellationToken cancel)
    {
        ExistingTable? existing = null;
        var kept = ImmutableDictionary<string, TableEntry>.Empty;
        if (partitions.Any(p => p.Keep))
        {
            var (read, unread) = await CurrentTable.Read(facts.Device, cancel);
            existing = read;
            if (unread is not null || !KeptPartitions.TryMatch(table, partitions, existing, out kept, out unread))
            {
                return (null, unread);
            }
            if (OtherContent(partitions, facts) is { } other)
            {
                return (null, other);
            }
        }
        return SfdiskScript.TryPlace(table, partitions, facts.Bytes, kept, out var places, out var fault)
            ? (new TablePlan(facts, table, places, existing), null)
            : (null, fault);
    }

    /// <summary>A kept partition must hold the file system that fstab will name.</summary>
    static Fault? OtherContent(ImmutableArray<PartitionSpec> partitions, DiskFacts facts)
    {
        for (var i = 0; i < partitions.Length; i++)
        {
            var device = PartitionPath.Of(facts.Device, i + 1);
            if (partitions[i] is { Keep: true, FileSystem: not FileSystemKind.None } kept && (!File.Exists(device) || SuperBlock.UuidOf(kept.FileSystem, device) is null))
            {
                return Fault.Of(FaultCodes.DiskNotAsKept, "The disk does not hold the partitions that the layout keeps; nothing was erased.", $"'{kept.Name}': {device} holds no {kept.FileSystem} file system");
            }
        }
        return null;
    }

    /// <summary>Why the volumes or the image cannot fit, seen before a byte of the disk changes.</summary>
    internal static Fault? TooSmall(TargetDisk disk, ImmutableArray<PartitionPlace> places, long needBytes)
    {
        if (!LayoutRoom.TryMeasure(disk.Layout, places, out var room, out var fault))
        {
            return fault;
        }
        var deploy = disk.Layout.Deploy().Name;
        return room[deploy] >= needBytes
            ? null
            : Fault.Of(FaultCodes.ArchiveTooLarge, $"The image unpacks to {needBytes} bytes, the partition '{deploy}' of {disk.Device} would have {room[deploy]}; nothing was erased.", string.Join('\n', disk.Disks));
    }
}
