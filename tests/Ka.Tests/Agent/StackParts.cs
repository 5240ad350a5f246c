using System.Collections.Immutable;
using System.Text;
using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Core.Disks;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Tests.Agent;

/// <summary>What the agent works out before it touches a disk of several layers, and what it writes for the deployed system.</summary>
public sealed class StackParts : IDisposable
{
    const long MiB = 1024 * 1024;

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    static readonly DiskLayout Layout = new(PartitionTableKind.Gpt,
        [new("boot", 100 * MiB, PartitionType.Linux, FileSystemKind.Ext4, MountPoint: "/boot"), new("r1", null, PartitionType.LinuxRaid, FileSystemKind.None)],
        [new FurtherDisk(new DiskSelector(), PartitionTableKind.Gpt, [new("r2", null, PartitionType.LinuxRaid, FileSystemKind.None)])],
        [new RaidArray(1, ["r1", "r2"], new("pv", null, PartitionType.Linux, FileSystemKind.None, Encrypted: true))],
        [new VolumeGroup("vg0", ["pv"], [new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true)])]);

    static readonly TargetDisk Disk = TargetDisk.Of(
        [new DiskFacts("nvme0n1", null, "nvme", 1024 * MiB), new DiskFacts("mmcblk0", null, "mmc", 1024 * MiB)], Layout, FileSystemKind.Xfs);

    [Fact]
    public void Every_layer_has_its_device()
    {
        Assert.Equal("/dev/nvme0n1p2", Disk.Named("r1").Device);
        Assert.Equal("/dev/mmcblk0p1", Disk.Named("r2").Device);
        Assert.Equal(("/dev/md/pv", "/dev/mapper/pv_crypt"), (Disk.Named("pv").RawDevice, Disk.Named("pv").Device));
        Assert.Equal(("/dev/mapper/vg0-root", FileSystemKind.Xfs, "/"), (Disk.Deploy.Device, Disk.Deploy.FileSystem, Disk.Deploy.MountPoint));
        Assert.Equal("root=/dev/mapper/vg0-root", Disk.RootParameter("u"));
        Assert.Equal(["/", "/boot"], Disk.Mounted(uefi: true).Select(p => p.MountPoint));
    }

    [Fact]
    public void An_image_that_cannot_fit_its_volume_is_refused_before_anything_is_erased()
    {
        var places = ImmutableArray.Create(
            new PartitionPlace(Layout.Partitions[0], 1, MiB, 100 * MiB), new PartitionPlace(Layout.Partitions[1], 2, 101 * MiB, 500 * MiB),
            new PartitionPlace(Layout.MoreDisks!.Value[0].Partitions[0], 1, MiB, 300 * MiB));
        // 300 MiB less 4 of md, 16 of LUKS, 1 of LVM: 69 extents
        Assert.Null(TablePlan.TooSmall(Disk, places, 276 * MiB));
        var fault = TablePlan.TooSmall(Disk, places, (276 * MiB) + 1)!;
        Assert.Equal(FaultCodes.ArchiveTooLarge, fault.Code);
        Assert.Contains("nothing was erased", fault.Message);
    }

    [Fact]
    public void An_array_is_made_with_a_known_place_for_its_data()
    {
        Assert.Equal(
            "--create /dev/md/pv --run --quiet --level=1 --raid-devices=2 --metadata=1.2 --data-offset=4M --homehost=any --name=pv --bitmap=internal /dev/a /dev/b",
            string.Join(' ', Stacking.ArrayArguments(Layout.RaidArrays()[0], ["/dev/a", "/dev/b"])));
    }

    [Fact]
    public void An_image_without_the_programs_of_its_layout_is_refused_by_the_package_s_name()
    {
        var target = _directory["target"];
        void Have(params string[] files)
        {
            foreach (var file in files)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(target + file)!);
                File.WriteAllText(target + file, "");
            }
        }

        Have("/usr/sbin/update-initramfs", "/usr/sbin/lvm");
        Assert.Contains("'lvm2'", DeployedStack.Lacking(Layout, target)!.Message);
        Have("/usr/share/initramfs-tools/hooks/lvm2");
        Assert.Contains("'mdadm'", DeployedStack.Lacking(Layout, target)!.Message);
        Have("/sbin/mdadm", "/usr/share/initramfs-tools/hooks/mdadm", "/usr/sbin/cryptsetup");
        Assert.Contains("'cryptsetup-initramfs'", DeployedStack.Lacking(Layout, target)!.Message);
        Have("/usr/share/initramfs-tools/hooks/cryptroot");
        Assert.Null(DeployedStack.Lacking(Layout, target));
        Assert.Null(DeployedStack.Lacking(new DiskLayout(PartitionTableKind.Gpt, [Layout.Partitions[0] with { Deploy = true }]), _directory["empty"]));
    }

    [Fact]
    public void The_deployed_system_asks_for_the_passphrase_and_one_boot_finds_the_key_in_memory()
    {
        var entry = new CrypttabEntry("pv_crypt", "1-2");
        Assert.Equal("pv_crypt UUID=1-2 none luks,discard,initramfs\n", entry.Line("none"));
        File.WriteAllBytes(_directory["initrd"], new byte[1001]);
        BootKey.Append(_directory["initrd"], _directory["with-key"], [entry], new DiskKey("s3cret"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_directory["with-key"]));
        var all = File.ReadAllBytes(_directory["with-key"]);
        var archive = Encoding.ASCII.GetString(all[1004..]);
        Assert.StartsWith("070701", archive);
        Assert.Equal(0, all.Length % 4);
        Assert.Contains("cryptroot/keyfiles/ka.key\0", archive);
        Assert.Contains("s3cret", archive);
        Assert.Contains("pv_crypt UUID=1-2 /cryptroot/keyfiles/ka.key luks,discard,initramfs\n", archive);
        Assert.Contains("TRAILER!!!", archive);
    }

    [Fact]
    public void A_key_does_not_show_in_the_order_that_carries_it()
    {
        var order = new PartitionDisk(new DiskSelector(), Layout, null, 0, new DiskKey("s3cret"));
        Assert.DoesNotContain("s3cret", order.ToString());
        Assert.DoesNotContain("s3cret", new KexecTarget(new BootTarget("k", null, []), new DiskSelector(), Layout, FileSystemKind.None, new DiskKey("s3cret")).ToString());
    }

    [Fact]
    public void Sfdisk_s_description_of_a_table_is_understood()
    {
        const string Json = """
            {"partitiontable": {"label":"gpt", "id":"A-1", "device":"/dev/nvme0n1", "unit":"sectors", "sectorsize":4096, "partitions": [
              {"node":"/dev/nvme0n1p3", "start":256, "size":512, "type":"T", "uuid":"U", "name":"prod", "attrs":"GUID:63"}]}}
            """;
        var table = CurrentTable.Parse(Json)!;
        Assert.Equal(("gpt", "A-1", 4096), (table.Label, table.Id, table.SectorBytes));
        Assert.Equal(new TableEntry(3, MiB, 2 * MiB, "T", "prod", "U", "GUID:63"), Assert.Single(table.Entries));
        Assert.Empty(CurrentTable.Parse("""{"partitiontable": {"label":"dos", "device":"/dev/sda"}}""")!.Entries);
        Assert.Null(CurrentTable.Parse("sfdisk: oh"));
    }

    [Fact]
    public void What_lies_over_a_disk_is_found_from_the_top_down()
    {
        void Entry(string path, string? content = null)
        {
            if (content is null)
                Directory.CreateDirectory(_directory["sys/block/" + path]);
            else
                File.WriteAllText(_directory["sys/block/" + path], content);
        }

        Entry("vda/vda1/holders/md127");
        Entry("vda/vda1/partition", "1");
        Entry("vda/holders");
        Entry("md127/holders/dm-0");
        Entry("dm-0/holders/dm-1");
        Entry("dm-0/dm");
        Entry("dm-0/dm/name", "pv_crypt\n");
        Entry("dm-1/dm");
        Entry("dm-1/dm/name", "vg0-root\n");
        var stack = BlockStack.Over(new AgentPaths(Sys: _directory["sys"]), "vda");
        Assert.Equal([new StackedDevice("dm-1", "vg0-root"), new StackedDevice("dm-0", "pv_crypt"), new StackedDevice("md127", null)], stack);
        Assert.True(stack[0].Is("/dev/mapper/vg0-root"));
        Assert.True(stack[2].Is("/dev/md127"));
        Assert.False(stack[2].Is("/dev/md12"));
    }

    [Fact]
    public void Superblocks_behind_64_KiB_are_read_too()
    {
        var bytes = new byte[0x10000 + 4096];
        "_BHRfS_M"u8.CopyTo(bytes.AsSpan(0x10040));
        bytes[0x10020] = 0xAB;
        File.WriteAllBytes(_directory["fs"], bytes);
        Assert.Equal("ab000000-0000-0000-0000-000000000000", SuperBlock.UuidOf(FileSystemKind.Btrfs, _directory["fs"]));
        Assert.Null(SuperBlock.UuidOf(FileSystemKind.Xfs, _directory["fs"]));
        Assert.Null(SuperBlock.LuksUuid(_directory["fs"]));
        bytes = new byte[4096];
        ((byte[])[(byte)'L', (byte)'U', (byte)'K', (byte)'S', 0xba, 0xbe]).CopyTo(bytes, 0);
        "12-34"u8.CopyTo(bytes.AsSpan(168));
        File.WriteAllBytes(_directory["luks"], bytes);
        Assert.Equal("12-34", SuperBlock.LuksUuid(_directory["luks"]));
    }
}
