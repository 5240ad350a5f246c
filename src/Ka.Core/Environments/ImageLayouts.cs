using System.Collections.Immutable;
using Ka.Core.Disks;

namespace Ka.Core.Environments;

/// <summary>How the layout of a node's disk looks to the steps before and after images are written over partitions.</summary>
public static class ImageLayouts
{
    /// <summary>For formatting: no file system is made where an image is written.</summary>
    public static DiskLayout ToFormat(OsEnvironment environment, DiskLayout layout) =>
        With(environment, layout, (spec, raw) => spec with { FileSystem = FileSystemKind.None });

    /// <summary>For everything after the writing: the file systems that the images brought, or the table of a whole-disk image.</summary>
    public static DiskLayout Written(OsEnvironment environment, DiskLayout layout) =>
        environment.Image.Raw is { Target: RawTarget.Disk, Partitions: { } own } ? own : With(environment, layout, (spec, raw) => spec with { FileSystem = raw.FileSystem });

    /// <summary>Where the system mounts what further images fill: no part of the main image's tree.</summary>
    public static ImmutableArray<string> FilledElsewhere(OsEnvironment environment, DiskLayout layout) =>
        [.. layout.Everything().Where(p => (environment.Parts ?? []).Any(i => i.Partition == p.Name)).Select(p => p.MountPoint).OfType<string>()];

    /// <summary>What formatting makes on the deploy partition; None when an image is written over it.</summary>
    public static FileSystemKind DeployFileSystem(OsEnvironment environment) =>
        environment.Image.Kind switch { ImageKind.Tar => environment.FileSystem, ImageKind.Raw => FileSystemKind.None };

    static DiskLayout With(OsEnvironment environment, DiskLayout layout, Func<PartitionSpec, RawImage, PartitionSpec> change)
    {
        var written = environment.Images().Where(p => p.Image.Raw is { Target: RawTarget.Partition }).ToArray();
        if (written.Length == 0)
            return layout;
        return layout with
        {
            Partitions = All(layout.Partitions),
            MoreDisks = layout.MoreDisks is { } disks ? [.. disks.Select(d => d with { Partitions = All(d.Partitions) })] : null,
            Arrays = layout.Arrays is { } arrays ? [.. arrays.Select(a => a with { Content = One(a.Content) })] : null,
            Groups = layout.Groups is { } groups ? [.. groups.Select(g => g with { Volumes = All(g.Volumes) })] : null,
        };

        ImmutableArray<PartitionSpec> All(ImmutableArray<PartitionSpec> specs) => [.. specs.Select(One)];

        PartitionSpec One(PartitionSpec spec) =>
            written.FirstOrDefault(p => p.Partition is null ? spec.Deploy : spec.Name == p.Partition)?.Image.Raw is { } raw ? change(spec, raw) : spec;
    }
}
