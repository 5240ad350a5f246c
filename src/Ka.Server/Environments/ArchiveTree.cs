using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Ka.Core.Faults;
using Ka.Protocol.Manifests;

namespace Ka.Server.Environments;

/// <summary>The paths of an archive, with symbolic links followed inside the archive only.</summary>
public sealed partial class ArchiveTree
{
    /// <summary>As many links as Linux follows in one path.</summary>
    const int LinkLimit = 40;

    /// <summary>Mode of a directory that only a path implies.</summary>
    const int Implied = -1;

    /// <summary>One file; several names may stand for it.</summary>
    sealed class Inode(TarEntry entry)
    {
        public TarEntry Entry => entry;
    }

    /// <param name="Place">In the archive.</param>
    readonly record struct Name(Inode Inode, long Place);

    readonly Dictionary<string, Name> _names = new(StringComparer.Ordinal);

    /// <summary>Directories that have something in them; not those of entries that were written over.</summary>
    readonly HashSet<string> _parents = new(StringComparer.Ordinal);

    readonly ArchiveLimits _limits;
    long _text, _next;

    public ArchiveTree(ArchiveLimits? limits = null) => _limits = limits ?? ArchiveLimits.Default;

    /// <summary>What the image unpacks to, every file and directory rounded up to 4 KiB.</summary>
    public long UnpackedBytes { get; private set; }

    public int Count => _names.Count;

    /// <summary>Takes an entry as GNU tar would; the fault says why an entry is not safe.</summary>
    public Fault? Add(TarEntry entry)
    {
        if (Parents(entry.Path) is { } unsafeWay)
            return unsafeWay;
        var path = entry.Path;
        if (path == "/" && entry.Type != '5')
            return Unsafe(path, "the root is no directory");
        var inode = new Inode(entry);
        if (_names.TryGetValue(path, out var old))
        {
            if (entry.Type == '5' && old.Inode.Entry.Type == '2')
                return Unsafe(path, "a directory comes after a symbolic link of the same name");
            if (entry.Type != '5' && _parents.Contains(path))
                return Unsafe(path, "it would replace a directory that is not empty");
        }
        if (entry.Type == '1')
        {
            if (entry.Link == path)
                return Unsafe(path, "a hard link to itself");
            if (!_names.TryGetValue(entry.Link!, out var first))
                return Unsafe(path, $"a hard link to '{ByteText.Printable(entry.Link!)}', which the archive has not unpacked before");
            if (first.Inode.Entry.Type == '5')
                return Unsafe(path, $"a hard link to the directory '{ByteText.Printable(entry.Link!)}'");
            inode = first.Inode;
        }
        UnpackedBytes += Math.Max(entry.Type is '0' or '5' ? 4096 : 0, (entry.Bytes + 4095) / 4096 * 4096);
        return Put(path, inode, entry);
    }

    Fault? Put(string path, Inode inode, TarEntry? entry)
    {
        _names[path] = new Name(inode, _next++);
        if (_names.Count > _limits.Entries)
            return Fault.Of(FaultCodes.ArchiveLimit, $"the archive has more than {_limits.Entries} entries");
        _text += 200 + 2 * path.Length + 2 * (entry?.Link?.Length ?? 0) + (entry?.Attributes.Sum(a => 64L + a.Name.Length + a.Value.Length) ?? 0);
        return _text > FileManifest.TextLimit
            ? Fault.Of(FaultCodes.ArchiveLimit, $"names and attributes of the archive have more than {FileManifest.TextLimit} bytes")
            : null;
    }

    /// <summary>Every directory on the way must be one; those that the archive leaves out are implied.</summary>
    Fault? Parents(string path)
    {
        for (var slash = path.LastIndexOf('/'); slash > 0; slash = path.LastIndexOf('/', slash - 1))
        {
            var parent = path[..slash];
            if (!_names.TryGetValue(parent, out var name))
            {
                if (Put(parent, new Inode(new TarEntry(parent, '5', null, 0) { Mode = Implied }), null) is { } limit)
                    return limit;
                _parents.Add(parent);
                continue;
            }
            if (name.Inode.Entry is { Type: '2' } link)
                return Unsafe(path, $"it would be written through the symbolic link '{ByteText.Printable(parent)}' to '{ByteText.Printable(link.Link!)}'");
            if (name.Inode.Entry.Type != '5')
                return Unsafe(path, $"it stands under '{ByteText.Printable(parent)}', which is no directory");
            _parents.Add(parent);
            return null; // the way to this one was looked at before
        }
        return null;
    }

    static Fault Unsafe(string path, string why) => Fault.Of(FaultCodes.ArchiveUnsafe, $"{ByteText.Printable(path)}: {why}");

    /// <summary>The manifest of what the archive unpacks to.</summary>
    public FileManifest ToManifest(string imageSha256)
    {
        var firsts = new Dictionary<Inode, string>();
        var entries = ImmutableArray.CreateBuilder<ManifestEntry>(_names.Count);
        foreach (var (path, name) in _names.OrderBy(n => n.Value.Place))
        {
            var e = name.Inode.Entry;
            var same = firsts.TryGetValue(name.Inode, out var first) ? first : null;
            firsts.TryAdd(name.Inode, path);
            entries.Add(new ManifestEntry(path, TypeOf(e.Type), e.Mode == Implied ? null : e.Mode, e.Uid, e.Gid)
            {
                Bytes = e.Size, Sha256 = e.Sha256, Link = e.Type == '2' ? e.Link : null, Major = e.Major, Minor = e.Minor, Attributes = e.Attributes, SameAs = same,
            });
        }
        return new FileManifest(imageSha256, entries.ToImmutable());
    }

    static FileType TypeOf(char type) => type switch
    {
        '2' => FileType.SymbolicLink,
        '3' => FileType.CharacterDevice,
        '4' => FileType.BlockDevice,
        '5' => FileType.Directory,
        '6' => FileType.Fifo,
        _ => FileType.File,
    };

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
            if (!_names.TryGetValue("/" + string.Join('/', at), out var name) || name.Inode.Entry is not { Type: '2' } entry)
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
        return _names.TryGetValue(found, out var file) && file.Inode.Entry.Type == '0' ? found : null;
    }

    /// <summary>Names in a directory, for messages.</summary>
    public IEnumerable<string> In(string directory) =>
        _names.Keys.Where(p => p.StartsWith(directory + "/", StringComparison.Ordinal) && p.LastIndexOf('/') == directory.Length).Order(StringComparer.Ordinal);

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
