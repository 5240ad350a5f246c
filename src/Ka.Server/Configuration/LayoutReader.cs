using System.Collections.Immutable;
using Ka.Core.Disks;
using Ka.Core.Documents;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Reads which disk a node is installed on and how it is divided.</summary>
static class LayoutReader
{
    static readonly ImmutableDictionary<string, PartitionType> Types = new Dictionary<string, PartitionType>
    {
        ["linux"] = PartitionType.Linux,
        ["swap"] = PartitionType.LinuxSwap,
        ["esp"] = PartitionType.EfiSystem,
        ["bios-boot"] = PartitionType.BiosBoot,
        ["lvm"] = PartitionType.LinuxLvm,
        ["raid"] = PartitionType.LinuxRaid,
        ["data"] = PartitionType.MicrosoftBasicData,
    }.ToImmutableDictionary();

    public static (DiskSelector Select, DiskLayout Layout, string? Script) Read(YamlBinder binder, YamlSection node, string folder)
    {
        var disk = node.Section("disk", "select", "layout", "script");
        var select = disk.Section("select", "path", "bus", "minSize", "maxSize", "serial", "model");
        var selector = new DiskSelector(
            select.OptionalText("path"), select.OptionalText("bus"), select.OptionalSize("minSize"), select.OptionalSize("maxSize"),
            select.OptionalText("serial"), select.OptionalText("model"));
        if (selector.Path is { } path && !path.StartsWith("/dev/", StringComparison.Ordinal))
            select.Refuse("path", SiteReader.Code, $"'{DocumentError.Cut(path)}' is no device path", "/dev/disk/by-path/… or /dev/NAME");
        if (selector.Bus is { } bus && bus is not ("nvme" or "sata" or "scsi" or "virtio" or "mmc" or "usb"))
            select.Refuse("bus", SiteReader.Code, $"'{DocumentError.Cut(bus)}' is no bus", "nvme, sata, scsi, virtio, mmc or usb");
        var script = disk.OptionalText("script");
        if (script is not null && !File.Exists(script = Path.GetFullPath(script, folder)))
            disk.Refuse("script", SiteReader.Code, $"the script {script} does not exist");
        return (selector, disk.Has("layout") ? Layout(binder, disk) : Classic, script);
    }

    /// <summary>What a disk gets when the configuration does not say: boots by both firmwares.</summary>
    static DiskLayout Classic { get; } = new(PartitionTableKind.Gpt,
    [
        new PartitionSpec("bios", 1 << 20, PartitionType.BiosBoot, FileSystemKind.None),
        new PartitionSpec("esp", 256 << 20, PartitionType.EfiSystem, FileSystemKind.Vfat, MountPoint: "/boot/efi"),
        new PartitionSpec("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
    ]);

    static DiskLayout Layout(YamlBinder binder, YamlSection disk)
    {
        var section = disk.Section("layout", "table", "partitions");
        var partitions = ImmutableArray.CreateBuilder<PartitionSpec>();
        foreach (var item in section.List("partitions"))
            partitions.Add(Partition(binder.Mapping(item, "a partition", "name", "size", "type", "filesystem", "label", "deploy", "mount", "options")));
        var layout = new DiskLayout(section.Choice("table", PartitionTableKind.Gpt), partitions.ToImmutable());
        foreach (var fault in DiskLayoutRules.Check(layout))
            section.Refuse("partitions", SiteReader.Code, fault.Message);
        return layout;
    }

    static PartitionSpec Partition(YamlSection partition)
    {
        var type = partition.Text("type", "linux");
        if (!Types.TryGetValue(type, out var kind))
            partition.Refuse("type", SiteReader.Code, $"'{DocumentError.Cut(type)}' is no partition type", $"one of: {string.Join(", ", Types.Keys.Order())}");
        var size = partition.RequiredText("size");
        var options = partition.TextList("options");
        return new PartitionSpec(
            partition.RequiredText("name"),
            size == "rest" ? null : partition.OptionalSize("size", 1 << 20),
            kind,
            partition.Choice("filesystem", FileSystemKind.None),
            partition.OptionalText("label"),
            partition.Bool("deploy", false),
            partition.OptionalText("mount"),
            options.IsEmpty ? null : options);
    }
}
