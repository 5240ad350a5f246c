using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Makes what lies over the partitions of a layout: arrays, opened LUKS devices, volume groups with their volumes.</summary>
static class Stacking
{
    /// <summary>
    /// LVM as this system needs it: no udev, no file of known devices, no backups of metadata on a disk in memory.
    /// </summary>
    const string LvmSettings = "devices{use_devicesfile=0 obtain_device_list_from_udev=0} activation{udev_sync=0 udev_rules=0 monitoring=0} backup{backup=0 archive=0}";

    /// <summary>
    /// The key has 160 random bits: stretching it would add nothing but time at every boot, and the memory of argon2 is more than small
    /// machines have in their initramfs.
    /// </summary>
    static readonly ImmutableArray<string> KeyStretching = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];

    /// <summary>What the kernel must know; it loads the rest by itself.</summary>
    static readonly ImmutableArray<string> Modules = ["dm_mod", "dm_crypt", "md_mod", "raid0", "raid1"];

    public static async Task<Fault?> Build(TargetDisk disk, DiskKey? key, CancellationToken cancel)
    {
        var layout = disk.Layout;
        if (layout.RaidArrays().IsEmpty && layout.VolumeGroups().IsEmpty && !layout.IsEncrypted())
        {
            return null;
        }
        await Tool.Run("modprobe", ["-a", "-q", .. Modules], cancel); // what is built in needs no loading; a lack shows below
        Directory.CreateDirectory("/run/lock/lvm");
        Directory.CreateDirectory("/run/cryptsetup");
        Fault? fault = null;
        foreach (var array in layout.RaidArrays())
        {
            fault ??= await Array(array, disk, cancel);
        }
        foreach (var part in disk.Partitions.Where(p => p.Spec.Encrypted && !IsVolume(layout, p.Spec)))
        {
            fault ??= await Encrypt(part, key!, cancel);
        }
        foreach (var group in layout.VolumeGroups())
        {
            fault ??= await Group(group, disk, cancel);
        }
        foreach (var part in disk.Partitions.Where(p => p.Spec.Encrypted && IsVolume(layout, p.Spec)))
        {
            fault ??= await Encrypt(part, key!, cancel);
        }
        return fault;
    }

    static bool IsVolume(DiskLayout layout, PartitionSpec spec) => layout.VolumeGroups().Any(g => g.Volumes.Any(v => v.Name == spec.Name));

    /// <summary>mdadm's arguments; nothing of an older array on the members counts.</summary>
    internal static ImmutableArray<string> ArrayArguments(RaidArray array, IEnumerable<string> members) =>
    [
        "--create", StackedPath.Array(array.Content.Name), "--run", "--quiet", $"--level={array.Level}", $"--raid-devices={array.Members.Length}",
        "--metadata=1.2", $"--data-offset={LayoutRoom.RaidOffset / DiskLayoutRules.MiB}M", "--homehost=any", $"--name={array.Content.Name}",
        // a mirror without bitmap would be copied whole after each unclean stop
        .. array.Level == 1 ? ["--bitmap=internal"] : ImmutableArray<string>.Empty,
        .. members,
    ];

    static async Task<Fault?> Array(RaidArray array, TargetDisk disk, CancellationToken cancel)
    {
        var made = await StackTool.Run("mdadm", ArrayArguments(array, array.Members.Select(m => disk.Named(m).Device)), cancel);
        return made.Or(FaultCodes.DiskStackFailed, $"The RAID array '{array.Content.Name}' could not be made.");
    }

    /// <summary>The key goes through standard input, never through an argument.</summary>
    static async Task<Fault?> Encrypt(TargetPartition part, DiskKey key, CancellationToken cancel)
    {
        var name = StackedPath.Opened(part.Spec.Name);
        var made = await StackTool.Run("cryptsetup", ["luksFormat", "--batch-mode", "--type", "luks2", .. KeyStretching, "--key-file=-", part.RawDevice], cancel, key.Value);
        if (made.Or(FaultCodes.DiskStackFailed, $"'{part.Spec.Name}' could not be encrypted.") is { } failed)
        {
            return failed;
        }
        var opened = await StackTool.Run("cryptsetup", ["open", "--type", "luks2", "--allow-discards", "--key-file=-", part.RawDevice, name], cancel, key.Value);
        return opened.Or(FaultCodes.DiskStackFailed, $"The encrypted '{part.Spec.Name}' could not be opened.");
    }

    static async Task<Fault?> Group(VolumeGroup group, TargetDisk disk, CancellationToken cancel)
    {
        var members = group.Members.Select(m => disk.Named(m).Device).ToImmutableArray();
        var size = $"{LayoutRoom.Extent / DiskLayoutRules.MiB}m";
        var message = $"The volume group '{group.Name}' could not be made.";
        var fault = await Lvm(message, members, ["pvcreate", "--yes", "-ff", "--dataalignment", "1m", .. members], cancel)
            ?? await Lvm(message, members, ["vgcreate", "--yes", "--physicalextentsize", size, group.Name, .. members], cancel);
        foreach (var volume in group.Volumes)
        {
            ImmutableArray<string> room = volume.Bytes is { } bytes ? ["--size", $"{bytes}b"] : ["--extents", "100%FREE"];
            fault ??= await Lvm(
                $"The logical volume '{volume.Name}' could not be made.",
                members,
                ["lvcreate", "--yes", "--wipesignatures", "y", "--zero", "y", .. room, "--name", volume.Name, group.Name],
                cancel);
        }
        return fault;
    }

    /// <summary>LVM sees the group's members only: a disk beside them may hold a group of the same name.</summary>
    static async Task<Fault?> Lvm(string message, ImmutableArray<string> members, ImmutableArray<string> command, CancellationToken cancel)
    {
        var ran = await StackTool.Run("lvm", [command[0], "--config", LvmSettings, "--devices", string.Join(',', members), .. command[1..]], cancel);
        return ran.Or(FaultCodes.DiskStackFailed, message);
    }
}
