using System.Collections.Immutable;
using System.Text;
using Ka.Core.Faults;

namespace Ka.Agent.Machine;

/// <summary>One line of <c>/proc/self/mountinfo</c> (proc(5)).</summary>
sealed record MountEntry(string Directory, string Type, string Source);

/// <summary>What is mounted, and unmounting it with every error seen.</summary>
static class Mounts
{
    static readonly TimeSpan BusyPatience = TimeSpan.FromSeconds(5);

    /// <summary>All mounts, in the order in which they were made.</summary>
    public static ImmutableArray<MountEntry> Parse(string mountinfo)
    {
        var entries = ImmutableArray.CreateBuilder<MountEntry>();
        foreach (var line in mountinfo.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var fields = line.Split(' ');
            var dash = Array.IndexOf(fields, "-");
            if (fields.Length > 4 && dash > 4 && fields.Length > dash + 2)
            {
                entries.Add(new MountEntry(Unescape(fields[4]), fields[dash + 1], Unescape(fields[dash + 2])));
            }
        }
        return entries.ToImmutable();
    }

    public static ImmutableArray<MountEntry> Read(AgentPaths paths) => Parse(File.ReadAllText(Path.Combine(paths.Proc, "self/mountinfo")));

    /// <summary>Mounts at or below a directory, the last made first.</summary>
    public static ImmutableArray<MountEntry> Below(ImmutableArray<MountEntry> mounts, string directory) =>
        [.. mounts.Where(m => m.Directory == directory || m.Directory.StartsWith(directory + "/", StringComparison.Ordinal)).Reverse()];

    /// <summary>Whether a device is this disk or one of its partitions.</summary>
    public static bool IsPartOf(string source, string disk)
    {
        if (!source.StartsWith(disk, StringComparison.Ordinal))
        {
            return false;
        }
        var rest = source[disk.Length..];
        if (rest.Length > 0 && char.IsAsciiDigit(disk[^1]))
        {
            return rest[0] == 'p' && rest.Length > 1 && rest.Skip(1).All(char.IsAsciiDigit);
        }
        return rest.All(char.IsAsciiDigit);
    }

    /// <summary>Unmounts all of these; waits a few seconds where something is still busy.</summary>
    public static async Task<Fault?> Unmount(IEnumerable<MountEntry> mounts, CancellationToken cancel)
    {
        foreach (var mount in mounts)
        {
            var begun = Environment.TickCount64;
            int error;
            while ((error = Native.Unmount(mount.Directory)) == Native.Busy && Environment.TickCount64 - begun < BusyPatience.TotalMilliseconds)
            {
                await Task.Delay(100, cancel);
            }
            if (error != 0)
            {
                var code = error == Native.IoError ? FaultCodes.DiskIoError : FaultCodes.DiskMountFailed;
                return Fault.Of(code, "A file system could not be unmounted.", $"{mount.Source} on {mount.Directory}: {Native.Message(error)}");
            }
        }
        return null;
    }

    /// <summary>Writes what was put below a directory to its disks.</summary>
    /// <param name="what">What could not be written then: the subject of the message.</param>
    public static Fault? Sync(ImmutableArray<MountEntry> mounts, string what)
    {
        foreach (var mount in mounts.Where(m => m.Source.StartsWith("/dev/", StringComparison.Ordinal)))
        {
            if (Native.SyncFileSystem(mount.Directory) is not 0 and var error)
            {
                return NotWritten(error, what, $"{mount.Source}: {Native.Message(error)}");
            }
        }
        return null;
    }

    /// <summary>A file system that could not be synced.</summary>
    public static Fault NotWritten(int error, string what, string evidence) =>
        Fault.Of(error == Native.NoSpace ? FaultCodes.DiskFull : FaultCodes.DiskIoError, $"{what} could not be written to the disk.", evidence);

    /// <summary>Frees a device and its partitions of what a former system or a former try left in use.</summary>
    public static Task<Fault?> Release(AgentPaths paths, string device, CancellationToken cancel) => Release(paths, s => IsPartOf(s, device), cancel);

    /// <summary>Unmounts and switches off whatever has one of these devices as its source, the last mounted first.</summary>
    public static async Task<Fault?> Release(AgentPaths paths, Func<string, bool> isSource, CancellationToken cancel)
    {
        foreach (var directory in Read(paths).Where(m => isSource(m.Source)).Reverse().Select(m => m.Directory).Distinct())
        {
            // Binds of /dev and /proc may lie below the disk's mounts.
            if (await Unmount(Below(Read(paths), directory), cancel) is { } fault)
            {
                return fault;
            }
        }
        foreach (var swap in File.ReadAllLines(Path.Combine(paths.Proc, "swaps")).Skip(1).Select(l => l.Split(' ')[0]).Where(isSource))
        {
            if (Native.SwapOff(swap) is not 0 and var error)
            {
                return Fault.Of(FaultCodes.DiskMountFailed, "Swap could not be switched off.", $"{swap}: {Native.Message(error)}");
            }
        }
        return null;
    }

    /// <summary>Blanks and backslashes are written as <c>\040</c>.</summary>
    static string Unescape(string field)
    {
        if (!field.Contains('\\', StringComparison.Ordinal))
        {
            return field;
        }
        var text = new StringBuilder();
        for (var i = 0; i < field.Length; i++)
        {
            if (field[i] == '\\' && i + 3 < field.Length && field[(i + 1)..(i + 4)].All(c => c is >= '0' and <= '7'))
            {
                text.Append((char)Convert.ToInt32(field[(i + 1)..(i + 4)], 8));
                i += 3;
            }
            else
            {
                text.Append(field[i]);
            }
        }
        return text.ToString();
    }
}
