using System.Text;
using Ka.Agent.Machine;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>
/// What a machine with Secure Boot starts from its disk, copied from the image without running anything of it: shim in the place that needs
/// no boot entry (UEFI 2.10 section 3.5.1.1) and in its distribution's directory, the signed GRUB beside it, and the configuration where
/// that GRUB looks. shim's fallback program stays away: it would put the disk before the network in the boot order.
/// </summary>
static class SignedLoaders
{
    const string Shim = "/usr/lib/shim/shimx64.efi.signed", Grub = "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed";

    /// <summary>Enrols keys of the machine's owner when shim was told to; not every shim brings it.</summary>
    static readonly string[] KeyPrograms = ["/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi"];

    /// <summary>Puts them on the EFI system partition; null when all is there.</summary>
    public static Fault? Install(TargetDisk disk, string rootUuid, string target)
    {
        foreach (var (file, package) in (ReadOnlySpan<(string, string)>)[(Shim, "shim-signed"), (Grub, "grub-efi-amd64-signed")])
        {
            if (!TargetPath.Exists(target, file))
            {
                return Fault.Of(FaultCodes.ImageLacksPackage, $"The node enforces Secure Boot; the image lacks the package '{package}'.", $"looked for {file}");
            }
        }
        if (disk.EfiSystem is not { } esp)
        {
            return Fault.Of(FaultCodes.BootloaderFailed, "The layout has no EFI system partition of its own, which Secure Boot starts from.");
        }
        if (DirectoryOf(File.ReadAllBytes(TargetPath.Resolve(target, Grub)!)) is not { } own)
        {
            return Fault.Of(FaultCodes.BootloaderFailed, "The image's signed GRUB does not say where it looks for its configuration.", Grub);
        }
        try
        {
            foreach (var (directory, shim) in (ReadOnlySpan<(string, string)>)[("/EFI/BOOT", "BOOTX64.EFI"), (own, "shimx64.efi")])
            {
                Copy(target, Shim, $"{esp}{directory}/{shim}");
                Copy(target, Grub, $"{esp}{directory}/grubx64.efi");
                if (KeyPrograms.FirstOrDefault(file => TargetPath.Exists(target, file)) is { } keys)
                {
                    Copy(target, keys, $"{esp}{directory}/mmx64.efi");
                }
            }
            var (uuid, path) = Bootloader.Holder(disk, rootUuid, "/boot/grub");
            TargetPath.Write(target, $"{esp}{own}/grub.cfg", Configuration(uuid, path), TargetPath.PublicFile);
            return null;
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.BootloaderFailed, "The signed loaders could not be written to the EFI system partition.", e.Message);
        }
    }

    /// <summary>What the signed GRUB reads first: it goes on with the configuration of the deployed system.</summary>
    /// <param name="path">Directory on the file system with this UUID.</param>
    internal static string Configuration(string uuid, string path) =>
        $"search --no-floppy --fs-uuid --set=root {GrubConfiguration.Quote(uuid)}\nset prefix=($root){GrubConfiguration.Quote(path)}\nconfigfile $prefix/grub.cfg\n";

    /// <summary>The directory on the EFI system partition that a signed GRUB was built for, such as <c>/EFI/debian</c>: a string of its own in the program.</summary>
    internal static string? DirectoryOf(ReadOnlySpan<byte> grub)
    {
        var begin = grub.IndexOf("\0/EFI/"u8) + 1;
        var length = begin == 0 ? -1 : grub[begin..].IndexOf((byte)0);
        var text = length is > 5 and < 64 ? Encoding.Latin1.GetString(grub.Slice(begin, length)) : "";
        return text.Length > 0 && text[5..].All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_') ? text : null;
    }

    static void Copy(string target, string from, string to) => TargetPath.Copy(target, TargetPath.Resolve(target, from)!, to);
}
