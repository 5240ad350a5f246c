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

    static readonly string[] Contents = ["filesystem", "label", "deploy", "mount", "options", "encrypted"];

    public static (DiskSelector Select, DiskLayout Layout, string? Script) Read(YamlBinder binder, YamlSection node, string folder)
    {
        var disk = node.Section("disk", "select", "layout", "script");
        var script = disk.OptionalText("script");
        if (script is not null && !File.Exists(script = Path.GetFullPath(script, folder)))
            disk.Refuse("script", SiteReader.Code, $"the script {script} does not exist");
        var select = Selector(disk.Section("select", SelectorKeys));
        if (!disk.Has("layout"))
            return (select, Classic, script);
        var (first, layout) = Layout(binder, disk);
        if (script is not null && (layout.MoreDisks is not null || layout.Arrays is not null || layout.Groups is not null || layout.IsEncrypted() || layout.Everything().Any(p => p.Keep)))
            disk.Refuse("script", SiteReader.Code, "a script divides one disk into plain partitions: it goes with no 'keep', 'encrypted', 'disks', 'raid' or 'volume-groups'");
        return (first ?? select, layout, script);
    }

    /// <summary>A layer that lists disks takes the place of one with partitions, and the other way round: they say the same thing.</summary>
    public static bool Replaces(YamlMapping upper, string lowerKey) =>
        (lowerKey is "partitions" or "table" && upper["disks"] is not null) || (lowerKey == "disks" && upper["partitions"] is not null);

    static readonly string[] SelectorKeys = ["path", "bus", "minSize", "maxSize", "serial", "model"];

    static DiskSelector Selector(YamlSection select)
    {
        var selector = new DiskSelector(
            select.OptionalText("path"), select.OptionalText("bus"), select.OptionalSize("minSize"), select.OptionalSize("maxSize"),
            select.OptionalText("serial"), select.OptionalText("model"));
        if (selector.Path is { } path && !path.StartsWith("/dev/", StringComparison.Ordinal))
            select.Refuse("path", SiteReader.Code, $"'{DocumentError.Cut(path)}' is no device path", "/dev/disk/by-path/… or /dev/NAME");
        if (selector.Bus is { } bus && bus is not ("nvme" or "sata" or "scsi" or "virtio" or "mmc" or "usb"))
            select.Refuse("bus", SiteReader.Code, $"'{DocumentError.Cut(bus)}' is no bus", "nvme, sata, scsi, virtio, mmc or usb", Suggestion.DidYouMean(bus, ["nvme", "sata", "scsi", "virtio", "mmc", "usb"]));
        if (selector is { MinBytes: { } min, MaxBytes: { } max } && min > max)
            select.Refuse("maxSize", SiteReader.Code, "no disk is smaller than 'maxSize' and larger than 'minSize'");
        return selector;
    }

    /// <summary>What a disk gets when the configuration does not say: boots by both firmwares.</summary>
    static DiskLayout Classic { get; } = new(PartitionTableKind.Gpt,
    [
        new PartitionSpec("bios", 1 << 20, PartitionType.BiosBoot, FileSystemKind.None),
        new PartitionSpec("esp", 256 << 20, PartitionType.EfiSystem, FileSystemKind.Vfat, MountPoint: "/boot/efi"),
        new PartitionSpec("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
    ]);

    /// <summary>The layout, and the first disk's selector when the layout lists its disks.</summary>
    static (DiskSelector? First, DiskLayout Layout) Layout(YamlBinder binder, YamlSection disk)
    {
        var section = disk.Section("layout", "table", "partitions", "disks", "raid", "volume-groups");
        var places = new Dictionary<string, Location>(StringComparer.Ordinal);
        var disks = section.List("disks").Select(item => binder.Mapping(item, "a disk of the layout", "select", "table", "partitions"))
            .Select(d => new FurtherDisk(Selector(d.Section("select", SelectorKeys)), d.Choice("table", PartitionTableKind.Gpt), Partitions(binder, d, places))).ToImmutableArray();
        foreach (var key in (string[])["partitions", "table"])
            if (!disks.IsEmpty && section.Has(key))
                section.Refuse(key, SiteReader.Code, $"'{key}' stands in each of 'disks', not beside it");
        var table = disks.IsEmpty ? section.Choice("table", PartitionTableKind.Gpt) : disks[0].Table;
        var partitions = disks.IsEmpty ? Partitions(binder, section, places) : disks[0].Partitions;
        var arrays = section.List("raid").Select(item => Raid(binder.Mapping(item, "an array", ["name", "level", "members", .. Contents]), places)).ToImmutableArray();
        var groups = section.List("volume-groups").Select(item => Group(binder, binder.Mapping(item, "a volume group", "name", "members", "volumes"), places)).ToImmutableArray();
        var layout = new DiskLayout(
            table, partitions, disks.Length > 1 ? disks[1..] : null, arrays.IsEmpty ? null : arrays, groups.IsEmpty ? null : groups);
        var names = layout.Everything().Select(p => p.Name).ToArray();
        foreach (var fault in DiskLayoutRules.Check(layout))
        {
            var about = fault.Evidence ?? "";
            var near = names.Contains(about) ? null : Suggestion.DidYouMean(about, names);
            if (about.Length > 0 && places.TryGetValue(about, out var place))
                binder.Refuse(place, SiteReader.Code, fault.Message, about, null, near);
            else
                section.Refuse(disks.IsEmpty ? "partitions" : "disks", SiteReader.Code, fault.Message);
        }
        return (disks.IsEmpty ? null : disks[0].Select, layout);
    }

    static ImmutableArray<PartitionSpec> Partitions(YamlBinder binder, YamlSection holder, Dictionary<string, Location> places) =>
        [.. holder.List("partitions").Select(item => Partition(binder.Mapping(item, "a partition", ["name", "size", "type", "keep", .. Contents]), places))];

    static PartitionSpec Partition(YamlSection partition, Dictionary<string, Location> places)
    {
        var type = partition.Text("type", "linux");
        if (!Types.TryGetValue(type, out var kind))
            partition.Refuse("type", SiteReader.Code, $"'{DocumentError.Cut(type)}' is no partition type", $"one of: {string.Join(", ", Types.Keys.Order())}", Suggestion.DidYouMean(type, Types.Keys));
        var keep = partition.Bool("keep", false);
        return Content(partition, Size(partition, optional: keep), places) with { Type = kind, Keep = keep };
    }

    static RaidArray Raid(YamlSection array, Dictionary<string, Location> places) =>
        new(array.RequiredInt("level", 0, 1), Members(array, places), Content(array, null, places));

    static VolumeGroup Group(YamlBinder binder, YamlSection group, Dictionary<string, Location> places)
    {
        var volumes = group.List("volumes").Select(item => binder.Mapping(item, "a logical volume", ["name", "size", .. Contents]));
        return new VolumeGroup(Name(group, places), Members(group, places), [.. volumes.Select(v => Content(v, Size(v, optional: false), places))]);
    }

    static PartitionSpec Content(YamlSection part, long? bytes, Dictionary<string, Location> places)
    {
        var options = part.TextList("options");
        return new PartitionSpec(
            Name(part, places),
            bytes,
            PartitionType.Linux,
            part.Choice("filesystem", FileSystemKind.None),
            part.OptionalText("label"),
            part.Bool("deploy", false),
            part.OptionalText("mount"),
            options.IsEmpty ? null : options,
            Encrypted: part.Bool("encrypted", false));
    }

    static long? Size(YamlSection part, bool optional)
    {
        var size = optional ? part.OptionalText("size") ?? "rest" : part.RequiredText("size");
        return size == "rest" ? null : part.OptionalSize("size", 1 << 20);
    }

    static string Name(YamlSection part, Dictionary<string, Location> places)
    {
        if (part.RequiredScalar("name") is not { } name)
            return "";
        places[name.Text] = name.At; // of two with one name the second is the wrong one
        return name.Text;
    }

    static ImmutableArray<string> Members(YamlSection part, Dictionary<string, Location> places)
    {
        var members = part.ScalarList("members");
        foreach (var member in members)
            places.TryAdd(member.Text, member.At);
        return [.. members.Select(m => m.Text)];
    }
}
