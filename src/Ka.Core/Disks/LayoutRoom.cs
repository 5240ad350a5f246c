using System.Collections.Immutable;
using Ka.Core.Faults;

namespace Ka.Core.Disks;

/// <summary>How many bytes each part of a layout will have, known before anything is written.</summary>
public static class LayoutRoom
{
    const long MiB = DiskLayoutRules.MiB;

    /// <summary>Header of LUKS2 as cryptsetup makes it.</summary>
    public const long LuksHeader = 16 * MiB;

    /// <summary>Where the data of an array's members begin; given to mdadm, which would choose by size.</summary>
    public const long RaidOffset = 4 * MiB;

    /// <summary>LVM's own defaults: an extent, and what a physical volume keeps for its metadata.</summary>
    public const long Extent = 4 * MiB, VolumeMetadata = MiB;

    /// <summary>Room for content, by name; an encrypted part has its header taken off.</summary>
    /// <param name="places">The partitions of all disks.</param>
    /// <param name="fault"><c>disk.too_small</c> when a volume group does not hold its volumes.</param>
    public static bool TryMeasure(DiskLayout layout, IEnumerable<PartitionPlace> places, out ImmutableDictionary<string, long> room, out Fault? fault)
    {
        var sizes = places.ToDictionary(p => p.Partition.Name, p => Inside(p.Partition, p.Bytes), StringComparer.Ordinal);
        fault = null;
        foreach (var array in layout.RaidArrays())
        {
            var members = array.Members.Select(m => (sizes[m] - RaidOffset) / MiB * MiB).ToArray();
            sizes[array.Content.Name] = Inside(array.Content, array.Level == 1 ? members.Min() : members.Sum());
        }
        foreach (var group in layout.VolumeGroups())
        {
            var free = group.Members.Sum(m => Math.Max(0, (sizes[m] - VolumeMetadata) / Extent));
            var needed = group.Volumes.Sum(v => Extents(v.Bytes ?? Extent));
            if (needed > free)
            {
                fault = Fault.Of(FaultCodes.DiskTooSmall, $"The logical volumes do not fit into the volume group '{group.Name}'.", $"needs {needed * Extent / MiB} MiB, has {free * Extent / MiB} MiB");
                break;
            }
            foreach (var volume in group.Volumes)
            {
                var extents = volume.Bytes is { } bytes ? Extents(bytes) : free;
                free -= extents;
                sizes[volume.Name] = Inside(volume, extents * Extent);
            }
        }
        room = sizes.ToImmutableDictionary(StringComparer.Ordinal);
        return fault is null;
    }

    /// <summary>
    /// Room of what receives the image as far as it is known without the nodes: its own size, or what a single disk of the known size
    /// leaves. Null when only the nodes can tell; they check it before they erase.
    /// </summary>
    public static long? OfDeploy(DiskLayout layout, long? diskBytes)
    {
        var deploy = layout.Deploy();
        if (deploy.Bytes is { } bytes)
        {
            return Inside(deploy, bytes);
        }
        var single = layout.MoreDisks is not { Length: > 0 } && !layout.Partitions.Any(p => p.Keep);
        return single && diskBytes is { } size
            && SfdiskScript.TryPlace(layout, size, out var places, out _) && TryMeasure(layout, places, out var room, out _)
            ? room[deploy.Name]
            : null;
    }

    static long Inside(PartitionSpec part, long bytes) => part.Encrypted ? bytes - LuksHeader : bytes;

    static long Extents(long bytes) => (bytes + Extent - 1) / Extent;
}
