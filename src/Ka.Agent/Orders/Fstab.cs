using System.Collections.Immutable;
using System.Text;
using Ka.Core.Disks;

namespace Ka.Agent.Orders;

/// <summary>One line of fstab(5).</summary>
/// <param name="MountPoint">Null for swap.</param>
sealed record FstabEntry(string Uuid, string? MountPoint, FileSystemKind FileSystem);

/// <summary>Renders and reads the small text files that give a system its identity.</summary>
static class Fstab
{
    public static string Render(IEnumerable<FstabEntry> entries)
    {
        var text = new StringBuilder("# Written by Ka when this system was deployed: UUIDs of the partitions of the layout.\n");
        text.Append("# <file system> <mount point> <type> <options> <dump> <pass>\n");
        foreach (var entry in entries)
        {
            var (type, options) = entry.FileSystem switch
            {
                FileSystemKind.Ext4 => ("ext4", "defaults,errors=remount-ro"),
                FileSystemKind.Xfs => ("xfs", "defaults"),
                FileSystemKind.Btrfs => ("btrfs", "defaults"),
                FileSystemKind.Vfat => ("vfat", "umask=0077"),
                FileSystemKind.Swap => ("swap", "sw"),
                FileSystemKind.None => ("auto", "defaults"),
            };
            // xfs and btrfs are checked by their mount; the root first, others after it.
            var pass = entry.FileSystem is FileSystemKind.Swap or FileSystemKind.Xfs or FileSystemKind.Btrfs ? 0 : entry.MountPoint == "/" ? 1 : 2;
            text.Append($"UUID={entry.Uuid} {entry.MountPoint ?? "none"} {type} {options} 0 {pass}\n");
        }
        return text.ToString();
    }

    /// <summary>The image's hosts file with one line for this machine at 127.0.1.1 (Debian's custom for machines without fixed address).</summary>
    public static string Hosts(string? image, string hostName)
    {
        var names = ShortName(hostName) == hostName ? hostName : $"{hostName} {ShortName(hostName)}";
        var lines = (image ?? "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n").TrimEnd('\n').Split('\n').ToList();
        lines.RemoveAll(l => l.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries) is ["127.0.1.1", ..]);
        var local = lines.FindIndex(l => l.StartsWith("127.0.0.1", StringComparison.Ordinal));
        lines.Insert(local + 1, $"127.0.1.1\t{names}");
        return string.Join('\n', lines) + "\n";
    }

    public static string ShortName(string hostName) => hostName.Split('.')[0];

    /// <summary>RFC 1123 names; nothing else may enter a file that a boot script sources.</summary>
    public static bool IsHostName(string name) =>
        name.Length is > 0 and <= 253
        && name.Split('.').All(p => p.Length is > 0 and <= 63 && p[0] != '-' && p[^1] != '-' && p.All(c => char.IsAsciiLetterOrDigit(c) || c == '-'));

    /// <summary>The text with these lines added that it does not have yet.</summary>
    public static string WithLines(string? text, ImmutableArray<string> lines)
    {
        var there = (text ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Trim()).ToHashSet(StringComparer.Ordinal);
        var added = new StringBuilder(text ?? "");
        if (added.Length > 0 && added[^1] != '\n')
        {
            added.Append('\n');
        }
        foreach (var line in lines.Select(l => l.Trim()).Where(l => l.Length > 0 && !l.Contains('\n', StringComparison.Ordinal)).Where(there.Add))
        {
            added.Append(line).Append('\n');
        }
        return added.ToString();
    }
}
