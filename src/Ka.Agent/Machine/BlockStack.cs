using System.Collections.Immutable;
using Ka.Core.Faults;

namespace Ka.Agent.Machine;

/// <summary>A device that lies over partitions: an md array, or what device-mapper makes (logical volume, opened LUKS device).</summary>
/// <param name="Kernel"><c>dm-0</c>, <c>md127</c>.</param>
/// <param name="Mapper">Its name for device-mapper, or null.</param>
sealed record StackedDevice(string Kernel, string? Mapper)
{
    public bool Is(string source) =>
        source == "/dev/" + Kernel || (Mapper is not null && source == "/dev/mapper/" + Mapper)
        || (source.StartsWith("/dev/", StringComparison.Ordinal) && File.Exists(source) && File.ResolveLinkTarget(source, returnFinalTarget: true)?.FullName == "/dev/" + Kernel);
}

/// <summary>What lies over a disk now, whoever made it, and taking it down: an array, volume group or opened device of a former system or a former try.</summary>
static class BlockStack
{
    static readonly TimeSpan BusyPatience = TimeSpan.FromSeconds(5);

    /// <summary>From the top down: each before what it lies on.</summary>
    public static ImmutableArray<StackedDevice> Over(AgentPaths paths, string disk)
    {
        var found = new List<string>();
        Visit(Path.Combine(paths.Sys, "block", disk));
        return [.. found.Select(f => new StackedDevice(f, DiskScan.Text(Path.Combine(paths.Sys, "block", f), "dm/name")))];

        void Visit(string entry)
        {
            var parts = Directory.Exists(entry) ? Directory.EnumerateDirectories(entry).Where(d => File.Exists(Path.Combine(d, "partition"))) : [];
            foreach (var holders in parts.Prepend(entry).Select(p => Path.Combine(p, "holders")).Where(Directory.Exists))
            {
                foreach (var holder in Directory.EnumerateFileSystemEntries(holders).Select(h => Path.GetFileName(h)))
                {
                    if (!found.Contains(holder))
                    {
                        Visit(Path.Combine(paths.Sys, "block", holder));
                        found.Add(holder);
                    }
                }
            }
        }
    }

    /// <summary>Unmounts and switches off whatever lies on these disks or over them, and stops what lies over them. Repeatable.</summary>
    public static async Task<Fault?> Release(AgentPaths paths, IEnumerable<string> disks, CancellationToken cancel)
    {
        foreach (var disk in disks)
        {
            if (await Unmount(paths, disk, cancel) is { } held)
            {
                return held;
            }
            foreach (var device in Over(paths, disk))
            {
                if (await Stop(device, cancel) is { } failed)
                {
                    return failed;
                }
            }
        }
        return null;
    }

    /// <summary>Unmounts and switches off whatever lies on a disk or over it.</summary>
    public static Task<Fault?> Unmount(AgentPaths paths, string disk, CancellationToken cancel)
    {
        var stack = Over(paths, disk);
        return Mounts.Release(paths, s => IsOn(s, disk, stack), cancel);
    }

    /// <summary>Whether a device is this disk, lies on it or over it.</summary>
    public static bool Holds(AgentPaths paths, string disk, string device) => IsOn(device, disk, Over(paths, disk));

    static bool IsOn(string device, string disk, ImmutableArray<StackedDevice> stack) => Mounts.IsPartOf(device, "/dev/" + disk) || stack.Any(d => d.Is(device));

    /// <summary>Something that looks at a device just unmounted holds it for a moment: it is tried again.</summary>
    static async Task<Fault?> Stop(StackedDevice device, CancellationToken cancel)
    {
        var begun = Environment.TickCount64;
        while (true)
        {
            var stopped = device.Mapper is { } name
                ? await StackTool.Run("dmsetup", ["remove", name], cancel)
                : await StackTool.Run("mdadm", ["--stop", "/dev/" + device.Kernel], cancel);
            if (stopped.Ok || Environment.TickCount64 - begun > BusyPatience.TotalMilliseconds)
            {
                return stopped.Or(FaultCodes.DiskStackFailed, $"What a former system left over the disk could not be stopped: {device.Mapper ?? device.Kernel}.");
            }
            await Task.Delay(200, cancel);
        }
    }
}

/// <summary>Runs the programs of device-mapper, LVM and md, which would otherwise wait for a udev that is not there.</summary>
static class StackTool
{
    public static Task<ToolOutcome> Run(string program, IEnumerable<string> arguments, CancellationToken cancel, string? input = null)
    {
        var start = Tool.Start(program, arguments);
        start.Environment["DM_DISABLE_UDEV"] = "1";
        start.Environment["MDADM_NO_UDEV"] = "1";
        start.Environment["LVM_SUPPRESS_FD_WARNINGS"] = "1"; // the agent's own sockets
        return Tool.Run(start, input, ownGroup: false, cancel);
    }
}
