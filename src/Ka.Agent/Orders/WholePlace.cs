using Ka.Agent.Machine;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>
/// A directory for an image that must lie whole on the node before it is unpacked: in memory, or on the mounted target when the memory is too small.
/// It is always found at the same path, and gone when the image is unpacked.
/// </summary>
sealed class WholePlace : IDisposable
{
    /// <summary>Name in the root of the target.</summary>
    public const string OnTarget = ".ka-image";

    const string FileName = "image";

    readonly string _real;

    WholePlace(string directory, string real) => (Directory, _real) = (directory, real);

    public string Directory { get; }

    public string File => Path.Combine(Directory, FileName);

    /// <summary>Empty and with room for the image; or why there is none.</summary>
    /// <param name="roomOnTarget">Bytes that the target must have free; 0 when it may not be used.</param>
    public static (WholePlace? Place, Fault? Fault) Make(long bytes, long roomOnTarget, AgentPaths paths)
    {
        var directory = At(paths);
        Remove(paths, directory);
        System.IO.Directory.CreateDirectory(paths.Run);
        var memory = WholeImage.Share(Inventory.AvailableMemory(paths));
        var inRun = new DriveInfo(paths.Run).AvailableFreeSpace;
        if (bytes <= Math.Min(memory, inRun))
        {
            System.IO.Directory.CreateDirectory(directory);
            return (new WholePlace(directory, directory), null);
        }
        var mounted = roomOnTarget > 0 && !Mounts.Below(Mounts.Read(paths), paths.Target).IsEmpty;
        var free = mounted ? new DriveInfo(paths.Target).AvailableFreeSpace : 0;
        if (!mounted || free < roomOnTarget)
        {
            return (null, Fault.Of(
                FaultCodes.BroadcastNoRoom, "There is no place for the whole image before it is unpacked.",
                $"{bytes} bytes; memory {memory}, {paths.Run} {inRun}, {(mounted ? $"{paths.Target} {free} of {roomOnTarget} that it needs with the system" : "no partition is mounted for it")}"));
        }
        var real = Path.Combine(paths.Target, OnTarget);
        System.IO.Directory.CreateDirectory(real);
        System.IO.Directory.CreateSymbolicLink(directory, real);
        return (new WholePlace(directory, real), null);
    }

    /// <summary>The place that was made before, or null.</summary>
    public static WholePlace? Find(AgentPaths paths) =>
        At(paths) is var directory && System.IO.Directory.Exists(directory) ? new WholePlace(directory, System.IO.Directory.ResolveLinkTarget(directory, true)?.FullName ?? directory) : null;

    public void Dispose()
    {
        if (System.IO.Directory.Exists(_real))
        {
            System.IO.Directory.Delete(_real, recursive: true);
        }
        if (_real != Directory)
        {
            System.IO.File.Delete(Directory); // the link
        }
    }

    static string At(AgentPaths paths) => Path.Combine(paths.Run, "whole");

    /// <summary>What a former try left.</summary>
    static void Remove(AgentPaths paths, string directory)
    {
        Find(paths)?.Dispose();
        if (new FileInfo(directory).LinkTarget is not null)
        {
            System.IO.File.Delete(directory); // its target is gone with the partition
        }
    }
}
