using System.Text.RegularExpressions;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>The paths of an archive, with symbolic links followed inside the archive only.</summary>
public sealed partial class ArchiveTree
{
    /// <summary>As many links as Linux follows in one path.</summary>
    const int LinkLimit = 40;

    readonly Dictionary<string, TarEntry> _entries = new(StringComparer.Ordinal);

    /// <summary>What the image unpacks to, every file and directory rounded up to 4 KiB.</summary>
    public long UnpackedBytes { get; private set; }

    public int Count => _entries.Count;

    /// <summary>First name that leaves the root (<c>..</c>), or null.</summary>
    public string? Escape { get; private set; }

    public void Add(TarEntry entry)
    {
        if (entry.Path.Split('/').Contains(".."))
            Escape ??= entry.Path;
        _entries[entry.Path] = entry;
        UnpackedBytes += Math.Max(entry.Type is '0' or '5' ? 4096 : 0, (entry.Bytes + 4095) / 4096 * 4096);
    }

    /// <summary>The regular file that a path names after following links, or null.</summary>
    public string? FindFile(string path)
    {
        var left = new Stack<string>(path.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse());
        var at = new List<string>();
        var links = 0;
        while (left.TryPop(out var part))
        {
            if (part is ".")
                continue;
            if (part is "..")
            {
                if (at.Count > 0)
                    at.RemoveAt(at.Count - 1);
                continue;
            }
            at.Add(part);
            if (!_entries.TryGetValue("/" + string.Join('/', at), out var entry) || entry.Type != '2')
                continue;
            if (++links > LinkLimit)
                return null;
            at.RemoveAt(at.Count - 1);
            if (entry.Link!.StartsWith('/'))
                at.Clear();
            foreach (var step in entry.Link.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse())
                left.Push(step);
        }
        var found = "/" + string.Join('/', at);
        return _entries.TryGetValue(found, out var file) && file.Type is '0' or '1' ? found : null;
    }

    /// <summary>Names in a directory, for messages.</summary>
    public IEnumerable<string> In(string directory) =>
        _entries.Keys.Where(p => p.StartsWith(directory + "/", StringComparison.Ordinal) && p.LastIndexOf('/') == directory.Length).Order(StringComparer.Ordinal);

    /// <summary>The newest kernel of <c>/boot</c> with its initrd, when a description names none.</summary>
    public (string Kernel, string? Initrd)? FindKernel()
    {
        foreach (var kernel in new[] { "/vmlinuz", "/boot/vmlinuz" }.Concat(In("/boot").Where(p => p.StartsWith("/boot/vmlinuz-", StringComparison.Ordinal)).OrderByDescending(ByNumber, StringComparer.Ordinal)))
        {
            if (FindFile(kernel) is null)
                continue;
            var release = kernel.StartsWith("/boot/vmlinuz-", StringComparison.Ordinal) ? kernel["/boot/vmlinuz-".Length..] : null;
            string[] candidates = release is null ? ["/initrd.img", "/boot/initrd.img"] : [$"/boot/initrd.img-{release}", $"/boot/initramfs-{release}.img"];
            return (kernel, candidates.FirstOrDefault(c => FindFile(c) is not null));
        }
        return null;
    }

    /// <summary>A key that sorts 6.1.0-10 after 6.1.0-9.</summary>
    static string ByNumber(string name) => Digits().Replace(name, digits => digits.Value.PadLeft(20, '0'));

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Digits();

    /// <summary>Null when kernel and initrd are there.</summary>
    public Fault? CheckBoot(string kernel, string? initrd)
    {
        foreach (var (what, path) in new[] { ("kernel", kernel), ("initrd", initrd) })
            if (path is not null && FindFile(path) is null)
                return Fault.Of(
                    FaultCodes.ArchiveKernelMissing, $"the {what} {path} is not in the archive", "in /boot: " + string.Join(", ", In("/boot").Take(20).DefaultIfEmpty("nothing")));
        return null;
    }
}
