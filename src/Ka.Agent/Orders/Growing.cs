using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="GrowImage"/>. Done again it finds nothing to do.</summary>
static class Growing
{
    public static async Task<OrderOutcome> Run(GrowImage order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("grow", 0);
        var (found, missing) = await WrittenDisk.Find(order.Place, context.Paths, cancel);
        if (found is null)
        {
            return missing!;
        }
        if (await Mounts.Release(context.Paths, found.Device, cancel) is { } busy)
        {
            return busy;
        }
        if (!found.IsWhole)
        {
            return await FileSystem(found.Device, context, cancel) is { } fault ? fault : OrderOutcome.Found(("grown", found.Device));
        }
        var (table, unread) = Table(found.Device);
        if (table is null || table.Partitions.IsEmpty)
        {
            return unread ?? Fault.Of(FaultCodes.DiskPartitionFailed, "The image has no partition table whose last partition could grow.", found.Device);
        }
        var last = table.Partitions.MaxBy(p => p.Start)!;
        var device = PartitionPath.Of(found.Device, last.Number);
        var failed = await Partition(found, table.Kind, last.Number, cancel) ?? await found.RereadTable(cancel) ?? await FileSystem(device, context, cancel);
        return failed is null ? OrderOutcome.Found(("grown", device), ("bytes", Bytes(device).ToString())) : failed;
    }

    static async Task<Fault?> Partition(WrittenDisk disk, PartitionTableKind kind, int number, CancellationToken cancel)
    {
        if (kind == PartitionTableKind.Gpt)
        {
            var moved = await Tool.Run("sfdisk", ["--no-reread", "--no-tell-kernel", "--relocate", "gpt-bak-std", disk.Device], cancel);
            if (moved.Or(FaultCodes.DiskPartitionFailed, "The second GPT header could not be moved to the end of the disk.") is { } notMoved)
            {
                return notMoved;
            }
        }
        ImmutableArray<string> arguments = ["--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", "--wipe-partitions", "never", "-N", $"{number}", disk.Device];
        var grown = await Tool.Run(Tool.Start("sfdisk", arguments), ", +\n", ownGroup: false, cancel);
        return grown.Or(FaultCodes.DiskPartitionFailed, $"Partition {number} could not be grown.");
    }

    static async Task<Fault?> FileSystem(string device, OrderContext context, CancellationToken cancel)
    {
        var first = new byte[FileSystemSignature.BytesWithBtrfs];
        using (var file = new FileStream(device, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0))
        {
            file.ReadAtLeast(first, first.Length, throwOnEndOfStream: false);
        }
        return FileSystemSignature.Read(first)?.Kind switch
        {
            FileSystemKind.Ext4 => await Ext4(device, cancel),
            FileSystemKind.Xfs => await Mounted(device, "xfs", "xfs_growfs", [], context, cancel),
            FileSystemKind.Btrfs => await Mounted(device, "btrfs", "btrfs", ["filesystem", "resize", "max"], context, cancel),
            FileSystemKind.Vfat or FileSystemKind.Swap or FileSystemKind.None or null => null, // the partition has grown, and nothing in it can
        };
    }

    static async Task<Fault?> Ext4(string device, CancellationToken cancel)
    {
        // resize2fs asks for a check first; status 1 says that something was mended.
        var check = await Tool.Run("e2fsck", ["-f", "-p", device], cancel);
        if (check.ExitCode > 1)
        {
            return check.Or(FaultCodes.DiskMismatch, "The file system of the image is damaged.");
        }
        return (await Tool.Run("resize2fs", [device], cancel)).Or(FaultCodes.DiskFormatFailed, "The ext4 file system could not be grown.");
    }

    /// <summary>XFS and btrfs grow while they are mounted.</summary>
    static async Task<Fault?> Mounted(string device, string type, string program, string[] arguments, OrderContext context, CancellationToken cancel)
    {
        var directory = Path.Combine(context.Paths.Run, "grow");
        Directory.CreateDirectory(directory);
        if (Native.Mount(device, directory, type) is not 0 and var error)
        {
            return Fault.Of(FaultCodes.DiskMountFailed, "The file system could not be mounted to grow it.", $"{device}: {Native.Message(error)}");
        }
        var grown = await Tool.Run(program, [.. arguments, directory], CancellationToken.None);
        return await Mounts.Unmount([new MountEntry(directory, type, device)], cancel) ?? grown.Or(FaultCodes.DiskFormatFailed, "The file system could not be grown.");
    }

    static unsafe (ImageTable? Table, Fault? Fault) Table(string path)
    {
        var (device, fault) = BlockDevice.Open(path, write: false);
        if (device is null)
        {
            return (null, fault);
        }
        using (device)
        {
            var head = (byte*)NativeMemory.AlignedAlloc(ImageTable.HeadBytes, BlockDevice.Alignment);
            try
            {
                return device.Read(head, (int)Math.Min(ImageTable.HeadBytes, device.Bytes), 0) is { } unread
                    ? (null, unread)
                    : ImageTable.Read(new ReadOnlySpan<byte>(head, (int)Math.Min(ImageTable.HeadBytes, device.Bytes)), device.Bytes);
            }
            finally
            {
                NativeMemory.AlignedFree(head);
            }
        }
    }

    static long Bytes(string path)
    {
        var (device, _) = BlockDevice.Open(path, write: false);
        using (device)
        {
            return device?.Bytes ?? 0;
        }
    }
}
