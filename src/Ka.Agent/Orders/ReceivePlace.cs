using System.ComponentModel;
using Ka.Agent.Machine;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>The place of one image: made ready before the first byte comes, and put in order after the last.</summary>
/// <param name="Disk">The device that was written over, or null for an archive.</param>
/// <param name="Mount">Where a partition besides the root was mounted for its archive, or null.</param>
sealed record ReceivePlace(IImageSink Sink, WrittenDisk? Disk, MountEntry? Mount) : IAsyncDisposable
{
    public static async Task<(ReceivePlace? Place, Fault? Fault)> Prepare(ReceiveImage order, OrderContext context, CancellationToken cancel)
    {
        try
        {
            return order.Kind switch
            {
                ImageKind.Raw => await Device(order, context, cancel),
                ImageKind.Tar when order.Place is { } place => await Partition(order, place, context, cancel),
                ImageKind.Tar => Target(order, context),
            };
        }
        catch (Win32Exception e)
        {
            return (null, Fault.Of(FaultCodes.ImageExtractFailed, "A program that unpacks could not be started.", e.Message));
        }
    }

    /// <summary>What has to happen once everything is on the disk.</summary>
    public async Task<Fault?> Done(CancellationToken cancel)
    {
        Sink.Dispose(); // gives the device free, so that its partitions can be seen
        return Disk is { IsWhole: true } ? await Disk.RereadTable(cancel) : null;
    }

    public async ValueTask DisposeAsync()
    {
        Sink.Dispose();
        if (Mount is not null)
        {
            await Mounts.Unmount([Mount], CancellationToken.None);
        }
    }

    static (ReceivePlace?, Fault?) Target(ReceiveImage order, OrderContext context) =>
        NotEmpty(context) is { } leftover
            ? (null, Fault.Of(FaultCodes.ImageExtractFailed, "The target holds a former try; it must be formatted first.", leftover))
            : (new ReceivePlace(Unpacking.Start(order.Compression, context.Paths, context.Paths.Target, order.AclsAsText), null, null), null);

    static async Task<(ReceivePlace?, Fault?)> Device(ReceiveImage order, OrderContext context, CancellationToken cancel)
    {
        if (order.Place is not { Bytes: > 0 } place)
        {
            return (null, Fault.Of(FaultCodes.AgentProtocol, "A disk image needs a place to be written to."));
        }
        var (disk, missing) = await WrittenDisk.Find(place, context.Paths, cancel);
        if (disk is null)
        {
            return (null, missing);
        }
        var (device, fault) = await disk.OpenToWrite(place, context.Paths, cancel);
        if (device is null)
        {
            return (null, fault);
        }
        try
        {
            return (new ReceivePlace(Writing.Start(device, place.Bytes, order.Compression), disk, null), null);
        }
        catch (Win32Exception)
        {
            device.Dispose();
            throw;
        }
    }

    /// <summary>An archive for a partition that is not the root: that is mounted by itself, whatever the deployed system does with it.</summary>
    static async Task<(ReceivePlace?, Fault?)> Partition(ReceiveImage order, ImagePlace place, OrderContext context, CancellationToken cancel)
    {
        var (disk, fault) = await TargetDisk.Find(context.Paths, place.Select, place.Layout!, Core.Disks.FileSystemKind.None, cancel);
        if (disk?.Partitions.FirstOrDefault(p => p.Spec.Name == place.Partition) is not { } partition)
        {
            return (null, fault ?? Fault.Of(FaultCodes.AgentProtocol, "The order names a partition that its layout does not have.", place.Partition));
        }
        var directory = Path.Combine(context.Paths.Run, "parts", partition.Spec.Name);
        Directory.CreateDirectory(directory);
        if (Mounting.Mount(partition, directory) is { } notMounted)
        {
            return (null, notMounted);
        }
        var mount = new MountEntry(directory, "", partition.Device);
        if (Directory.EnumerateFileSystemEntries(directory).FirstOrDefault(e => Path.GetFileName(e) != "lost+found") is { } leftover)
        {
            await Mounts.Unmount([mount], cancel);
            return (null, Fault.Of(FaultCodes.ImageExtractFailed, "The partition holds a former try; it must be formatted first.", leftover));
        }
        return (new ReceivePlace(Unpacking.Start(order.Compression, context.Paths, directory, order.AclsAsText), null, mount), null);
    }

    /// <summary>What lies in the target besides the places where other partitions are mounted; null when it is fresh.</summary>
    static string? NotEmpty(OrderContext context)
    {
        var target = context.Paths.Target;
        if (!Directory.Exists(target))
        {
            return "the target is not mounted";
        }
        var mounts = Mounts.Below(Mounts.Read(context.Paths), target).Select(m => m.Directory).ToHashSet(StringComparer.Ordinal);
        return Leftover(target);

        string? Leftover(string directory)
        {
            foreach (var entry in Directory.EnumerateFileSystemEntries(directory))
            {
                if (mounts.Contains(entry) || Path.GetFileName(entry) is "lost+found" or WholePlace.OnTarget)
                {
                    continue;
                }
                var leads = mounts.Any(m => m.StartsWith(entry + "/", StringComparison.Ordinal));
                var found = leads && Directory.Exists(entry) ? Leftover(entry) : entry;
                if (found is not null)
                {
                    return found;
                }
            }
            return null;
        }
    }
}
