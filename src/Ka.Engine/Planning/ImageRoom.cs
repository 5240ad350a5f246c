using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Engine.Planning;

/// <summary>Whether the images of an environment find their places on the disks, as far as it is known before anything is erased.</summary>
static class ImageRoom
{
    public static void CheckDisk(DeployRequest request, ImmutableArray<Fault>.Builder faults)
    {
        var image = request.Environment.Image;
        if (request.DiskBytes is { } disk && image.UnpackedBytes > disk)
            faults.Add(Fault.Of(FaultCodes.ArchiveTooLarge, $"{request.Environment.Name} is a disk image of {image.UnpackedBytes} bytes, the smallest disk has {disk}"));
    }

    /// <summary>Further images go to partitions that every layout must have.</summary>
    public static void CheckParts(DeployRequest request, ImmutableArray<Fault>.Builder faults)
    {
        var parts = request.Environment.Parts ?? [];
        if (!parts.IsEmpty && request.Needs.WholeDisk)
            faults.Add(Fault.Of(FaultCodes.EnvironmentInvalid, $"{request.Environment.Name}: a whole-disk image leaves no partition for further images"));
        foreach (var layout in request.Nodes.GroupBy(n => n.Layout))
            foreach (var part in parts)
                if (Against(request.Environment.Name, part, layout.Key) is { } fault)
                    faults.Add(fault with { Evidence = $"nodes {string.Join(',', layout.Select(n => n.Name).Take(10))}" });
    }

    /// <summary>A whole disk cannot be written where something on it has to stay.</summary>
    public static void CheckStrategies(DeployRequest request, ImmutableArray<Fault>.Builder faults)
    {
        if (!request.Needs.WholeDisk)
            return;
        var name = request.Environment.Name;
        if (request.Cluster.MinimalEnv.Any(s => s.Do == "prod"))
            faults.Add(Fault.Of(FaultCodes.EnvironmentInvalid, $"{name} is written over the whole disk, on which the system of the strategy 'prod' runs"));
        if (!request.Options.Partitioning)
            faults.Add(Fault.Of(FaultCodes.EnvironmentInvalid, $"{name} is written over the whole disk, whose partitions are to be left as they are"));
        if (request.Environment.PreInstall is not null)
            faults.Add(Fault.Of(FaultCodes.EnvironmentInvalid, $"{name} is written over the whole disk, which its pre-install prepares"));
    }

    static Fault? Against(string environment, ImagePart part, DiskLayout layout)
    {
        if (layout.Everything().FirstOrDefault(p => p.Name == part.Partition) is not { } place)
            return Fault.Of(FaultCodes.EnvironmentInvalid, $"{environment} has an image for the partition '{part.Partition}', the layout has {string.Join(", ", layout.Everything().Select(p => p.Name))}");
        if (place.Keep)
            return Fault.Of(FaultCodes.EnvironmentInvalid, $"{environment} has an image for the partition '{part.Partition}', which is to be kept");
        if (place.Deploy)
            return Fault.Of(FaultCodes.EnvironmentInvalid, $"{environment} has a second image for the deploy partition '{part.Partition}'");
        if (part.Image.Kind == ImageKind.Tar && place.FileSystem is FileSystemKind.None or FileSystemKind.Swap)
            return Fault.Of(FaultCodes.EnvironmentInvalid, $"{environment} has an archive for the partition '{part.Partition}', which gets no file system");
        return place.Bytes is { } bytes && part.Image.UnpackedBytes > bytes
            ? Fault.Of(FaultCodes.ArchiveTooLarge, $"the image for the partition '{part.Partition}' has {part.Image.UnpackedBytes} bytes, the partition {bytes}")
            : null;
    }
}
