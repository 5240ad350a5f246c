using System.Text;
using Ka.Core.NodeSets;

namespace Ka.Core.BootProfiles;

/// <summary>Where a node fetches its boot files.</summary>
/// <param name="Script">The node's own iPXE script.</param>
/// <param name="Kernel">Served while the profile has one.</param>
/// <param name="Initrd">Served while the profile has one.</param>
/// <param name="UefiDiskLoader">A small EFI program that finds and starts the system on the disk; without it UEFI machines go on in
/// their own boot order, where the disk must come next.</param>
public sealed record BootUrls(Uri Script, Uri Kernel, Uri Initrd, Uri? UefiDiskLoader = null)
{
    /// <summary>Where the profile's initial RAM disk is, if it has one.</summary>
    public Uri? InitrdOf(BootProfile.FromNetwork profile) => profile.InitrdPath is null ? null : Initrd;
}

/// <summary>
/// Writes iPXE scripts. iPXE splits a line at blanks, knows no quotes and no escapes, ends a command at the words <c>;</c> <c>&amp;&amp;</c>
/// <c>||</c> and at a word beginning with <c>#</c>, joins a line ending in <c>\</c> with the next, and expands <c>${…}</c> inside each
/// word after splitting (core/exec.c, core/settings.c, image/script.c). So a word that would end the command is put behind an
/// expansion of a setting that does not exist, which leaves the word alone; blanks that follow each other are kept the same way.
/// </summary>
public static class IpxeScript
{
    /// <summary>A setting that is never set: it expands to nothing.</summary>
    private const string Nothing = "${ka-nothing}";

    /// <summary>The script of one node. Total: whatever <see cref="KernelParameters"/> can hold arrives at the kernel unchanged.</summary>
    public static string Render(NodeName node, BootProfile profile, BootUrls urls) => profile switch
    {
        BootProfile.LocalDisk => LocalDisk(node, urls.UefiDiskLoader),
        BootProfile.FromNetwork boots => Kernel(node, boots.Parameters, urls.Kernel, urls.InitrdOf(boots)),
        _ => throw new InvalidOperationException($"no script for {profile.GetType().Name}"),
    };

    /// <summary>Text as one or more words of a command. The text holds printable ASCII and no <c>${</c>.</summary>
    public static string Escape(string text) => string.Join(' ', text.Split(' ').Select(word =>
        word is "" or ";" or "&&" or "||" || word[0] == '#' ? Nothing + word : word));

    private static string LocalDisk(NodeName node, Uri? loader) => Lines(
        $"# {node}: local disk",
        "iseq ${platform} efi && goto firmware ||",
        "sanboot --no-describe --drive 0x80 ||",
        ":firmware",
        loader is null ? "" : $"iseq ${{platform}} efi && chain {loader.AbsoluteUri} ||",
        "exit 1");

    private static string Kernel(NodeName node, KernelParameters parameters, Uri kernel, Uri? initrd) => Lines(
        $"# {node}: kernel from the network",
        $"kernel {kernel.AbsoluteUri} {Escape(parameters.ToString())} {(initrd is null ? Nothing : "initrd=initrd")} || goto failed",
        initrd is null ? "" : $"initrd --name initrd {initrd.AbsoluteUri} || goto failed",
        "boot ||",
        ":failed",
        "echo Ka: the boot files did not come or did not start, trying again",
        "sleep 5",
        "reboot");

    private static string Lines(params ReadOnlySpan<string> lines)
    {
        var script = new StringBuilder("#!ipxe\n");
        foreach (var line in lines)
        {
            script.Append(line).Append(line.Length > 0 ? "\n" : "");
        }

        return script.ToString();
    }
}
