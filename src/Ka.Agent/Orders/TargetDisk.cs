using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>One partition, array or logical volume of the layout and its device.</summary>
/// <param name="Number">In its disk's table; 0 for what is no partition.</param>
/// <param name="Device">What holds the file system: of an encrypted part, the opened device.</param>
/// <param name="FileSystem">What is made on it; for the deploy partition what the environment wants.</param>
/// <param name="MountPoint">Where the deployed system mounts it, or null.</param>
/// <param name="Disk">Index of its disk.</param>
/// <param name="Raw">The device itself, encrypted or not; null stands for <paramref name="Device"/>.</param>
sealed record TargetPartition(PartitionSpec Spec, int Number, string Device, FileSystemKind FileSystem, string? MountPoint, int Disk = 0, string? Raw = null)
{
    /// <summary>The device under the encryption, when there is one.</summary>
    public string RawDevice => Raw ?? Device;
}

/// <summary>The disks that were chosen, the one that boots first, with all that lies on them.</summary>
sealed record TargetDisk(DiskFacts Facts, DiskLayout Layout, ImmutableArray<TargetPartition> Partitions)
{
    static readonly TimeSpan AppearPatience = TimeSpan.FromSeconds(10);

    public string Device => Facts.Device;

    /// <summary>All disks of the layout, in its order.</summary>
    public ImmutableArray<DiskFacts> Disks { get; init; } = [Facts];

    public TargetPartition Named(string name) => Partitions.First(p => p.Spec.Name == name);

    public TargetPartition Deploy => Partitions.First(p => p.Spec.Deploy);

    /// <summary>Where the deployed system mounts the EFI system partition that this deployment made; null without one.</summary>
    public string? EfiSystem => Partitions.FirstOrDefault(p => p.Spec is { Type: PartitionType.EfiSystem, Keep: false })?.MountPoint;

    /// <summary>What the deployed system mounts, the root first and then by depth. The ESP belongs to UEFI machines only.</summary>
    public IEnumerable<TargetPartition> Mounted(bool uefi) => Partitions
        .Where(p => p.MountPoint is not null && p.FileSystem is not (FileSystemKind.None or FileSystemKind.Swap))
        .Where(p => uefi || p.Spec.Type != PartitionType.EfiSystem)
        .OrderBy(p => p.MountPoint == "/" ? 0 : p.MountPoint!.Count(c => c == '/'))
        .ThenBy(p => p.MountPoint, StringComparer.Ordinal);

    /// <summary>Chooses the disk; waits some seconds for one that its driver has not yet found.</summary>
    public static async Task<(TargetDisk? Disk, Fault? Fault)> Find(
        AgentPaths paths, DiskSelector select, DiskLayout layout, FileSystemKind deployFileSystem, CancellationToken cancel)
    {
        if (DiskLayoutRules.Check(layout) is [var wrong, ..])
        {
            return (null, wrong);
        }
        var begun = Environment.TickCount64;
        while (true)
        {
            if (TryChoose(paths, select, layout, out var chosen, out var fault))
            {
                return (Of(chosen, layout, deployFileSystem), null);
            }
            if (Environment.TickCount64 - begun > AppearPatience.TotalMilliseconds)
            {
                return (null, fault);
            }
            await Task.Delay(100, cancel);
        }
    }

    /// <summary>The kernel's <c>root=</c>: initramfs scripts activate a logical volume or opened device by its name only.</summary>
    public string RootParameter(string uuid) => Deploy.Device.StartsWith("/dev/mapper/", StringComparison.Ordinal) ? $"root={Deploy.Device}" : $"root=UUID={uuid}";

    /// <summary>A disk for each selector; a disk that was chosen already is not seen by the next.</summary>
    static bool TryChoose(AgentPaths paths, DiskSelector select, DiskLayout layout, out ImmutableArray<DiskFacts> chosen, out Fault? fault)
    {
        var found = ImmutableArray.CreateBuilder<DiskFacts>();
        fault = null;
        foreach (var selector in layout.Selectors(select))
        {
            var seen = DiskScan.For(paths, selector).Where(d => found.All(f => f.Name != d.Name));
            if (!DiskSelection.TryChoose(selector, seen, out var disk, out fault))
            {
                break;
            }
            found.Add(disk);
        }
        chosen = found.ToImmutable();
        return fault is null;
    }

    /// <summary>A layout on one disk.</summary>
    public static TargetDisk Of(DiskFacts facts, DiskLayout layout, FileSystemKind deployFileSystem) => Of([facts], layout, deployFileSystem);

    /// <param name="deployFileSystem">What the environment wants on the deploy partition; None leaves the layout's.</param>
    public static TargetDisk Of(ImmutableArray<DiskFacts> disks, DiskLayout layout, FileSystemKind deployFileSystem)
    {
        var parts = ImmutableArray.CreateBuilder<TargetPartition>();
        void Add(PartitionSpec spec, int number, string raw, int disk) => parts.Add(new TargetPartition(
            spec,
            number,
            spec.Encrypted ? "/dev/mapper/" + StackedPath.Opened(spec.Name) : raw,
            spec.Deploy && deployFileSystem != FileSystemKind.None ? deployFileSystem : spec.FileSystem,
            spec.Deploy ? "/" : spec.MountPoint ?? (spec is { Type: PartitionType.EfiSystem, FileSystem: FileSystemKind.Vfat } && disk == 0 ? "/boot/efi" : null),
            disk,
            raw));

        foreach (var (partitions, disk) in layout.Disks().Select((d, i) => (d.Partitions, i)))
        {
            for (var i = 0; i < partitions.Length; i++)
            {
                var number = partitions[i].Number ?? i + 1;
                Add(partitions[i], number, PartitionPath.Of(disks[disk].Device, number), disk);
            }
        }
        foreach (var array in layout.RaidArrays())
        {
            Add(array.Content, 0, StackedPath.Array(array.Content.Name), 0);
        }
        foreach (var group in layout.VolumeGroups())
        {
            foreach (var volume in group.Volumes)
            {
                Add(volume, 0, StackedPath.Volume(group.Name, volume.Name), 0);
            }
        }
        return new TargetDisk(disks[0], layout, parts.ToImmutable()) { Disks = disks };
    }
}
