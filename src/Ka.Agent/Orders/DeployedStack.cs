using System.Collections.Immutable;
using System.Text;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>One line of crypttab(5).</summary>
/// <param name="Name">Of the opened device.</param>
/// <param name="Uuid">Of the LUKS header.</param>
sealed record CrypttabEntry(string Name, string Uuid)
{
    /// <param name="key">Path of a key in the initramfs, or <c>none</c>: ask at the console.</param>
    public string Line(string key) => $"{Name} UUID={Uuid} {key} luks,discard,initramfs\n";
}

/// <summary>What the deployed system needs to know of arrays, encryption and volume groups, and whether it can.</summary>
static class DeployedStack
{
    const string Hooks = "/usr/share/initramfs-tools/hooks/";

    /// <summary>The packages that a layout needs in the image, by what shows that they are there.</summary>
    static IEnumerable<(string Package, string Program, string Hook, string Why)> Needs(DiskLayout layout)
    {
        if (!layout.VolumeGroups().IsEmpty)
        {
            yield return ("lvm2", "lvm", "lvm2", "a volume group");
        }
        if (!layout.RaidArrays().IsEmpty)
        {
            yield return ("mdadm", "mdadm", "mdadm", "a RAID array");
        }
        if (layout.IsEncrypted())
        {
            yield return ("cryptsetup-initramfs", "cryptsetup", "cryptroot", "an encrypted root");
        }
    }

    /// <summary>The package that the unpacked image lacks for this layout, as a fault; null when it has all.</summary>
    public static Fault? Lacking(DiskLayout layout, string target)
    {
        foreach (var (package, program, hook, why) in Needs(layout))
        {
            var renews = Bootloader.OfImage(target, "update-initramfs") is not null;
            var opens = renews ? TargetPath.Exists(target, Hooks + hook) : !layout.IsEncrypted() && Bootloader.OfImage(target, "dracut") is not null;
            if (Bootloader.OfImage(target, program) is null || !opens)
            {
                return Fault.Of(FaultCodes.ImageLacksPackage, $"The layout has {why}; the image lacks the package '{package}'.", $"looked for {program} and {Hooks}{hook}, or dracut");
            }
        }
        return null;
    }

    /// <summary>Writes crypttab and mdadm.conf; gives the paths written.</summary>
    public static async Task<(ImmutableArray<string> Files, Fault? Fault)> Write(TargetDisk disk, string target, CancellationToken cancel)
    {
        var files = ImmutableArray.CreateBuilder<string>();
        if (disk.Layout.IsEncrypted())
        {
            if (Encrypted(disk).Any(e => e.Uuid.Length == 0))
            {
                return ([], Fault.Of(FaultCodes.DiskMismatch, "An encrypted device has no LUKS header any more."));
            }
            var lines = Encrypted(disk).Select(e => e.Line("none"));
            files.Add(TargetPath.Write(target, "/etc/crypttab", "# Written by Ka when this system was deployed.\n" + string.Concat(lines), TargetPath.PublicFile));
        }
        if (!disk.Layout.RaidArrays().IsEmpty)
        {
            var uuids = ImmutableArray.CreateBuilder<(string Device, string Uuid)>();
            foreach (var array in disk.Layout.RaidArrays())
            {
                var device = StackedPath.Array(array.Content.Name);
                var detail = await StackTool.Run("mdadm", ["--detail", "--export", device], cancel);
                if (detail.Or(FaultCodes.DiskStackFailed, "The RAID array is not there.") is { } missing)
                {
                    return ([], missing);
                }
                var uuid = detail.Output.Split('\n').FirstOrDefault(l => l.StartsWith("MD_UUID=", StringComparison.Ordinal))?["MD_UUID=".Length..];
                uuids.Add((device, uuid ?? ""));
            }
            var path = TargetPath.Exists(target, "/etc/mdadm") ? "/etc/mdadm/mdadm.conf" : "/etc/mdadm.conf";
            files.Add(TargetPath.Write(target, path, MdadmConfiguration(uuids), TargetPath.PublicFile));
        }
        return (files.ToImmutable(), null);
    }

    internal static string MdadmConfiguration(IEnumerable<(string Device, string Uuid)> arrays)
    {
        var text = new StringBuilder("# Written by Ka when this system was deployed.\nHOMEHOST <ignore>\nMAILADDR root\n");
        foreach (var (device, uuid) in arrays)
        {
            text.Append($"ARRAY {device} metadata=1.2 UUID={uuid}\n");
        }
        return text.ToString();
    }

    /// <summary>The encrypted devices of the layout with the UUIDs of their headers.</summary>
    public static IEnumerable<CrypttabEntry> Encrypted(TargetDisk disk) => disk.Partitions
        .Where(p => p.Spec.Encrypted)
        .Select(p => new CrypttabEntry(StackedPath.Opened(p.Spec.Name), SuperBlock.LuksUuid(p.RawDevice) ?? ""));

    /// <summary>
    /// Lets the image make its initramfs anew where that must know of files written just now: mdadm.conf, crypttab. Volume groups need
    /// nothing of the kind: Debian's initramfs opens any as soon as lvm2 is installed; dracut's opens what it was made on.
    /// </summary>
    public static async Task<Fault?> RenewInitramfs(
        DiskLayout layout, string target, Func<string, ImmutableArray<string>, CancellationToken, Task<ToolOutcome>> chroot, Report report, CancellationToken cancel)
    {
        var debian = Bootloader.OfImage(target, "update-initramfs");
        if (!Needs(layout).Any() || (debian is not null && layout.RaidArrays().IsEmpty && !layout.IsEncrypted()))
        {
            return null;
        }
        report("initramfs", 0);
        ImmutableArray<string> command = debian is not null
            ? [debian, "-u", "-k", "all"]
            : [Bootloader.OfImage(target, "dracut") ?? "dracut", "--force", "--regenerate-all"];
        var made = await chroot(target, command, cancel);
        return made.Or(FaultCodes.BootloaderFailed, "The image could not make an initramfs that opens its disk.");
    }
}
