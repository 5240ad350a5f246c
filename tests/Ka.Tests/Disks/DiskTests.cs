using Ka.Core.Disks;
using Ka.Core.Faults;

namespace Ka.Tests.Disks;

public class DiskTests
{
    const long MiB = 1024 * 1024;

    static readonly DiskLayout Usual = new(PartitionTableKind.Gpt,
    [
        new("bios", 1 * MiB, PartitionType.BiosBoot, FileSystemKind.None),
        new("esp", 64 * MiB, PartitionType.EfiSystem, FileSystemKind.Vfat, MountPoint: "/boot/efi"),
        new("swap", 256 * MiB, PartitionType.LinuxSwap, FileSystemKind.Swap),
        new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
    ]);

    [Fact]
    public void A_layout_becomes_an_sfdisk_script_with_explicit_places()
    {
        Assert.True(SfdiskScript.TryRender(Usual, 1024 * MiB, out var script, out var faults));
        Assert.Empty(faults);
        Assert.Equal(
            """
            label: gpt
            start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name="bios"
            start=2MiB, size=64MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="esp"
            start=66MiB, size=256MiB, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F, name="swap"
            start=322MiB, size=701MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="root"

            """, script);
    }

    [Fact]
    public void An_mbr_marks_the_deploy_partition_bootable_and_takes_the_disk_to_its_end()
    {
        var layout = new DiskLayout(PartitionTableKind.Mbr,
        [
            new("swap", 10 * MiB, PartitionType.LinuxSwap, FileSystemKind.Swap),
            new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
        ]);
        Assert.True(SfdiskScript.TryRender(layout, (100 * MiB) + 5, out var script, out _));
        Assert.Equal("label: dos\nstart=1MiB, size=10MiB, type=82\nstart=11MiB, size=89MiB, type=83, bootable\n", script);
    }

    [Fact]
    public void A_layout_that_does_not_fit_says_how_much_is_missing()
    {
        Assert.False(SfdiskScript.TryRender(Usual, 322 * MiB, out _, out var faults));
        var fault = Assert.Single(faults);
        Assert.Equal(FaultCodes.DiskTooSmall, fault.Code);
        Assert.Contains("needs 323 MiB, usable 321 MiB", fault.Evidence);
    }

    [Fact]
    public void All_faults_of_a_layout_come_at_once()
    {
        var layout = new DiskLayout(PartitionTableKind.Mbr,
        [
            new("a", null, PartitionType.Linux, FileSystemKind.Ext4),
            new("a", 5, PartitionType.Linux, FileSystemKind.Ext4, MountPoint: "/x/../y"),
            new("B!", MiB, PartitionType.BiosBoot, FileSystemKind.None),
            new("d", MiB, PartitionType.Linux, FileSystemKind.Vfat, Label: "longer than eleven"),
            new("e", MiB, PartitionType.Linux, FileSystemKind.Ext4, MountPoint: "/"),
        ]);
        Assert.Equal(10, DiskLayoutRules.Check(layout).Length);
        Assert.All(DiskLayoutRules.Check(layout), f => Assert.Equal(FaultCodes.ConfigInvalid, f.Code));
        Assert.Empty(DiskLayoutRules.Check(Usual));
        Assert.Equal(2, DiskLayoutRules.Check(new DiskLayout(PartitionTableKind.Gpt, [])).Length);
    }

    [Theory]
    [InlineData("root", "\"root\"")]
    [InlineData("a\"b\\\n,", "\"a\\x22b\\x5c\\x0a\\x2c\"")]
    public void Names_are_quoted_against_sfdisk(string name, string quoted) => Assert.Equal(quoted, SfdiskScript.Quote(name));

    [Theory]
    [InlineData("/dev/sda", 1, "/dev/sda1")]
    [InlineData("/dev/nvme0n1", 2, "/dev/nvme0n1p2")]
    [InlineData("/dev/mmcblk0", 1, "/dev/mmcblk0p1")]
    [InlineData("/dev/loop7", 12, "/dev/loop7p12")]
    [InlineData("/dev/disk/by-path/pci-0000:00:04.0", 3, "/dev/disk/by-path/pci-0000:00:04.0-part3")]
    public void Partition_names_follow_the_kernel(string disk, int number, string path) => Assert.Equal(path, PartitionPath.Of(disk, number));

    static readonly DiskFacts[] Seen =
    [
        new("nvme10n1", "/dev/disk/by-path/pci-0000:10:00.0-nvme-1", "nvme", 900, "Fast", "N10"),
        new("nvme2n1", "/dev/disk/by-path/pci-0000:02:00.0-nvme-1", "nvme", 900, "Fast", "N2"),
        new("sda", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "sata", 4000, "Big ", "S1", ["/dev/disk/by-id/ata-Big_S1"]),
        new("sdb", null, "usb", 50, "Stick", "U1"),
        new("loop0", null, "loop", 50),
    ];

    [Theory]
    [InlineData(null, null, null, null, "sda")]
    [InlineData(null, "nvme", null, null, "nvme2n1")]
    [InlineData("/dev/nvme10n1", null, null, null, "nvme10n1")]
    [InlineData("/dev/disk/by-id/ata-Big_S1", null, null, null, "sda")]
    [InlineData("/dev/loop0", null, null, null, "loop0")]
    [InlineData(null, "usb", null, null, "sdb")]
    [InlineData(null, null, 1000L, "Big", "sda")]
    public void The_first_match_in_stable_order_is_taken(string? path, string? bus, long? min, string? model, string name)
    {
        var selector = new DiskSelector(path, bus, min, Model: model);
        Assert.True(DiskSelection.TryChoose(selector, Seen, out var disk, out _));
        Assert.Equal(name, disk.Name);
        Assert.True(DiskSelection.TryChoose(selector, Seen.Reverse(), out var again, out _));
        Assert.Equal(disk, again);
    }

    [Fact]
    public void Without_a_match_the_evidence_lists_what_was_seen_and_why_not()
    {
        Assert.False(DiskSelection.TryChoose(new DiskSelector(Bus: "nvme", MinBytes: 1000), Seen, out _, out var fault));
        Assert.Equal(FaultCodes.DiskNotFound, fault!.Code);
        Assert.Contains("/dev/nvme2n1 bus=nvme bytes=900 model=Fast serial=N2", fault.Evidence);
        Assert.Contains("too small", fault.Evidence);
        Assert.Contains("other bus", fault.Evidence);
    }
}
