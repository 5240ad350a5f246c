using System.Collections.Immutable;
using System.Text;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>
/// systemd-boot of the image on the EFI system partition, with one entry (Boot Loader Specification, type 1). It reads nothing but that
/// partition, so kernel and initrd are copied there. Nothing of the image is run.
/// </summary>
static class SystemdBoot
{
    const string Loader = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi", Own = "/ka";

    /// <summary>Left free for the small files and for what the file system needs itself.</summary>
    const long Reserve = 1 << 20;

    /// <summary>Whether it is to start this node: asked for, or the only loader for UEFI that the image brings.</summary>
    public static bool IsChosen(BootLoader asked, OrderContext context) => asked switch
    {
        BootLoader.SystemdBoot => true,
        BootLoader.Grub => false,
        BootLoader.Auto => context is { IsUefi: true, SecureBoot: false } && TargetPath.Exists(context.Paths.Target, Loader)
            && (Bootloader.OfImage(context.Paths.Target, "grub-install", "grub2-install") is null || !TargetPath.Exists(context.Paths.Target, "/usr/lib/grub/x86_64-efi")),
    };

    /// <summary>Puts it there; null when all is well.</summary>
    public static Fault? Install(BootFiles boot, ImmutableArray<string> parameters, TargetDisk disk, OrderContext context)
    {
        var target = context.Paths.Target;
        if (!context.IsUefi)
        {
            return Fault.Of(FaultCodes.BootloaderFailed, "The environment asks for systemd-boot, which starts by UEFI only; the node booted by BIOS.", "boot: { loader: grub } for such nodes");
        }
        if (context.SecureBoot)
        {
            return Fault.Of(FaultCodes.BootloaderFailed, "The environment asks for systemd-boot, which is not signed; the node enforces Secure Boot.", "boot: { loader: grub } for such nodes");
        }
        if (!TargetPath.Exists(target, Loader))
        {
            return Fault.Of(FaultCodes.ImageLacksPackage, "The environment asks for systemd-boot; the image lacks the package 'systemd-boot-efi'.", $"looked for {Loader}");
        }
        if (disk.EfiSystem is not { } esp)
        {
            return Fault.Of(FaultCodes.BootloaderFailed, "The layout has no EFI system partition of its own, which systemd-boot reads everything from.");
        }
        try
        {
            (string From, string To)[] files =
            [
                (TargetPath.Resolve(target, Loader)!, "/EFI/BOOT/BOOTX64.EFI"),
                (TargetPath.Resolve(target, Loader)!, "/EFI/systemd/systemd-bootx64.efi"),
                (boot.KernelFile, Own + "/linux"),
                .. boot.InitrdFile is { } initrd ? [(initrd, Own + "/initrd")] : ImmutableArray<(string, string)>.Empty,
            ];
            var needed = files.Sum(f => new FileInfo(f.From).Length) + Reserve;
            var free = new DriveInfo(TargetPath.Resolve(target, esp)!).AvailableFreeSpace;
            if (free < needed)
            {
                return Fault.Of(FaultCodes.DiskTooSmall, "Kernel and initrd do not fit on the EFI system partition, where systemd-boot reads them.", $"{needed >> 10} KiB needed, {free >> 10} KiB free");
            }
            foreach (var (from, to) in files)
            {
                TargetPath.Copy(target, from, esp + to);
            }
            var line = string.Join(' ', parameters.Select(p => new string([.. p.Select(c => char.IsControl(c) ? ' ' : c)])));
            TargetPath.Write(target, esp + "/loader/loader.conf", "# Written by Ka when this system was deployed.\ntimeout 1\n", TargetPath.PublicFile);
            TargetPath.Write(target, esp + "/loader/entries/ka.conf", Entry(line, boot.InitrdFile is not null), TargetPath.PublicFile);
            // kernel-install takes the line of later kernels from here.
            TargetPath.Write(target, "/etc/kernel/cmdline", line + "\n", TargetPath.PublicFile);
            return null;
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.BootloaderFailed, "systemd-boot could not be written to the EFI system partition.", e.Message);
        }
    }

    /// <summary>The entry: each key with its value to the end of the line, taken as it is.</summary>
    internal static string Entry(string options, bool withInitrd)
    {
        var text = new StringBuilder("# Written by Ka when this system was deployed.\ntitle Deployed by Ka\n").Append($"linux {Own}/linux\n");
        return text.Append(withInitrd ? $"initrd {Own}/initrd\n" : "").Append($"options {options}\n").ToString();
    }
}
