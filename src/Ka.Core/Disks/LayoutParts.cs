using System.Collections.Immutable;

namespace Ka.Core.Disks;

/// <summary>Ways to look at a layout as a whole.</summary>
public static class LayoutParts
{
    /// <summary>Table and partitions of each disk, the first one first.</summary>
    public static IEnumerable<(PartitionTableKind Table, ImmutableArray<PartitionSpec> Partitions)> Disks(this DiskLayout layout) =>
        (layout.MoreDisks ?? []).Select(d => (d.Table, d.Partitions)).Prepend((layout.Table, layout.Partitions));

    /// <summary>The selector of each disk.</summary>
    public static IEnumerable<DiskSelector> Selectors(this DiskLayout layout, DiskSelector first) =>
        (layout.MoreDisks ?? []).Select(d => d.Select).Prepend(first);

    public static ImmutableArray<RaidArray> RaidArrays(this DiskLayout layout) => layout.Arrays ?? [];

    public static ImmutableArray<VolumeGroup> VolumeGroups(this DiskLayout layout) => layout.Groups ?? [];

    /// <summary>Everything that has a name and may hold something: partitions of all disks, arrays, logical volumes.</summary>
    public static IEnumerable<PartitionSpec> Everything(this DiskLayout layout) =>
        layout.Disks().SelectMany(d => d.Partitions)
            .Concat(layout.RaidArrays().Select(a => a.Content))
            .Concat(layout.VolumeGroups().SelectMany(g => g.Volumes));

    /// <summary>What receives the image.</summary>
    public static PartitionSpec Deploy(this DiskLayout layout) => layout.Everything().First(p => p.Deploy);

    /// <summary>What must be there before this can be, down to partitions, itself first.</summary>
    public static IEnumerable<PartitionSpec> Below(this DiskLayout layout, PartitionSpec part)
    {
        var members = layout.VolumeGroups().FirstOrDefault(g => g.Volumes.Contains(part))?.Members;
        var partitions = layout.Disks().SelectMany(d => d.Partitions).ToArray();
        var arrays = layout.RaidArrays().Where(a => members?.Contains(a.Content.Name) ?? a.Content == part).ToArray();
        return [
            part,
            .. arrays.Select(a => a.Content).Where(c => c != part),
            .. partitions.Where(p => members?.Contains(p.Name) == true || arrays.Any(a => a.Members.Contains(p.Name))),
        ];
    }

    /// <summary>Whether the deployed system must open something encrypted before it has a root.</summary>
    public static bool HasEncryptedRoot(this DiskLayout layout) => layout.Below(layout.Deploy()).Any(p => p.Encrypted);

    public static bool IsEncrypted(this DiskLayout layout) => layout.Everything().Any(p => p.Encrypted);
}

/// <summary>Names of devices that lie over partitions.</summary>
public static class StackedPath
{
    /// <summary>The device of a logical volume: device-mapper joins group and volume by a dash and doubles their own.</summary>
    public static string Volume(string group, string volume) =>
        "/dev/mapper/" + group.Replace("-", "--", StringComparison.Ordinal) + "-" + volume.Replace("-", "--", StringComparison.Ordinal);

    public static string Array(string name) => "/dev/md/" + name;

    /// <summary>The name under which an encrypted device is opened, here and by the deployed system (crypttab).</summary>
    public static string Opened(string name) => name + "_crypt";
}
