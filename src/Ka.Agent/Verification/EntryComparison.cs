using Ka.Agent.Machine;
using Ka.Protocol.Manifests;

namespace Ka.Agent.Verification;

/// <summary>Compares one name with its entry and collects the differences.</summary>
sealed class EntryComparison
{
    /// <summary>Set by the kernel's own security modules on what they see; of no account unless the archive carries it.</summary>
    static readonly HashSet<string> ByKernel = new(StringComparer.Ordinal) { "security.selinux", "security.ima", "security.evm", "security.apparmor", "security.SMACK64" };

    readonly Dictionary<string, uint> _links = new(StringComparer.Ordinal);
    readonly Dictionary<string, (ulong Device, ulong Inode)> _inodes = new(StringComparer.Ordinal);

    /// <param name="manifest">Its hard links are counted.</param>
    public EntryComparison(FileManifest manifest)
    {
        foreach (var entry in manifest.Entries)
            if (entry.SameAs is { } first)
                _links[first] = _links.GetValueOrDefault(first, 1u) + 1;
    }

    public List<VerifyDifference> Differences { get; } = [];

    public long Count { get; private set; }

    public void Missing(string path) => Add(new VerifyDifference(path, "missing", "", null, null));

    public void Extra(string path) => Add(new VerifyDifference(path, "extra", "", null, null));

    public void Unreadable(string path, int error) => Add(new VerifyDifference(path, "unreadable", "", "a readable file", Native.Message(error)));

    public void Aspect(ManifestEntry entry, string what, string? expected, string? found)
    {
        if (expected != found)
            Changed(entry, what, expected, found);
    }

    void Changed(ManifestEntry entry, string what, string? expected, string? found) =>
        Add(new VerifyDifference(entry.Path, "changed", what, expected is null ? null : ByteText.Printable(expected), found is null ? null : ByteText.Printable(found)));

    public static bool TypeFits(ManifestEntry entry, FileState state) => state.Type == entry.Type switch
    {
        FileType.File => NativeFiles.Regular,
        FileType.Directory => NativeFiles.Directory,
        FileType.SymbolicLink => NativeFiles.SymbolicLink,
        FileType.CharacterDevice => NativeFiles.CharacterDevice,
        FileType.BlockDevice => NativeFiles.BlockDevice,
        FileType.Fifo => NativeFiles.Fifo,
    };

    /// <param name="bare">The file system keeps no owners, modes and links.</param>
    /// <returns>Whether the type fits.</returns>
    public bool Metadata(ManifestEntry entry, FileState state, bool bare)
    {
        if (!TypeFits(entry, state))
        {
            Changed(entry, "type", Word(entry.Type), Word(state.Type));
            return false;
        }
        if (entry.Type == FileType.File && entry.Bytes != state.Bytes)
            Changed(entry, "size", entry.Bytes.ToString(), state.Bytes.ToString());
        if (bare || entry.Mode is not { } mode)
            return true;
        if (entry.Type != FileType.SymbolicLink && mode != state.Mode)
            Changed(entry, "mode", Octal(mode), Octal(state.Mode));
        if (entry.Uid != state.Uid || entry.Gid != state.Gid)
            Changed(entry, "owner", $"{entry.Uid}:{entry.Gid}", $"{state.Uid}:{state.Gid}");
        if (entry.Type is FileType.CharacterDevice or FileType.BlockDevice && (entry.Major != state.Major || entry.Minor != state.Minor))
            Changed(entry, "device", $"{entry.Major}:{entry.Minor}", $"{state.Major}:{state.Minor}");
        if (entry.Type != FileType.Directory)
            Links(entry, state);
        return true;
    }

    void Links(ManifestEntry entry, FileState state)
    {
        var first = entry.SameAs ?? entry.Path;
        var isLinked = _links.TryGetValue(first, out var links);
        links = isLinked ? links : 1;
        if (links != state.Links)
            Changed(entry, "links", links.ToString(), state.Links.ToString());
        if (!isLinked)
            return;
        var inode = (state.Device, state.Inode);
        if (!_inodes.TryAdd(first, inode) && _inodes[first] != inode)
            Changed(entry, "links", $"the same file as {first}", "another file");
    }

    public void Attributes(ManifestEntry entry, IReadOnlyDictionary<string, byte[]> found)
    {
        if (entry.Attributes.IsEmpty && found.Count == 0)
            return;
        foreach (var attribute in entry.Attributes)
            if (attribute.Value != "?" && IsCompared(attribute.Name))
                Aspect(entry, $"attribute {ByteText.Printable(attribute.Name)}", attribute.Value, found.TryGetValue(attribute.Name, out var value) ? Convert.ToHexStringLower(value) : null);
        foreach (var (name, value) in found)
            if (IsCompared(name) && !ByKernel.Contains(name) && !entry.Attributes.Any(a => a.Name == name))
                Aspect(entry, $"attribute {ByteText.Printable(name)}", null, Convert.ToHexStringLower(value));
    }

    /// <summary>Names under which XFS shows its access lists a second time are left out.</summary>
    static bool IsCompared(string name) =>
        !name.StartsWith("trusted.SGI_", StringComparison.Ordinal) && IsOfFile(name);

    static bool IsOfFile(string name) =>
        name.StartsWith("user.", StringComparison.Ordinal) || name.StartsWith("security.", StringComparison.Ordinal) || name.StartsWith("trusted.", StringComparison.Ordinal)
        || name.StartsWith("system.posix_acl_", StringComparison.Ordinal);

    void Add(VerifyDifference difference)
    {
        Count++;
        if (Differences.Count < VerifyReport.DifferenceLimit)
            Differences.Add(difference with { Path = ByteText.Printable(difference.Path) });
    }

    static string Octal(int mode) => Convert.ToString(mode, 8).PadLeft(4, '0');

    static string Word(FileType type) => type switch
    {
        FileType.File => "file",
        FileType.Directory => "directory",
        FileType.SymbolicLink => "symbolic link",
        FileType.CharacterDevice => "character device",
        FileType.BlockDevice => "block device",
        FileType.Fifo => "fifo",
    };

    static string Word(int type) => type switch
    {
        NativeFiles.Regular => "file",
        NativeFiles.Directory => "directory",
        NativeFiles.SymbolicLink => "symbolic link",
        NativeFiles.CharacterDevice => "character device",
        NativeFiles.BlockDevice => "block device",
        NativeFiles.Fifo => "fifo",
        _ => "socket",
    };
}
