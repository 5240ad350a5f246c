using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="InstallBootloader"/>.</summary>
/// <remarks>Result values: <c>loader</c> (<c>systemd-boot</c>), or <c>grub</c> (<c>image</c> or <c>minimal</c>: whose GRUB it is; <c>signed</c>: the image's, for Secure Boot), <c>config</c> (<c>mkconfig</c> or <c>ka</c>).</remarks>
static class Bootloader
{
    static readonly ImmutableArray<string> Directories = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

    public static async Task<OrderOutcome> Run(InstallBootloader order, OrderContext context, Report report, CancellationToken cancel)
    {
        report("bootloader", 0);
        var (disk, fault) = await TargetDisk.Find(context.Paths, order.Select, order.Layout, context.DeployFileSystem, cancel);
        if (disk is null)
        {
            return fault!;
        }
        var target = context.Paths.Target;
        var (boot, missing) = BootFiles.Find(order.Boot, target);
        if (boot is null)
        {
            return missing!;
        }
        if (SuperBlock.UuidOf(disk.Deploy.FileSystem, disk.Deploy.Device) is not { } uuid)
        {
            return Fault.Of(FaultCodes.DiskMismatch, "The deploy partition does not hold the file system that was made on it.", disk.Deploy.Device);
        }
        LinkByUuid(uuid, disk.Deploy.Device);
        if (await DeployedStack.RenewInitramfs(disk.Layout, target, (_, command, token) => InImage(context.Paths, command, token), report, cancel) is { } notRenewed)
        {
            return notRenewed;
        }
        return await Install(order.Boot, boot, uuid, disk, context, cancel);
    }

    /// <summary>grub-install's arguments for the firmware.</summary>
    internal static ImmutableArray<string> InstallArguments(bool uefi, string device, string efiDirectory) => uefi
        ? ["--target=x86_64-efi", $"--efi-directory={efiDirectory}", "--removable", "--no-nvram", "--recheck"]
        : ["--target=i386-pc", "--no-floppy", "--recheck", device];

    static async Task<OrderOutcome> Install(BootTarget order, BootFiles boot, string uuid, TargetDisk disk, OrderContext context, CancellationToken cancel)
    {
        if (SystemdBoot.IsChosen(order.Loader, context))
        {
            return SystemdBoot.Install(boot, order.Params.Insert(0, disk.RootParameter(uuid)), disk, context) is { } refused
                ? refused
                : OrderOutcome.Found(("loader", "systemd-boot"), ("config", "ka"));
        }
        var (whose, installed, fault) = context.SecureBoot
            ? ("signed", null, SignedLoaders.Install(disk, uuid, context.Paths.Target))
            : await InstallGrub(disk, context, cancel);
        if (fault is not null)
        {
            return new OrderOutcome(fault, Tool: installed);
        }
        var config = whose != "minimal" && await MadeByImage(order, boot, context.Paths, cancel) ? "mkconfig" : "ka";
        if (config == "ka")
        {
            WriteOwn(order, boot, uuid, disk, context.Paths.Target);
        }
        return OrderOutcome.Found(("grub", whose), ("config", config)) with { Tool = installed };
    }

    /// <summary>Runs grub-install of the image, else that of the minimal environment.</summary>
    static async Task<(string Whose, ToolOutcome? Installed, Fault? Fault)> InstallGrub(TargetDisk disk, OrderContext context, CancellationToken cancel)
    {
        var target = context.Paths.Target;
        var esp = disk.Partitions.FirstOrDefault(p => p.Spec.Type == PartitionType.EfiSystem)?.MountPoint ?? "/boot/efi";
        ToolOutcome? installed = null;
        var whose = "image";
        if (OfImage(target, "grub-install", "grub2-install") is { } own)
        {
            installed = await OnEach(disk, context.IsUefi, device => InImage(context.Paths, [own, .. InstallArguments(context.IsUefi, device, esp)], cancel));
        }
        if (installed is not { Ok: true } && Tool.Find("grub-install", "grub2-install") is { } minimal)
        {
            // The image has no GRUB for this firmware: the minimal environment's is put on the disk.
            whose = "minimal";
            var second = await OnEach(disk, context.IsUefi, device => Tool.Run(
                minimal, [.. InstallArguments(context.IsUefi, device, target + esp), $"--boot-directory={target}/boot"], cancel));
            installed = installed is null || second.Ok ? second : installed;
        }
        return (whose, installed, installed is null
            ? Fault.Of(FaultCodes.BootloaderFailed, "Neither the image nor the minimal environment has grub-install.")
            : installed.Or(FaultCodes.BootloaderFailed, "GRUB could not be installed."));
    }

    /// <summary>The first disk, and for BIOS each other one with a place for GRUB: a mirror boots from whichever is left.</summary>
    static async Task<ToolOutcome> OnEach(TargetDisk disk, bool uefi, Func<string, Task<ToolOutcome>> install)
    {
        var outcome = await install(disk.Device);
        var others = disk.Partitions.Where(p => p.Disk > 0 && p.Spec.Type == PartitionType.BiosBoot).Select(p => disk.Disks[p.Disk].Device).Distinct();
        foreach (var device in uefi ? [] : others)
        {
            outcome = outcome.Ok ? await install(device) : outcome;
        }
        return outcome;
    }

    /// <summary>Lets the image make its own grub.cfg. False when it cannot, or when its first entry is another kernel than the description's.</summary>
    static async Task<bool> MadeByImage(BootTarget order, BootFiles boot, AgentPaths paths, CancellationToken cancel)
    {
        var target = paths.Target;
        if (OfImage(target, "grub-mkconfig", "grub2-mkconfig") is not { } program || GrubConfiguration.Defaults(order.Params) is not { } defaults)
        {
            return false;
        }
        var path = program.EndsWith("grub2-mkconfig", StringComparison.Ordinal) ? "/boot/grub2/grub.cfg" : "/boot/grub/grub.cfg";
        try
        {
            TargetPath.Write(target, "/etc/default/grub.d/ka.cfg", defaults, TargetPath.PublicFile);
        }
        catch (IOException)
        {
            return false;
        }
        var made = await InImage(paths, [program, "-o", path], cancel);
        var first = made.Ok ? GrubConfiguration.FirstKernel(TargetPath.Read(target, path) ?? "") : null;
        return first is not null && Path.GetFileName(first) == Path.GetFileName(boot.Kernel);
    }

    static void WriteOwn(BootTarget order, BootFiles boot, string rootUuid, TargetDisk disk, string target)
    {
        var (uuid, kernel) = Holder(disk, rootUuid, boot.Kernel);
        var prefix = boot.Kernel[..^kernel.Length];
        var initrd = boot.Initrd is { } i && i.StartsWith(prefix, StringComparison.Ordinal) ? i[prefix.Length..] : boot.Initrd;
        var entry = new GrubEntry("Deployed by Ka", uuid, kernel, initrd, order.Params.Insert(0, disk.RootParameter(rootUuid)));
        var text = GrubConfiguration.Render(entry);
        TargetPath.Write(target, "/boot/grub/grub.cfg", text, TargetPath.PublicFile);
        if (TargetPath.Exists(target, "/boot/grub2"))
        {
            TargetPath.Write(target, "/boot/grub2/grub.cfg", text, TargetPath.PublicFile);
        }
    }

    /// <summary>
    /// Where GRUB finds a path of the deployed system: the UUID of the file system that holds it, and its path there. /boot may be a partition
    /// of its own.
    /// </summary>
    internal static (string Uuid, string Path) Holder(TargetDisk disk, string rootUuid, string path)
    {
        var holder = disk.Partitions
            .Where(p => p.MountPoint is { } m && m != "/" && p.FileSystem is not (FileSystemKind.None or FileSystemKind.Swap) && path.StartsWith(m + "/", StringComparison.Ordinal))
            .MaxBy(p => p.MountPoint!.Length);
        return holder is null ? (rootUuid, path) : (SuperBlock.UuidOf(holder.FileSystem, holder.Device) ?? rootUuid, path[holder.MountPoint!.Length..]);
    }

    /// <summary>Runs a program of the image: it may do what it likes to the target and the disks, but does not see the agent or the network.</summary>
    static async Task<ToolOutcome> InImage(AgentPaths paths, ImmutableArray<string> command, CancellationToken cancel)
    {
        var places = new string[4];
        foreach (var (i, name) in ((string[])["/dev", "/proc", "/sys", "/run"]).Index())
        {
            if (TargetPath.Resolve(paths.Target, name) is not { } directory)
            {
                return new ToolOutcome(command[0], Tool.NotFound, "", $"{name} of the image is a loop of links");
            }
            Directory.CreateDirectory(directory);
            places[i] = directory;
        }
        return await Tool.Run(Enclosure.InImage(paths, paths.Target, (places[0], places[1], places[2], places[3]), command), null, ownGroup: false, cancel);
    }

    internal static string? OfImage(string target, params ReadOnlySpan<string> programs)
    {
        foreach (var program in programs)
        {
            if (Directories.FirstOrDefault(d => TargetPath.Exists(target, $"{d}/{program}")) is { } directory)
            {
                return $"{directory}/{program}";
            }
        }
        return null;
    }

    /// <summary>Without udev nobody makes this link, and grub-mkconfig writes root=UUID= only when it is there.</summary>
    static void LinkByUuid(string uuid, string device)
    {
        var link = $"/dev/disk/by-uuid/{uuid}";
        Directory.CreateDirectory(Path.GetDirectoryName(link)!);
        if (!File.Exists(link))
        {
            File.Delete(link);
            File.CreateSymbolicLink(link, device);
        }
    }
}
