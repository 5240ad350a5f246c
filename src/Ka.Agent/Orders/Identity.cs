using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="SetIdentity"/>.</summary>
/// <remarks>Result values: <c>hostKey</c>, and <c>files</c>: the paths of the target that now differ from the archive, one on each line.</remarks>
static class Identity
{
    const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    public static async Task<OrderOutcome> Run(SetIdentity order, OrderContext context, CancellationToken cancel)
    {
        if (!Fstab.IsHostName(order.HostName))
        {
            return Fault.Of(FaultCodes.AgentProtocol, "This is not a host name.", order.HostName);
        }
        var (disk, fault) = await TargetDisk.Find(context.Paths, order.Select, order.Layout, order.DeployFileSystem, cancel);
        if (disk is null)
        {
            return fault!;
        }
        try
        {
            return await Write(order, disk, context, cancel);
        }
        catch (IOException e)
        {
            var full = e.Message.Contains("No space left", StringComparison.Ordinal);
            return Fault.Of(full ? FaultCodes.DiskFull : FaultCodes.DiskIoError, "The identity could not be written into the target.", e.Message);
        }
    }

    static async Task<OrderOutcome> Write(SetIdentity order, TargetDisk disk, OrderContext context, CancellationToken cancel)
    {
        var (target, hostName) = (context.Paths.Target, order.HostName);
        var (fstab, unknown) = Entries(disk, context.IsUefi);
        if ((unknown ?? DeployedStack.Lacking(disk.Layout, target)) is { } refused)
        {
            return refused;
        }
        var (stackFiles, unread) = await DeployedStack.Write(disk, target, cancel);
        if (unread is not null)
        {
            return unread;
        }
        var (keyPair, fault) = await HostKey(Fstab.ShortName(hostName), context.Paths, cancel);
        if (fault is not null)
        {
            return fault;
        }
        var files = new SortedSet<string>(stackFiles, StringComparer.Ordinal)
        {
            TargetPath.Write(target, "/etc/hostname", Fstab.ShortName(hostName) + "\n", TargetPath.PublicFile),
            TargetPath.Write(target, "/etc/hosts", Fstab.Hosts(TargetPath.Read(target, "/etc/hosts"), hostName), TargetPath.PublicFile),
        };
        if (!order.KeepFstab)
        {
            files.Add(TargetPath.Write(target, "/etc/fstab", Fstab.Render(fstab), TargetPath.PublicFile));
        }
        if (TargetPath.Read(target, "/etc/machine-id") is not null)
        {
            files.Add(TargetPath.Write(target, "/etc/machine-id", "", TargetPath.PublicFile)); // systemd makes a new one of an empty file
        }
        if (TargetPath.Resolve(target, "/var/lib/dbus/machine-id", followLast: false) is { } dbus && new FileInfo(dbus) is { Exists: true, LinkTarget: null })
        {
            File.Delete(dbus);
            files.Add(TargetPath.Inside(target, dbus));
        }
        files.UnionWith(RemoveHostKeys(target));
        files.Add(TargetPath.Write(target, "/etc/ssh/ssh_host_ed25519_key", keyPair.Private, Secret, force: true));
        files.Add(TargetPath.Write(target, "/etc/ssh/ssh_host_ed25519_key.pub", keyPair.Public + "\n", TargetPath.PublicFile, force: true));
        return OrderOutcome.Found(
            ("hostKey", string.Join(' ', keyPair.Public.Split(' ').Take(2))),
            ("rootUuid", fstab[0].Uuid),
            ("files", string.Join('\n', files)));
    }

    /// <summary>Root first, then what is mounted below it, then swap.</summary>
    static (ImmutableArray<FstabEntry> Entries, Fault? Fault) Entries(TargetDisk disk, bool uefi)
    {
        var entries = ImmutableArray.CreateBuilder<FstabEntry>();
        foreach (var partition in disk.Mounted(uefi).Concat(disk.Partitions.Where(p => p.FileSystem == FileSystemKind.Swap)))
        {
            if (SuperBlock.UuidOf(partition.FileSystem, partition.Device) is not { } uuid)
            {
                return ([], Fault.Of(FaultCodes.DiskMismatch, "A partition does not hold the file system that was made on it.", $"{partition.Device}: no {partition.FileSystem} superblock"));
            }
            entries.Add(new FstabEntry(uuid, partition.FileSystem == FileSystemKind.Swap ? null : partition.MountPoint, partition.FileSystem));
        }
        return (entries.ToImmutable(), null);
    }

    /// <summary>A host key made now and on this machine: every deployment has its own.</summary>
    static async Task<((string Private, string Public) Pair, Fault? Fault)> HostKey(string host, AgentPaths paths, CancellationToken cancel)
    {
        var directory = Path.Combine(paths.Run, "hostkey-" + Guid.NewGuid().ToString("n"));
        Directory.CreateDirectory(directory, Secret | UnixFileMode.UserExecute);
        try
        {
            var file = Path.Combine(directory, "key");
            var made = await Tool.Run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", $"root@{host}", "-f", file], cancel);
            return made.Or(FaultCodes.ScriptFailed, "The ssh host key could not be made.") is { } fault
                ? (default, fault)
                : ((await File.ReadAllTextAsync(file, cancel), (await File.ReadAllTextAsync(file + ".pub", cancel)).Trim()), null);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>The image's own host keys are known to everybody who has the image.</summary>
    static List<string> RemoveHostKeys(string target)
    {
        var removed = new List<string>();
        if (TargetPath.Resolve(target, "/etc/ssh") is not { } directory || !Directory.Exists(directory))
        {
            return removed;
        }
        foreach (var file in Directory.EnumerateFiles(directory, "ssh_host_*"))
        {
            File.Delete(file); // a link is removed, not what it points to
            removed.Add(TargetPath.Inside(target, file));
        }
        return removed;
    }
}
