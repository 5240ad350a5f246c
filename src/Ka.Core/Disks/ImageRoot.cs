using System.Collections.Immutable;

namespace Ka.Core.Disks;

/// <summary>What stands in one partition of an image.</summary>
/// <param name="FileSystem">Null when it is none that Ka knows.</param>
public sealed record ProbedPartition(ImagePartition Partition, FileSystemSignature? FileSystem);

/// <summary>Finds the root file system of a whole-disk image and turns its table into a layout that the steps after the writing work with.</summary>
public static class ImageRoot
{
    /// <summary>The partition that is meant, or the only one that can be meant.</summary>
    /// <param name="wish"><c>partition N</c>, <c>label X</c>, <c>uuid X</c>; null to search: the type that says root, else the largest ext4, XFS or btrfs.</param>
    /// <returns>Null when there is none; such an image is written and nothing more.</returns>
    public static ProbedPartition? Find(ImmutableArray<ProbedPartition> partitions, string? wish)
    {
        var mountable = partitions.Where(p => p.FileSystem?.Kind is FileSystemKind.Ext4 or FileSystemKind.Xfs or FileSystemKind.Btrfs).ToArray();
        if (wish?.Split(' ', 2) is [var how, var value])
        {
            return mountable.FirstOrDefault(p => how switch
            {
                "partition" => p.Partition.Number.ToString() == value,
                "label" => p.FileSystem!.Label == value,
                _ => string.Equals(p.FileSystem!.Uuid, value, StringComparison.OrdinalIgnoreCase),
            });
        }
        return mountable.FirstOrDefault(p => p.Partition.IsRootType) ?? mountable.MaxBy(p => p.Partition.Bytes);
    }

    /// <summary>The image's partitions as a layout; sizes are rounded down to whole MiB, since nothing is placed by it.</summary>
    public static DiskLayout Layout(PartitionTableKind table, ImmutableArray<ProbedPartition> partitions, ProbedPartition root) => new(
        table,
        [.. partitions.Select(p => new PartitionSpec(
            $"p{p.Partition.Number}",
            Math.Max(DiskLayoutRules.MiB, p.Partition.Bytes / DiskLayoutRules.MiB * DiskLayoutRules.MiB),
            p.Partition.Type == PartitionType.BiosBoot ? PartitionType.Linux : p.Partition.Type,
            p.Partition.Type == PartitionType.BiosBoot ? FileSystemKind.None : p.FileSystem?.Kind ?? FileSystemKind.None,
            Deploy: p == root,
            Number: p.Partition.Number))]);
}
