using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>The block device that an <see cref="ImagePlace"/> names.</summary>
/// <param name="Disk">The disk that it is or lies on.</param>
/// <param name="Device">The disk itself or one of its partitions.</param>
sealed record WrittenDisk(DiskFacts Disk, string Device)
{
    static readonly TimeSpan BusyPatience = TimeSpan.FromSeconds(5);

    public bool IsWhole => Device == Disk.Device;

    public static async Task<(WrittenDisk? Found, Fault? Fault)> Find(ImagePlace place, AgentPaths paths, CancellationToken cancel)
    {
        if (place.Layout is not { } layout)
        {
            return DiskSelection.TryChoose(place.Select, DiskScan.For(paths, place.Select), out var facts, out var none) ? (new WrittenDisk(facts, facts.Device), null) : (null, none);
        }
        var (disk, fault) = await TargetDisk.Find(paths, place.Select, layout, FileSystemKind.None, cancel);
        if (disk is null)
        {
            return (null, fault);
        }
        return disk.Partitions.FirstOrDefault(p => place.Partition is null ? p.Spec.Deploy : p.Spec.Name == place.Partition) is { } partition
            ? (new WrittenDisk(disk.Facts, partition.Device), null)
            : (null, Fault.Of(FaultCodes.AgentProtocol, "The order names a partition that its layout does not have.", place.Partition));
    }

    /// <summary>Frees the device and opens it, after it has been seen that the image fits; nothing is changed before.</summary>
    public async Task<(BlockDevice? Device, Fault? Fault)> OpenToWrite(ImagePlace place, AgentPaths paths, CancellationToken cancel)
    {
        if (await (IsWhole ? BlockStack.Release(paths, [Disk.Name], cancel) : Mounts.Release(paths, Device, cancel)) is { } busy)
        {
            return (null, busy);
        }
        if (Against(place) is { } unfit)
        {
            return (null, unfit);
        }
        if (IsWhole)
        {
            // Signatures beyond the end of the image (a second GPT, a RAID member) would shine through.
            var wiped = await Tool.Run("wipefs", ["--all", "--force", "--quiet", .. PartitionsOf(paths, Disk), Device], cancel);
            if (wiped.Or(FaultCodes.DiskPartitionFailed, "Old signatures could not be wiped.") is { } notWiped)
            {
                return (null, notWiped);
            }
        }
        return await Open(cancel);
    }

    /// <summary>Something that looks at a disk just released holds it for a moment.</summary>
    async Task<(BlockDevice?, Fault?)> Open(CancellationToken cancel)
    {
        var begun = Environment.TickCount64;
        while (true)
        {
            var (device, fault) = BlockDevice.Open(Device, write: true);
            if (device is not null || Environment.TickCount64 - begun > BusyPatience.TotalMilliseconds)
            {
                return (device, fault);
            }
            await Task.Delay(100, cancel);
        }
    }

    Fault? Against(ImagePlace place)
    {
        var (device, fault) = BlockDevice.Open(Device, write: false);
        if (device is null)
        {
            return fault;
        }
        using (device)
        {
            if (device.Bytes < place.Bytes)
            {
                return Fault.Of(FaultCodes.DiskTooSmall, $"The image has {place.Bytes} bytes, {Device} has {device.Bytes}; nothing was erased.", Disk.ToString());
            }
            return IsWhole && place.SectorBytes != 0 && place.SectorBytes != device.SectorBytes
                ? Fault.Of(FaultCodes.DiskTooSmall, $"The image's partition table counts in sectors of {place.SectorBytes} bytes, {Device} has sectors of {device.SectorBytes}; nothing was erased.", Disk.ToString())
                : null;
        }
    }

    /// <summary>Makes the kernel see the partitions that were written.</summary>
    public async Task<Fault?> RereadTable(CancellationToken cancel)
    {
        var begun = Environment.TickCount64;
        while (true)
        {
            var (device, fault) = BlockDevice.Open(Device, write: false);
            if (device is null)
            {
                return fault;
            }
            int error;
            using (device)
            {
                error = device.RereadTable();
            }
            if (error == 0)
            {
                return null;
            }
            if (BlockDevice.ReadsNoTables(error))
            {
                await Tool.Run("partx", ["--delete", Device], cancel);
                await Tool.Run("partx", ["--add", Device], cancel);
                return null;
            }
            if (Environment.TickCount64 - begun > BusyPatience.TotalMilliseconds)
            {
                return Fault.Of(FaultCodes.DiskPartitionFailed, "The kernel does not take the new partition table.", $"{Device}: {Native.Message(error)}");
            }
            await Task.Delay(100, cancel);
        }
    }

    /// <summary>Partitions that the kernel knows of a disk.</summary>
    public static IEnumerable<string> PartitionsOf(AgentPaths paths, DiskFacts disk) =>
        Directory.EnumerateDirectories(Path.Combine(paths.Sys, "block", disk.Name), disk.Name + "*")
            .Where(d => File.Exists(Path.Combine(d, "partition")))
            .Select(d => "/dev/" + Path.GetFileName(d))
            .Where(File.Exists)
            .Order(NaturalOrder.Comparer);
}
