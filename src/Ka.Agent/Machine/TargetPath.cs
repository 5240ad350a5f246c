namespace Ka.Agent.Machine;

/// <summary>Paths inside the unpacked system. Its symbolic links are read as that system would read them, and never lead out of it.</summary>
static class TargetPath
{
    /// <summary>Mode of a file that everybody may read.</summary>
    public const UnixFileMode PublicFile = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    const int LinkLimit = 40; // as the kernel's

    /// <summary>
    /// The real place of a path of the target. Links on the way are followed inside the target only; what does not exist yet stays as
    /// named. Null when there are too many links.
    /// </summary>
    /// <param name="root">The mounted target.</param>
    /// <param name="path">A path as the deployed system sees it.</param>
    /// <param name="followLast">False names a link itself instead of what it points to.</param>
    public static string? Resolve(string root, string path, bool followLast = true)
    {
        var rest = new LinkedList<string>(path.Split('/', StringSplitOptions.RemoveEmptyEntries));
        var at = new List<string>();
        var links = 0;
        while (rest.First is { } first)
        {
            rest.RemoveFirst();
            if (first.Value == ".")
            {
                continue;
            }
            if (first.Value == "..")
            {
                if (at.Count > 0)
                {
                    at.RemoveAt(at.Count - 1);
                }
                continue;
            }
            var here = Path.Join(root, string.Join('/', at), first.Value);
            if ((followLast || rest.Count > 0) && new FileInfo(here).LinkTarget is { } link)
            {
                if (++links > LinkLimit)
                {
                    return null;
                }
                if (link.StartsWith('/'))
                {
                    at.Clear();
                }
                foreach (var part in link.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse())
                {
                    rest.AddFirst(part);
                }
                continue;
            }
            at.Add(first.Value);
        }
        return at.Count == 0 ? root : Path.Join(root, string.Join('/', at));
    }

    /// <summary>Writes a small file of the target anew: a link in its place is followed inside the target only.</summary>
    /// <param name="mode">Mode of a new file; an existing one keeps its own unless <paramref name="force"/>.</param>
    /// <returns>The path inside the target that was written.</returns>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static string Write(string root, string path, string content, UnixFileMode mode, bool force = false)
    {
        var real = Resolve(root, path) ?? throw new IOException($"{path}: too many symbolic links");
        Directory.CreateDirectory(Path.GetDirectoryName(real)!);
        var isNew = !File.Exists(real);
        if (isNew)
        {
            new FileStream(real, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode }).Dispose();
        }
        if (isNew || force)
        {
            File.SetUnixFileMode(real, mode);
        }
        File.WriteAllText(real, content);
        return Inside(root, real);
    }

    /// <summary>Copies a file to a path of the target; a link in its place is followed inside the target only.</summary>
    /// <param name="from">A real path.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Copy(string root, string from, string path)
    {
        var real = Resolve(root, path) ?? throw new IOException($"{path}: too many symbolic links");
        Directory.CreateDirectory(Path.GetDirectoryName(real)!);
        File.Copy(from, real, overwrite: true);
    }

    /// <summary>The text of a file of the target, or null when it is not there.</summary>
    public static string? Read(string root, string path)
    {
        var real = Resolve(root, path);
        return real is not null && File.Exists(real) ? File.ReadAllText(real) : null;
    }

    public static bool Exists(string root, string path) => Resolve(root, path) is { } real && (File.Exists(real) || Directory.Exists(real));

    /// <summary>The path as the deployed system sees it.</summary>
    public static string Inside(string root, string real) => real.Length == root.Length ? "/" : real[root.Length..];
}
