using System.Collections.Immutable;
using System.Text;

namespace Ka.Agent.Orders;

/// <summary>What the menu's one entry boots.</summary>
/// <param name="FileSystemUuid">UUID of the file system that holds kernel and initrd.</param>
/// <param name="Kernel">Path of the kernel on that file system.</param>
/// <param name="Parameters">The whole kernel line, <c>root=</c> included.</param>
sealed record GrubEntry(string Title, string FileSystemUuid, string Kernel, string? Initrd, ImmutableArray<string> Parameters);

/// <summary>Renders GRUB's files. Every value is quoted against GRUB's own tokeniser, or against the shell that sources the file.</summary>
static class GrubConfiguration
{
    /// <summary>A complete grub.cfg for images that cannot make their own.</summary>
    public static string Render(GrubEntry entry)
    {
        var text = new StringBuilder("# Written by Ka when this system was deployed.\n");
        text.Append("set timeout=1\nset default=0\n");
        if (Serial(entry.Parameters) is { } serial)
        {
            text.Append($"serial --unit={serial.Unit} --speed={serial.Speed}\nterminal_input serial console\nterminal_output serial console\n");
        }
        text.Append("insmod part_gpt\ninsmod part_msdos\ninsmod lvm\ninsmod mdraid1x\ninsmod ext2\ninsmod xfs\ninsmod btrfs\ninsmod gzio\n");
        text.Append($"menuentry {Quote(entry.Title)} {{\n");
        text.Append($"  search --no-floppy --fs-uuid --set=root {Quote(entry.FileSystemUuid)}\n");
        text.Append($"  linux {Quote(entry.Kernel)}");
        foreach (var parameter in entry.Parameters)
        {
            text.Append(' ').Append(Quote(parameter));
        }
        text.Append('\n');
        if (entry.Initrd is { } initrd)
        {
            text.Append($"  initrd {Quote(initrd)}\n");
        }
        return text.Append("}\n").ToString();
    }

    /// <summary>
    /// Settings for the image's own grub-mkconfig, so that Ka's kernel parameters survive the next update of its kernel. Null when a
    /// parameter has characters that would not come through the shell and GRUB unchanged.
    /// </summary>
    public static string? Defaults(ImmutableArray<string> parameters)
    {
        if (parameters.Any(p => p.Length == 0 || !p.All(c => char.IsAsciiLetterOrDigit(c) || "_.,:=/@%+~-".Contains(c, StringComparison.Ordinal))))
        {
            return null;
        }
        var text = new StringBuilder("# Written by Ka when this system was deployed; read by grub-mkconfig.\n");
        text.Append($"GRUB_CMDLINE_LINUX=\"{string.Join(' ', parameters)}\"\n");
        text.Append("GRUB_CMDLINE_LINUX_DEFAULT=\"\"\nGRUB_TIMEOUT=1\nGRUB_DISABLE_OS_PROBER=true\n");
        if (Serial(parameters) is { } serial)
        {
            text.Append($"GRUB_TERMINAL=\"console serial\"\nGRUB_SERIAL_COMMAND=\"serial --unit={serial.Unit} --speed={serial.Speed}\"\n");
        }
        return text.ToString();
    }

    /// <summary>The kernel of the first entry of a grub.cfg, or null.</summary>
    public static string? FirstKernel(string configuration) => configuration.Split('\n')
        .Select(l => l.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries))
        .Where(w => w is ["linux" or "linux16" or "linuxefi", _, ..])
        .Select(w => w[1].Trim('\'', '"'))
        .FirstOrDefault();

    /// <summary>GRUB takes everything between single quotes as it is; a single quote itself is escaped outside of them.</summary>
    public static string Quote(string value) =>
        "'" + value.Replace("\n", " ", StringComparison.Ordinal).Replace("'", "'\\''", StringComparison.Ordinal) + "'";

    /// <summary>The last <c>console=ttySN,SPEED</c>.</summary>
    static (int Unit, int Speed)? Serial(ImmutableArray<string> parameters)
    {
        const string Prefix = "console=ttyS";
        if (parameters.LastOrDefault(p => p.StartsWith(Prefix, StringComparison.Ordinal)) is not { } console)
        {
            return null;
        }
        var (unit, options) = console[Prefix.Length..].Split(',') is [var u, var o, ..] ? (u, o) : (console[Prefix.Length..], "");
        var speed = new string([.. options.TakeWhile(char.IsAsciiDigit)]);
        return int.TryParse(unit, out var number) && number is >= 0 and < 4 ? (number, int.TryParse(speed, out var baud) ? baud : 9600) : null;
    }
}
