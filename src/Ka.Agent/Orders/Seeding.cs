using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="SeedCloudInit"/>.</summary>
static class Seeding
{
    /// <summary>Where cloud-init looks for NoCloud data in the root file system.</summary>
    public const string Directory = "/var/lib/cloud/seed/nocloud";

    const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    const long PartitionBytes = 4 << 20;

    public static async Task<OrderOutcome> Run(SeedCloudInit order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("seed", 0);
        if (order.Files.Keys.FirstOrDefault(n => n is not ("user-data" or "meta-data" or "network-config" or "vendor-data")) is { } strange)
        {
            return Fault.Of(FaultCodes.AgentProtocol, "cloud-init reads no such file.", strange);
        }
        try
        {
            return order.OnPartition ? await OnPartition(order, context, cancel) : InRoot(order, context.Paths);
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.DiskIoError, "The data for cloud-init could not be written.", e.Message);
        }
    }

    static OrderOutcome InRoot(SeedCloudInit order, AgentPaths paths)
    {
        if (Mounts.Below(Mounts.Read(paths), paths.Target).IsEmpty)
        {
            return Fault.Of(FaultCodes.DiskMountFailed, "The target is not mounted.", paths.Target);
        }
        foreach (var (name, content) in order.Files)
        {
            TargetPath.Write(paths.Target, $"{Directory}/{name}", content, Private, force: true);
        }
        return OrderOutcome.Found(("seed", Directory));
    }

    /// <summary>A FAT partition with the label that cloud-init looks for, in the space behind the image.</summary>
    static async Task<OrderOutcome> OnPartition(SeedCloudInit order, OrderContext context, CancellationToken cancel)
    {
        var (disk, missing) = await WrittenDisk.Find(new ImagePlace(order.Select, null, null, 0), context.Paths, cancel);
        if (disk is null)
        {
            return missing!;
        }
        var before = WrittenDisk.PartitionsOf(context.Paths, disk.Disk).ToHashSet(StringComparer.Ordinal);
        var moved = await Tool.Run("sfdisk", ["--no-reread", "--no-tell-kernel", "--relocate", "gpt-bak-std", disk.Device], cancel);
        var made = await Tool.Run(
            Tool.Start("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", "--append", "--wipe", "never", "--wipe-partitions", "always", disk.Device]),
            $"size={PartitionBytes / 1024}KiB\n", ownGroup: false, cancel);
        if (made.Or(FaultCodes.DiskPartitionFailed, $"There is no room behind the image for the data of cloud-init ({moved.Errors.Trim()}).") is { } noRoom)
        {
            return noRoom;
        }
        if (await disk.RereadTable(cancel) is { } unread)
        {
            return unread;
        }
        if (WrittenDisk.PartitionsOf(context.Paths, disk.Disk).FirstOrDefault(p => !before.Contains(p)) is not { } device)
        {
            return Fault.Of(FaultCodes.DiskPartitionFailed, "The kernel does not show the new partition.", disk.Device);
        }
        var formatted = await Tool.Run("mkfs.vfat", ["-n", "CIDATA", device], cancel);
        return formatted.Or(FaultCodes.DiskFormatFailed, "The file system for cloud-init could not be made.") is { } unformatted
            ? unformatted
            : await Fill(order, device, context.Paths, cancel) is { } fault ? fault : OrderOutcome.Found(("seed", device));
    }

    static async Task<Fault?> Fill(SeedCloudInit order, string device, AgentPaths paths, CancellationToken cancel)
    {
        var directory = Path.Combine(paths.Run, "cidata");
        System.IO.Directory.CreateDirectory(directory);
        if (Native.Mount(device, directory, "vfat") is not 0 and var error)
        {
            return Fault.Of(FaultCodes.DiskMountFailed, "The partition for cloud-init could not be mounted.", $"{device}: {Native.Message(error)}");
        }
        try
        {
            foreach (var (name, content) in order.Files)
            {
                await File.WriteAllTextAsync(Path.Combine(directory, name), content, cancel);
            }
            return Native.SyncFileSystem(directory) is not 0 and var unwritten ? Fault.Of(FaultCodes.DiskIoError, "The data for cloud-init could not be written.", Native.Message(unwritten)) : null;
        }
        finally
        {
            await Mounts.Unmount([new MountEntry(directory, "vfat", device)], CancellationToken.None);
        }
    }
}
