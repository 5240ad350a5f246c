using System.Collections.Immutable;
using Ka.Core.Disks;
using Ka.Core.Faults;

namespace Ka.Tests.Disks;

/// <summary>Layouts with more than one disk and more than plain partitions.</summary>
public class LayoutStacks
{
    const long MiB = 1024 * 1024;

    static PartitionSpec Part(string name, long? mebibytes, PartitionType type = PartitionType.Linux, FileSystemKind kind = FileSystemKind.None) =>
        new(name, mebibytes * MiB, type, kind);

    static PartitionSpec Root(long? mebibytes = null) => Part("root", mebibytes, kind: FileSystemKind.Ext4) with { Deploy = true };

    static readonly DiskLayout OnLvm = new(PartitionTableKind.Gpt, [Part("bios", 1, PartitionType.BiosBoot), Part("pv", null, PartitionType.LinuxLvm)],
        Groups: [new VolumeGroup("vg0", ["pv"], [Part("swap", 30, kind: FileSystemKind.Swap), Root()])]);

    static readonly DiskLayout Mirrored = new(PartitionTableKind.Gpt, [Part("r1", 500, PartitionType.LinuxRaid)],
        [new FurtherDisk(new DiskSelector(Bus: "sata"), PartitionTableKind.Gpt, [Part("r2", null, PartitionType.LinuxRaid)])],
        [new RaidArray(1, ["r1", "r2"], Root())]);

    static readonly DiskLayout Locked = new(PartitionTableKind.Gpt,
        [Part("boot", 100, kind: FileSystemKind.Ext4) with { MountPoint = "/boot" }, Root() with { Encrypted = true }]);

    static ImmutableArray<string> Refusals(DiskLayout layout) => [.. DiskLayoutRules.Check(layout).Select(f => $"{f.Message} {f.Evidence}")];

    [Fact]
    public void Sound_stacks_are_taken()
    {
        Assert.Empty(Refusals(OnLvm));
        Assert.Empty(Refusals(Mirrored));
        Assert.Empty(Refusals(Locked));
        Assert.Empty(Refusals(OnLvm with { Partitions = [Part("boot", 100, kind: FileSystemKind.Ext4) with { MountPoint = "/boot" }, Part("pv", null, PartitionType.LinuxLvm) with { Encrypted = true }] }));
    }

    [Fact]
    public void A_volume_group_takes_its_members_from_lvm_partitions_and_arrays_only()
    {
        var refusals = Refusals(OnLvm with { Groups = [new VolumeGroup("vg0", ["bios", "nothing", "root"], [Root(), Part("a", 8)])] });
        Assert.Equal(3, refusals.Count(r => r.Contains("must be a partition of type lvm or a RAID array", StringComparison.Ordinal)));
        Assert.Contains("Only the last volume of 'vg0' can take the rest. root", refusals);
        Assert.Contains("The volume group 'Vg' needs a member and a volume at least.", string.Join('\n', Refusals(OnLvm with { Groups = [new VolumeGroup("Vg", [], [])] })));
    }

    [Fact]
    public void An_array_has_two_members_of_type_raid_that_hold_nothing_else()
    {
        var one = Mirrored with { Arrays = [new RaidArray(5, ["r1"], Root())] };
        Assert.Equal(["The level of the array 'root' must be 0 or 1. 5", "The array 'root' needs two members at least. 1"], Refusals(one));
        var used = Mirrored with { Partitions = [Part("r1", 500, PartitionType.LinuxRaid, FileSystemKind.Xfs)] };
        Assert.Equal(["What is a member of an array or of a volume group holds no file system of its own. r1"], Refusals(used));
        var twice = Mirrored with { Arrays = [new RaidArray(1, ["r1", "r2"], Root()), new RaidArray(0, ["r2", "r1"], Part("x", null))] };
        Assert.Equal(2, Refusals(twice).Count(r => r.StartsWith("Both 'root' and 'x' use this member.", StringComparison.Ordinal)));
    }

    [Fact]
    public void Only_what_leads_to_the_root_is_encrypted_and_boot_is_not()
    {
        Assert.Equal(["An encrypted root needs a partition with the mount point /boot that is not encrypted. "], Refusals(Locked with { Partitions = [Root() with { Encrypted = true }] }));
        var data = Locked with { Partitions = [Part("data", 8, kind: FileSystemKind.Ext4) with { Encrypted = true }, .. Locked.Partitions] };
        Assert.Equal(["Only the deploy partition, or what lies below it, can be encrypted: the key is not on the disk. data"], Refusals(data));
        Assert.True(Locked.HasEncryptedRoot());
        Assert.False(OnLvm.HasEncryptedRoot());
    }

    [Fact]
    public void The_room_of_a_volume_is_known_before_the_disk_is_touched()
    {
        Assert.True(SfdiskScript.TryPlace(OnLvm, 1024 * MiB, out var places, out _));
        Assert.True(LayoutRoom.TryMeasure(OnLvm, places, out var room, out _));
        // 1021 MiB of partition: 255 extents of 4 MiB behind 1 MiB of metadata; swap rounds up to 8 of them.
        Assert.Equal(32 * MiB, room["swap"]);
        Assert.Equal((255 - 8) * 4 * MiB, room["root"]);
        Assert.Equal(room["root"], LayoutRoom.OfDeploy(OnLvm, 1024 * MiB));
        Assert.Null(LayoutRoom.OfDeploy(OnLvm, null));

        var tight = OnLvm with { Groups = [new VolumeGroup("vg0", ["pv"], [Root(1024)])] };
        Assert.False(LayoutRoom.TryMeasure(tight, places, out _, out var fault));
        Assert.Equal(FaultCodes.DiskTooSmall, fault!.Code);
        Assert.Equal("needs 1024 MiB, has 1020 MiB", fault.Evidence);
    }

    [Fact]
    public void A_mirror_is_as_large_as_its_smallest_member_and_stripes_as_all_together()
    {
        ImmutableArray<PartitionPlace> places = [new(Mirrored.Partitions[0], 1, MiB, 500 * MiB), new(Mirrored.MoreDisks!.Value[0].Partitions[0], 1, MiB, 300 * MiB)];
        Assert.True(LayoutRoom.TryMeasure(Mirrored, places, out var mirror, out _));
        Assert.Equal(296 * MiB, mirror["root"]);
        var striped = Mirrored with { Arrays = [new RaidArray(0, ["r1", "r2"], Root() with { Encrypted = true })] };
        Assert.True(LayoutRoom.TryMeasure(striped, places, out var stripes, out _));
        Assert.Equal((496 + 296 - 16) * MiB, stripes["root"]);
    }

    static readonly ImmutableArray<PartitionSpec> Keeping =
    [
        Part("root", 100, kind: FileSystemKind.Ext4) with { Deploy = true },
        Part("prod", null, kind: FileSystemKind.Ext4) with { Keep = true },
        Part("tmp", null, kind: FileSystemKind.Xfs),
    ];

    static readonly ExistingTable Before = new("gpt", "AAAA-1",
    [
        new TableEntry(1, MiB, 200 * MiB, "0FC63DAF", "old", "U-1"),
        new TableEntry(2, (300 * MiB) + 512, 99 * MiB, "BEEF", "prod", "U-2", "GUID:63"),
        new TableEntry(3, 500 * MiB, MiB, "0FC63DAF", "last", "U-3"),
    ]);

    [Fact]
    public void Kept_partitions_stay_at_their_exact_place_and_the_others_go_around_them()
    {
        Assert.True(KeptPartitions.TryMatch(PartitionTableKind.Gpt, Keeping, Before, out var kept, out _));
        Assert.True(SfdiskScript.TryPlace(PartitionTableKind.Gpt, Keeping, 1024 * MiB, kept, out var places, out _));
        Assert.Equal(
            """
            label: gpt
            label-id: AAAA-1
            start=1MiB, size=100MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="root"
            start=614401, size=202752, type=BEEF, name="prod", uuid=U-2, attrs="GUID\x3a63"
            start=400MiB, size=623MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="tmp"

            """, SfdiskScript.Render(PartitionTableKind.Gpt, places, Before));
    }

    [Fact]
    public void A_partition_that_would_reach_into_a_kept_one_is_refused()
    {
        Assert.True(KeptPartitions.TryMatch(PartitionTableKind.Gpt, Keeping, Before, out var kept, out _));
        Assert.False(SfdiskScript.TryPlace(PartitionTableKind.Gpt, [Keeping[0] with { Bytes = 300 * MiB }, .. Keeping[1..]], 1024 * MiB, kept, out _, out var fault));
        Assert.Equal(FaultCodes.DiskNotAsKept, fault!.Code);
        Assert.Contains("before the next kept partition; nothing was erased", fault.Message);
    }

    [Fact]
    public void A_disk_that_does_not_hold_what_is_kept_is_refused_with_all_that_differs()
    {
        static string? Evidence(ExistingTable? table, params PartitionSpec[] partitions) =>
            KeptPartitions.TryMatch(PartitionTableKind.Gpt, [.. partitions], table, out _, out var fault) ? null : fault!.Evidence;

        var prod = Keeping[1];
        Assert.Null(Evidence(Before, Keeping[0], prod));
        Assert.Equal("'prod': the disk has no partition table", Evidence(null, prod));
        Assert.Equal("'prod': the table is dos, the layout wants gpt", Evidence(Before with { Label = "dos" }, prod));
        Assert.Equal(
            "'prod': partition 1 is named 'old'\n'last': partition 3 has 1048576 bytes, the layout says 2097152\n'data': there is no partition 4",
            Evidence(Before, prod, Keeping[0], Part("last", 2) with { Keep = true }, Part("data", null) with { Keep = true }));
    }

    [Fact]
    public void Device_mapper_doubles_the_dashes_of_names() => Assert.Equal("/dev/mapper/vg--a-lv--b", StackedPath.Volume("vg-a", "lv-b"));
}
