using System.Collections.Immutable;
using Ka.Agent.Machine;

namespace Ka.Agent.Verification;

/// <summary>What is mounted in the tree under check, by paths as the tree has them.</summary>
sealed class MountPlaces
{
    readonly Dictionary<string, MountEntry> _at = new(StringComparer.Ordinal);
    readonly HashSet<string> _elsewhere;
    readonly string[] _bare;

    /// <param name="root">Where the tree begins.</param>
    /// <param name="elsewhere">Directories and files that something else than the image fills.</param>
    public MountPlaces(ImmutableArray<MountEntry> mounts, string root, ImmutableArray<string> elsewhere = default)
    {
        _elsewhere = elsewhere.IsDefault ? [] : [.. elsewhere];
        var prefix = root.TrimEnd('/');
        foreach (var mount in mounts)
            if (mount.Directory == root || mount.Directory.StartsWith(prefix + "/", StringComparison.Ordinal))
                _at[mount.Directory.Length <= prefix.Length ? "/" : mount.Directory[prefix.Length..]] = mount; // the last one mounted is seen
        _at.TryAdd("/", new MountEntry(root, "", ""));
        _bare = [.. _at.Where(m => m.Value.Type is "vfat" or "msdos" or "exfat").Select(m => m.Key)];
    }

    /// <summary>Something is mounted here that is no disk, or whose content is not the image's: what the image has under it cannot be seen.</summary>
    public bool IsForeign(string path) => _elsewhere.Contains(path) || path != "/" && _at.TryGetValue(path, out var mount) && !mount.Source.StartsWith("/dev/", StringComparison.Ordinal);

    /// <summary>Something else than the image fills this.</summary>
    public bool IsElsewhere(string path) => _elsewhere.Contains(path);

    /// <summary>Here begins a file system.</summary>
    public bool IsRoot(string path) => _at.ContainsKey(path.Length == 0 ? "/" : path);

    /// <summary>Here or below something is mounted.</summary>
    public bool LeadsToMount(string path) => _at.ContainsKey(path) || _at.Keys.Any(k => k.StartsWith(path + "/", StringComparison.Ordinal));

    /// <summary>This lies in another file system than the root's.</summary>
    public bool IsBelowAnother(string path) => _at.Keys.Any(k => k != "/" && path.StartsWith(k + "/", StringComparison.Ordinal));

    /// <summary>The file system under this path keeps no owners, modes, links and attributes.</summary>
    public bool IsOnBareFileSystem(string path) => _bare.Length > 0 && _bare.Any(b => path == b || path.StartsWith(b + "/", StringComparison.Ordinal));
}
