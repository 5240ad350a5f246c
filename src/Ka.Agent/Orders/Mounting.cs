using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="MountTarget"/>.</summary>
static class Mounting
{
    public static async Task<OrderOutcome> Run(MountTarget order, OrderContext context, CancellationToken cancel)
    {
        var (disk, fault) = await TargetDisk.Find(context.Paths, order.Select, order.Layout, order.DeployFileSystem, cancel);
        if (disk is null)
        {
            return fault!;
        }
        context.Disk = disk;
        context.DeployFileSystem = disk.Deploy.FileSystem;
        var target = context.Paths.Target;
        if (await Mounts.Unmount(Mounts.Below(Mounts.Read(context.Paths), target), cancel) is { } busy)
        {
            return busy;
        }
        // A kept partition is not mounted: nothing of the image may get onto it.
        foreach (var partition in disk.Mounted(context.IsUefi).Where(p => !p.Spec.Keep))
        {
            var directory = partition.MountPoint == "/" ? target : TargetPath.Resolve(target, partition.MountPoint!);
            if (directory is null)
            {
                return Fault.Of(FaultCodes.DiskMountFailed, "A mount point leads out of the target.", partition.MountPoint);
            }
            Directory.CreateDirectory(directory);
            if (Mount(partition, directory) is { } failed)
            {
                return failed;
            }
        }
        return OrderOutcome.Found(("device", disk.Device), ("root", disk.Deploy.Device), ("target", target));
    }

    /// <summary>Mounts one partition on a directory that is there.</summary>
    internal static Fault? Mount(TargetPartition partition, string directory)
    {
        var type = partition.FileSystem switch
        {
            FileSystemKind.Ext4 => "ext4",
            FileSystemKind.Xfs => "xfs",
            FileSystemKind.Btrfs => "btrfs",
            FileSystemKind.Vfat => "vfat",
            FileSystemKind.None or FileSystemKind.Swap => throw new ArgumentException("It is not mounted.", nameof(partition)),
        };
        var error = Native.Mount(partition.Device, directory, type);
        return error == 0
            ? null
            : Fault.Of(error == Native.IoError ? FaultCodes.DiskIoError : FaultCodes.DiskMountFailed, "A file system could not be mounted.",
                $"{partition.Device} on {directory} as {type}: {Native.Message(error)}");
    }
}
