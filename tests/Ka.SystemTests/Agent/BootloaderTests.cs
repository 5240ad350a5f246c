using Ka.Core.Disks;
using Ka.Protocol.Agents;

namespace Ka.SystemTests.Agent;

/// <summary>
/// The bootloader's files on a real disk, judged by GRUB's own grub-script-check. GRUB does not install onto loop devices, so grub-install
/// itself is played by a script that notes its arguments.
/// </summary>
public sealed class BootloaderTests : IDisposable
{
    const long MiB = 1024 * 1024;

    readonly string _root = Directory.CreateTempSubdirectory("ka-grub").FullName;
    readonly LoopNode _node;

    public BootloaderTests()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        Assert.SkipUnless(File.Exists("/usr/bin/grub-script-check"), "needs grub-common");
        Directory.CreateDirectory(_root + "/bin");
        File.WriteAllText(_root + "/bin/grub-install", $"#!/bin/sh\necho \"$@\" >{_root}/said\nfindmnt -rno TARGET | grep '^{_root}' >{_root}/mounts\n");
        File.SetUnixFileMode(_root + "/bin/grub-install", UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Environment.SetEnvironmentVariable("PATH", _root + "/bin:" + Environment.GetEnvironmentVariable("PATH"));
        _node = new LoopNode(Path.Combine(_root, "n"), 512 * MiB);
    }

    public void Dispose()
    {
        _node?.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    static readonly DiskLayout Layout = new(PartitionTableKind.Gpt,
    [
        new("bios", 1 * MiB, PartitionType.BiosBoot, FileSystemKind.None),
        new("boot", 64 * MiB, PartitionType.Linux, FileSystemKind.Ext4, MountPoint: "/boot"),
        new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
    ]);

    [Fact]
    public async Task An_image_without_grub_gets_that_of_the_minimal_environment_and_ka_s_configuration()
    {
        await _node.MustCarry(new PartitionDisk(_node.Select, Layout, null));
        await _node.MustCarry(new FormatPartitions(_node.Select, Layout, FileSystemKind.Ext4, OnlyDeploy: false));
        await _node.MustCarry(new MountTarget(_node.Select, Layout, FileSystemKind.Ext4));
        File.WriteAllText(_node.Target + "/boot/vmlinuz-6.1", "kernel");
        File.CreateSymbolicLink(_node.Target + "/vmlinuz", "boot/vmlinuz-6.1");
        File.WriteAllText(_node.Target + "/boot/initrd 6.1", "initrd");

        var order = new InstallBootloader(new BootTarget("/vmlinuz", "/boot/initrd 6.1", ["console=ttyS0,115200", "odd=$x;'y'"]), _node.Select, Layout);
        var outcome = await _node.MustCarry(order);
        Assert.Equal("minimal", outcome.Values!["grub"]);
        Assert.Equal("ka", outcome.Values["config"]);
        var configuration = _node.Target + "/boot/grub/grub.cfg";
        Program.Run("grub-script-check", configuration);
        var text = File.ReadAllText(configuration);
        var boot = Program.Run("blkid", "-c", "/dev/null", "-s", "UUID", "-o", "value", _node.Device + "p2").Trim();
        var root = Program.Run("blkid", "-c", "/dev/null", "-s", "UUID", "-o", "value", _node.Device + "p3").Trim();
        Assert.Contains($"--set=root '{boot}'", text);
        Assert.Contains($"linux '/vmlinuz-6.1' 'root=UUID={root}' 'console=ttyS0,115200' 'odd=$x;'\\''y'\\'''\n", text);
        Assert.Contains("initrd '/initrd 6.1'\n", text);
        Assert.Equal($"--target=i386-pc --no-floppy --recheck {_node.Device} --boot-directory={_node.Target}/boot\n", File.ReadAllText(_root + "/said"));
        Assert.DoesNotContain(_node.Target + "/proc\n", File.ReadAllText(_root + "/mounts")); // only the image's own programs need it, and see it alone
        await _node.MustCarry(new SyncTarget(Unmount: true)); // nothing is left bound
    }

    /// <summary>Its ESP holds ext4: not every kernel that runs these tests has vfat.</summary>
    static readonly DiskLayout WithEsp = new(PartitionTableKind.Gpt,
    [
        new("esp", 64 * MiB, PartitionType.EfiSystem, FileSystemKind.Ext4, MountPoint: "/boot/efi"),
        new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
    ]);

    [Fact]
    public async Task With_secure_boot_the_images_signed_loaders_go_where_firmware_and_grub_look_and_nothing_is_run()
    {
        using var node = await Mounted(secureBoot: true);
        Put(node, "/boot/vmlinuz", "kernel");
        var order = new InstallBootloader(new BootTarget("/boot/vmlinuz", null, ["quiet"]), node.Select, WithEsp);
        await Lacks("shim-signed");
        Put(node, "/usr/lib/shim/shimx64.efi.signed", "shim");
        await Lacks("grub-efi-amd64-signed");
        Put(node, "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "MZ\0/EFI/debian\0");

        var outcome = await node.MustCarry(order);
        Assert.Equal("signed", outcome.Values!["grub"]);
        var esp = node.Target + "/boot/efi/EFI";
        Assert.Equal("shim", File.ReadAllText(esp + "/BOOT/BOOTX64.EFI"));
        Assert.Equal("shim", File.ReadAllText(esp + "/debian/shimx64.efi"));
        Assert.Equal(File.ReadAllText(esp + "/BOOT/grubx64.efi"), File.ReadAllText(esp + "/debian/grubx64.efi"));
        Assert.False(File.Exists(esp + "/BOOT/fbx64.efi")); // it would change the boot order
        Program.Run("grub-script-check", esp + "/debian/grub.cfg");
        var root = Program.Run("blkid", "-c", "/dev/null", "-s", "UUID", "-o", "value", node.Device + "p2").Trim();
        Assert.Contains($"--set=root '{root}'", File.ReadAllText(esp + "/debian/grub.cfg"));
        Assert.Contains("linux '/boot/vmlinuz'", File.ReadAllText(node.Target + "/boot/grub/grub.cfg"));
        Assert.False(File.Exists(_root + "/said"));
        await node.MustCarry(new SyncTarget(Unmount: true));

        async Task Lacks(string package)
        {
            var fault = (await node.Carry(order)).Fault!;
            Assert.Equal("image.lacks_package", fault.Code.Text);
            Assert.Contains($"'{package}'", fault.Message);
        }
    }

    const string Loader = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";

    [Fact]
    public async Task Where_the_image_brings_only_systemd_boot_it_starts_the_kernel_from_the_esp()
    {
        using var node = await Mounted();
        Put(node, "/boot/vmlinuz-6.1", "kernel");
        Put(node, "/boot/initrd.img-6.1", "initrd");
        Put(node, Loader, "loader");
        var order = new InstallBootloader(new BootTarget("/boot/vmlinuz-6.1", "/boot/initrd.img-6.1", ["quiet", "a=b"]), node.Select, WithEsp);

        Assert.Equal("systemd-boot", (await node.MustCarry(order)).Values!["loader"]);
        var esp = node.Target + "/boot/efi";
        var root = Program.Run("blkid", "-c", "/dev/null", "-s", "UUID", "-o", "value", node.Device + "p2").Trim();
        Assert.Equal(("loader", "loader"), (File.ReadAllText(esp + "/EFI/BOOT/BOOTX64.EFI"), File.ReadAllText(esp + "/EFI/systemd/systemd-bootx64.efi")));
        Assert.Equal(("kernel", "initrd"), (File.ReadAllText(esp + "/ka/linux"), File.ReadAllText(esp + "/ka/initrd")));
        var entry = File.ReadAllLines(esp + "/loader/entries/ka.conf");
        foreach (var line in (string[])["linux /ka/linux", "initrd /ka/initrd", $"options root=UUID={root} quiet a=b"])
            Assert.Contains(line, entry);
        Assert.Equal($"root=UUID={root} quiet a=b\n", File.ReadAllText(node.Target + "/etc/kernel/cmdline"));
        Assert.False(File.Exists(_root + "/said")); // no GRUB beside it
        await node.MustCarry(new SyncTarget(Unmount: true));
    }

    [Fact]
    public async Task Systemd_boot_is_refused_where_it_cannot_work()
    {
        var asked = new BootTarget("/boot/vmlinuz", null, [], Ka.Core.Environments.BootLoader.SystemdBoot);
        using (var node = await Mounted())
        {
            Put(node, "/boot/vmlinuz", "");
            Assert.Equal("image.lacks_package", await FaultOf(node));
            Put(node, Loader, "loader");
            using (var large = File.OpenWrite(node.Target + "/boot/vmlinuz"))
                large.SetLength(64 * MiB);
            Assert.Equal("disk.too_small", await FaultOf(node));
            Assert.False(Directory.Exists(node.Target + "/boot/efi/EFI"));
        }

        using (var node = await Mounted(uefi: false))
        {
            Put(node, "/boot/vmlinuz", "kernel");
            Put(node, Loader, "loader");
            Assert.Equal("bootloader.failed", await FaultOf(node));
        }

        async Task<string> FaultOf(LoopNode node) => (await node.Carry(new InstallBootloader(asked, node.Select, WithEsp))).Fault!.Code.Text;
    }

    async Task<LoopNode> Mounted(bool uefi = true, bool secureBoot = false)
    {
        var node = new LoopNode(Path.Combine(_root, Guid.NewGuid().ToString("n")), 512 * MiB, secureBoot: secureBoot, uefi: uefi);
        await node.MustCarry(new PartitionDisk(node.Select, WithEsp, null));
        await node.MustCarry(new FormatPartitions(node.Select, WithEsp, FileSystemKind.Ext4, OnlyDeploy: false));
        await node.MustCarry(new MountTarget(node.Select, WithEsp, FileSystemKind.Ext4));
        return node;
    }

    static void Put(LoopNode node, string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(node.Target + path)!);
        File.WriteAllText(node.Target + path, text);
    }

    [Fact]
    public async Task A_kernel_that_is_not_in_the_image_is_named()
    {
        await _node.MustCarry(new PartitionDisk(_node.Select, Layout, null));
        await _node.MustCarry(new FormatPartitions(_node.Select, Layout, FileSystemKind.Ext4, OnlyDeploy: false));
        await _node.MustCarry(new MountTarget(_node.Select, Layout, FileSystemKind.Ext4));
        var fault = (await _node.Carry(new InstallBootloader(new BootTarget("/boot/vmlinuz", null, []), _node.Select, Layout))).Fault!;
        Assert.Equal("bootloader.kernel_missing", fault.Code.Text);
        Assert.Equal("/boot/vmlinuz", fault.Evidence);
    }
}
