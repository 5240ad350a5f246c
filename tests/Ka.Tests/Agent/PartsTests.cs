using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Agent.Session;
using Ka.Agent.Verification;
using Ka.Core.Disks;
using Ka.Protocol.Agents;
using Ka.Protocol.Manifests;

namespace Ka.Tests.Agent;

public sealed class PartsTests : IDisposable
{
    const long MiB = 1024 * 1024;

    readonly string _root = Directory.CreateTempSubdirectory("ka-parts").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    void Put(string path, string text)
    {
        var file = _root + path;
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
    }

    void Link(string path, string target)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_root + path)!);
        File.CreateSymbolicLink(_root + path, target);
    }

    [Fact]
    public void The_kernel_line_names_the_server()
    {
        var fp = new string('a', 64);
        Assert.True(BootParameters.TryParse($"console=ttyS0 ka.server=[fd00::1]:4443 ka.fp={fp.ToUpperInvariant()} ka.cred=c ka.nonce=n quiet\n", out var boot, out _));
        Assert.Equal(new BootParameters("fd00::1", 4443, fp, "c", "n"), boot);
        Assert.Equal("[fd00::1]:4443", boot.Authority);
        Assert.False(BootParameters.TryParse("ka.server=host ka.fp=12", out _, out var errors));
        Assert.Equal(2, errors.Length);
    }

    [Fact]
    public void The_inventory_comes_from_sysfs()
    {
        var pci = "/sys/devices/pci0000:00/0000:00:04.0";
        Put(pci + "/virtio1/block/vda/size", "2097152\n");
        Put(pci + "/virtio1/block/vda/serial", "S 1\n");
        Put(pci + "/virtio1/block/vda/queue/rotational", "1\n");
        Link("/sys/block/vda", "../devices/pci0000:00/0000:00:04.0/virtio1/block/vda");
        var nvme = "/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0/nvme/nvme0";
        Put(nvme + "/nvme0n1/size", "4096\n");
        Put(nvme + "/model", "Fast Disk \n");
        Put(nvme + "/serial", "N1\n");
        Link(nvme + "/nvme0n1/device", "..");
        Link("/sys/block/nvme0n1", "../devices/pci0000:00/0000:00:1c.0/0000:02:00.0/nvme/nvme0/nvme0n1");
        Put("/sys/devices/virtual/block/loop0/size", "0\n");
        Link("/sys/block/loop0", "../devices/virtual/block/loop0");
        Put("/sys/devices/virtual/block/loop1/size", "8\n");
        Link("/sys/block/loop1", "../devices/virtual/block/loop1");
        Put("/sys/class/net/eth0/type", "1\n");
        Put("/sys/class/net/eth0/address", "52:54:00:00:00:01\n");
        Put("/sys/class/net/eth0/operstate", "up\n");
        Put("/sys/class/net/eth0/speed", "10000\n");
        Put("/sys/class/net/lo/type", "772\n");
        Put("/sys/class/dmi/id/sys_vendor", "QEMU\n");
        Put("/sys/firmware/efi/x", "");
        Put("/proc/meminfo", "MemTotal:        1024 kB\nMemFree: 1 kB\n");
        Put("/proc/sys/kernel/osrelease", "6.1.0\n");
        var seen = Inventory.Read(new AgentPaths(Sys: _root + "/sys", Proc: _root + "/proc"));
        Assert.Equal("uefi", seen.Firmware);
        Assert.Equal(MiB, seen.MemoryBytes);
        Assert.Equal("QEMU", seen.Vendor);
        Assert.Equal("6.1.0", seen.KernelRelease);
        Assert.Equal(
        [
            new DiskSeen("nvme0n1", "/dev/disk/by-path/pci-0000:02:00.0-nvme-1", "nvme", 2 * MiB, "Fast Disk", "N1", false),
            new DiskSeen("vda", "/dev/disk/by-path/pci-0000:00:04.0", "virtio", 1024 * MiB, null, "S 1", true),
        ], seen.Disks);
        Assert.Equal([new NicSeen("eth0", "52:54:00:00:00:01", null, true, 10000)], seen.Nics);
    }

    [Fact]
    public void Mounts_of_a_disk_are_told_from_those_of_its_namesakes()
    {
        var mounts = Mounts.Parse("""
            22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            30 22 8:17 / /mnt/de\040st rw - ext4 /dev/sdb1 rw
            31 22 8:18 / /mnt/dest/boot rw - vfat /dev/sdb12 rw
            32 22 0:5 / /proc rw - proc proc rw
            """);
        Assert.Equal("/mnt/de st", mounts[1].Directory);
        Assert.Equal(["/mnt/de st", "/mnt/dest/boot"], mounts.Where(m => Mounts.IsPartOf(m.Source, "/dev/sdb")).Select(m => m.Directory));
        Assert.Equal(["/mnt/dest/boot"], Mounts.Below(mounts, "/mnt/dest").Select(m => m.Directory));
        Assert.True(Mounts.IsPartOf("/dev/nvme0n1p2", "/dev/nvme0n1"));
        Assert.False(Mounts.IsPartOf("/dev/nvme0n12", "/dev/nvme0n1"));
        Assert.False(Mounts.IsPartOf("/dev/sdaa1", "/dev/sda"));
    }

    [Fact]
    public void Links_of_the_image_never_lead_out_of_it()
    {
        Put("/outside", "secret");
        Put("/t/boot/vmlinuz-6", "kernel");
        Link("/t/vmlinuz", "boot/vmlinuz-6");
        Link("/t/absolute", "/boot/vmlinuz-6");
        Link("/t/escape", "../../../../outside");
        Link("/t/etc/hostname", _root + "/outside");
        Link("/t/loop", "loop");
        var target = _root + "/t";
        Assert.Equal(target + "/boot/vmlinuz-6", TargetPath.Resolve(target, "/vmlinuz"));
        Assert.Equal(target + "/boot/vmlinuz-6", TargetPath.Resolve(target, "absolute"));
        Assert.Equal(target + "/outside", TargetPath.Resolve(target, "/escape"));
        Assert.Equal(target + "/x/y", TargetPath.Resolve(target, "/x/./z/../y"));
        Assert.Equal(target + "/escape", TargetPath.Resolve(target, "/escape", followLast: false));
        Assert.Null(TargetPath.Resolve(target, "/loop"));
        Assert.Equal(_root + "/outside", TargetPath.Write(target, "/etc/hostname", "gris-1\n", UnixFileMode.UserRead | UnixFileMode.UserWrite));
        Assert.Equal("secret", File.ReadAllText(_root + "/outside"));
        Assert.Equal("gris-1\n", File.ReadAllText(target + _root + "/outside"));
    }

    [Fact]
    public void The_fstab_names_partitions_by_uuid()
    {
        var text = Fstab.Render([new("u-1", "/", FileSystemKind.Ext4), new("A-B", "/boot/efi", FileSystemKind.Vfat), new("u-2", "/data", FileSystemKind.Xfs), new("u-3", null, FileSystemKind.Swap)]);
        Assert.Equal(
            """
            UUID=u-1 / ext4 defaults,errors=remount-ro 0 1
            UUID=A-B /boot/efi vfat umask=0077 0 2
            UUID=u-2 /data xfs defaults 0 0
            UUID=u-3 none swap sw 0 0

            """, string.Join('\n', text.Split('\n').SkipWhile(l => l.StartsWith('#'))));
    }

    [Fact]
    public void Hosts_get_one_line_for_this_machine()
    {
        Assert.Equal("127.0.0.1\tlocalhost\n127.0.1.1\tgris-1.site.fr gris-1\n10.0.0.1 x\n", Fstab.Hosts("127.0.0.1\tlocalhost\n127.0.1.1 old\n10.0.0.1 x\n", "gris-1.site.fr"));
        Assert.StartsWith("127.0.0.1\tlocalhost\n127.0.1.1\tgris-1\n", Fstab.Hosts(null, "gris-1"));
        Assert.True(Fstab.IsHostName("gris-1.site.fr"));
        Assert.False(Fstab.IsHostName("a b"));
        Assert.False(Fstab.IsHostName("-a"));
    }

    [Fact]
    public void Keys_are_added_once()
    {
        var once = Fstab.WithLines("ssh-rsa OLD", ["ssh-ed25519 A me", "ssh-rsa OLD", "a\nb"]);
        Assert.Equal("ssh-rsa OLD\nssh-ed25519 A me\n", once);
        Assert.Equal(once, Fstab.WithLines(once, ["ssh-ed25519 A me"]));
    }

    [Fact]
    public void Grub_gets_values_that_its_tokeniser_leaves_alone()
    {
        var text = GrubConfiguration.Render(new GrubEntry("it's", "u-1", "/boot/vm linuz", "/boot/initrd", ["root=UUID=u-1", "console=ttyS1,115200n8", "a=$b;c"]));
        Assert.Contains("menuentry 'it'\\''s' {", text);
        Assert.Contains("  linux '/boot/vm linuz' 'root=UUID=u-1' 'console=ttyS1,115200n8' 'a=$b;c'\n", text);
        Assert.Contains("serial --unit=1 --speed=115200\n", text);
        Assert.Equal("/boot/vm", GrubConfiguration.FirstKernel(text)); // FirstKernel reads what grub-mkconfig writes, which has no blanks
        Assert.Equal("/boot/vmlinuz-6", GrubConfiguration.FirstKernel("menuentry 'x' {\n\tlinux\t/boot/vmlinuz-6 root=UUID=1 ro\n}"));
        Assert.Null(GrubConfiguration.Defaults(["a=$(reboot)"]));
        Assert.Contains("GRUB_CMDLINE_LINUX=\"quiet console=ttyS0\"\n", GrubConfiguration.Defaults(["quiet", "console=ttyS0"]));
    }

    [Fact]
    public void Each_file_system_has_its_command()
    {
        static string Command(FileSystemKind kind, long bytes, params string[] own)
        {
            var spec = new PartitionSpec("name_of_16_chars", null, PartitionType.Linux, kind, FormatOptions: [.. own]);
            var (program, arguments) = Formatting.Command(new TargetPartition(spec, 1, "/dev/sda1", kind, null), bytes);
            return $"{program} {string.Join(' ', arguments)}";
        }

        Assert.Equal("mkfs.ext4 -F -q -L name_of_16_chars -O ^metadata_csum /dev/sda1", Command(FileSystemKind.Ext4, MiB, "-O", "^metadata_csum"));
        Assert.Equal("mkfs.xfs -f -q -L name_of_16_c /dev/sda1", Command(FileSystemKind.Xfs, MiB));
        Assert.Equal("mkfs.vfat -F 32 -n NAME_OF_16_ /dev/sda1", Command(FileSystemKind.Vfat, 64 * MiB));
        Assert.Equal("mkfs.vfat -n NAME_OF_16_ /dev/sda1", Command(FileSystemKind.Vfat, 16 * MiB));
        Assert.Equal("mkswap -L name_of_16_char /dev/sda1", Command(FileSystemKind.Swap, MiB));
    }

    [Fact]
    public void The_esp_is_mounted_on_uefi_machines_only_and_after_the_root()
    {
        var layout = new DiskLayout(PartitionTableKind.Gpt,
        [
            new("esp", 64 * MiB, PartitionType.EfiSystem, FileSystemKind.Vfat),
            new("home", 64 * MiB, PartitionType.Linux, FileSystemKind.Ext4, MountPoint: "/home"),
            new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
        ]);
        var disk = TargetDisk.Of(new DiskFacts("nvme0n1", null, "nvme", 1024 * MiB), layout, FileSystemKind.Xfs);
        Assert.Equal(["/", "/home", "/boot/efi"], disk.Mounted(uefi: true).Select(p => p.MountPoint));
        Assert.Equal(["/", "/home"], disk.Mounted(uefi: false).Select(p => p.MountPoint));
        Assert.Equal(FileSystemKind.Xfs, disk.Deploy.FileSystem);
        Assert.Equal("/dev/nvme0n1p3", disk.Deploy.Device);
    }

    [Fact]
    public void A_kernel_line_is_shown_to_others_without_the_words_of_the_agent() =>
        Assert.Equal("console=ttyS0 quiet ka=x\n", Enclosure.Scrubbed("console=ttyS0 ka.server=h:1 ka.cred=secret  quiet\tka.nonce=n ka=x ka.fp=1\n"));

    [Fact]
    public void A_sample_is_the_same_for_the_same_seed_has_the_kernel_and_stays_small()
    {
        var entries = Enumerable.Range(0, 10_000).Select(i => new ManifestEntry($"/f{i}", FileType.File, 0x1A4, 0, 0) { Bytes = 10_000 + i, Sha256 = new string('0', 64) });
        var manifest = new FileManifest(new string('0', 64), [new ManifestEntry("/", FileType.Directory, 0x1ED, 0, 0), .. entries, new ManifestEntry("/huge", FileType.File, 0x1A4, 0, 0) { Bytes = 1L << 40 }]);
        var one = ContentSample.Choose(manifest, 1, ["/f77", "/huge"]);
        Assert.Equal(one, ContentSample.Choose(manifest, 1, ["/f77", "/huge"]));
        var two = ContentSample.Choose(manifest, 2, ["/f77"]);
        Assert.True(one[78] && two[78] && one[^1] && !two[^1] && !one[0]);
        Assert.InRange(two.Count(c => c), 250, 350);
        var both = one.Zip(two).Count(p => p.First && p.Second);
        Assert.True(both < 50, $"{both} files are in both samples");
    }

    [Fact]
    public void The_end_of_an_archive_decides()
    {
        static string? Verdict(params byte[][] pieces)
        {
            var feed = new TarFeed(Stream.Null);
            foreach (var piece in pieces)
            {
                feed.Write(piece);
            }
            return feed.Verdict();
        }

        Assert.Null(Verdict([1, 2], new byte[1000], new byte[24]));
        Assert.NotNull(Verdict([1, 2], new byte[1023]));
        Assert.NotNull(Verdict(new byte[2000], [1]));
        Assert.NotNull(Verdict());
    }
}
