using System.Diagnostics.CodeAnalysis;
using Ka.Core.NodeSets;

namespace Ka.Core.BootProfiles;

/// <summary>Profiles for sites that run PXELINUX themselves (syslinux 6 with HTTP: lpxelinux).</summary>
public static class PxelinuxProfile
{
    /// <summary>The file name for a machine: <c>pxelinux.cfg/01-52-54-00-12-34-56</c>.</summary>
    public static string FileName(MacAddress mac) => $"pxelinux.cfg/01-{mac.ToHyphens()}";

    /// <summary>
    /// The file. The rest of an <c>append</c> line is taken as it stands, so only a line break could do harm, and <see cref="KernelParameters"/>
    /// hold none.
    /// </summary>
    public static string Render(NodeName node, BootProfile profile, BootUrls urls)
    {
        var label = profile switch
        {
            BootProfile.LocalDisk => "  localboot 0\n",
            BootProfile.FromNetwork boots => Kernel(urls.Kernel, urls.InitrdOf(boots), boots.Parameters),
            _ => throw new InvalidOperationException($"no profile for {profile.GetType().Name}"),
        };
        return $"# {node}, written by Ka\ndefault ka\nprompt 0\nlabel ka\n{label}";
    }

    private static string Kernel(Uri kernel, Uri? initrd, KernelParameters parameters) =>
        $"  kernel {kernel.AbsoluteUri}\n{(initrd is null ? "" : $"  initrd {initrd.AbsoluteUri}\n")}  append ka.loader=pxelinux {parameters}\n";
}

/// <summary>Profiles for GRUB over the network: of nodes with Secure Boot, and of sites that run it themselves.</summary>
public static class GrubProfile
{
    /// <summary>The file name for a machine: <c>grub.cfg-01-52-54-00-12-34-56</c>.</summary>
    public static string FileName(MacAddress mac) => $"grub.cfg-01-{mac.ToHyphens()}";

    /// <summary>
    /// The file. Words are single-quoted for GRUB's shell; GRUB then puts double quotes round a word with blanks itself, and writes
    /// backslashes before quotes and backslashes, which the kernel would not take away again: such parameters are refused.
    /// </summary>
    public static bool TryRender(NodeName node, BootProfile profile, BootUrls urls, [NotNullWhen(true)] out string? text, out string error)
    {
        (text, error) = (null, "");
        var (initrd, parameters) = profile switch
        {
            BootProfile.LocalDisk => (null, null),
            BootProfile.FromNetwork boots => (urls.InitrdOf(boots), boots.Parameters),
            _ => throw new InvalidOperationException($"no profile for {profile.GetType().Name}"),
        };
        var title = $"# {node}, written by Ka\n";
        if (parameters is null)
        {
            text = title + LocalDisk;
            return true;
        }

        foreach (var parameter in parameters.Items)
        {
            if (parameter.Unquoted.AsSpan().ContainsAny('\\', '\''))
            {
                error = $"GRUB cannot pass '{Documents.DocumentError.Cut(parameter.Text)}' to the kernel unchanged";
                return false;
            }
        }

        var words = string.Concat(parameters.Items.Select(parameter => $" '{parameter.Unquoted}'"));
        text = $"{title}linux {Device(urls.Kernel)}{words}\n{(initrd is null ? "" : $"initrd {Device(initrd)}\n")}boot\n{Failed}";
        return true;
    }

    /// <summary>
    /// UEFI: the loader in the place that needs no boot entry (UEFI 2.10 section 3.5.1.1), else the next entry. BIOS: the first disk's.
    /// </summary>
    private const string LocalDisk = """
        if [ "$grub_platform" = efi ]; then
          if search --no-floppy --set=root --file /EFI/BOOT/BOOTX64.EFI; then
            chainloader /EFI/BOOT/BOOTX64.EFI
            boot
          fi
          exit 1
        fi
        set root=(hd0)
        chainloader +1
        boot

        """;

    private const string Failed = """
        echo "Ka: the boot files did not come or did not start, trying again"
        sleep 5
        reboot

        """;

    /// <summary>GRUB's way to write an address; a port other than 80 for HTTP needs GRUB 2.12.</summary>
    private static string Device(Uri url) => $"'({url.Scheme},{url.Authority}){url.PathAndQuery}'";
}
