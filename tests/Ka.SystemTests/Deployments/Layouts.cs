namespace Ka.SystemTests.Deployments;

/// <summary>Debian on every kind of layout, on BIOS and UEFI machines side by side: each runs from what the layout made, and again from its own disk.</summary>
[Trait("scope", "wide")]
public sealed class Layouts : IClassFixture<LayoutLab>
{
    readonly LayoutLab _lab;

    public Layouts(LayoutLab lab) => _lab = lab;

    const string Lvm = """
        layout:
          partitions:
            - { name: bios, size: 1MiB, type: bios-boot }
            - { name: pv, size: rest, type: lvm }
          volume-groups:
            - name: vg0
              members: [pv]
              volumes:
                - { name: swap, size: 128MiB, filesystem: swap }
                - { name: data, size: 256MiB, filesystem: btrfs, mount: /srv/data }
                - { name: root, size: rest, filesystem: ext4, deploy: true }
        """;

    const string Encrypted = """
        layout:
          partitions:
            - { name: bios, size: 1MiB, type: bios-boot }
            - { name: boot, size: 512MiB, filesystem: ext4, mount: /boot }
            - { name: root, size: rest, filesystem: ext4, deploy: true, encrypted: true }
        """;

    const string Nvme = """
        select: { bus: nvme, serial: node3 }
        layout:
          partitions:
            - { name: esp, size: 64MiB, type: esp, filesystem: vfat }
            - { name: root, size: rest, deploy: true }
        """;

    const string Mirror = """
        layout:
          disks:
            - select: { serial: node4 }
              partitions:
                - { name: esp, size: 64MiB, type: esp, filesystem: vfat }
                - { name: r1, size: rest, type: raid }
            - select: { bus: sata, minSize: 5GiB }
              partitions:
                - { name: r2, size: 3900MiB, type: raid }
                - { name: scratch, size: rest, filesystem: btrfs, mount: /scratch }
          raid:
            - { name: root, level: 1, members: [r1, r2], filesystem: ext4, deploy: true }
        """;

    [Fact]
    public async Task Debian_runs_on_volumes_mirrors_xfs_and_an_encrypted_root()
    {
        await _lab.ServeAsync(new Dictionary<string, string> { ["node1"] = Lvm, ["node2"] = Encrypted, ["node3"] = Nvme, ["node4"] = Mirror });
        var ext4 = await LayoutLab.RegisterAsync("ext4");
        var xfs = await LayoutLab.RegisterAsync("xfs");
        var plan = await LayoutLab.MustKaAsync("deploy", ext4, "-w", "node[1,4]", "--dry-run");
        Assert.Contains("volume group vg0 over pv", plan, StringComparison.Ordinal);
        Assert.Contains("RAID 1 over r1, r2", plan, StringComparison.Ordinal);
        var limit = TimeSpan.FromHours(2);
        await Task.WhenAll(LayoutLab.DoneAsync(await LayoutLab.BeginAsync(ext4, "node[1-2,4]"), limit), LayoutLab.DoneAsync(await LayoutLab.BeginAsync(xfs, "node3"), limit));

        // node2's root was opened by the key that came through memory: nobody typed anything.
        await RunsAsync("node1", "/dev/mapper/vg0-root / ext4", "/dev/mapper/vg0-data /srv/data btrfs");
        await RunsAsync("node2", "/dev/mapper/root_crypt / ext4", "/boot ext4");
        await RunsAsync("node3", "/dev/nvme0n1p2 / xfs", "/boot/efi vfat");
        await RunsAsync("node4", " / ext4", "/scratch btrfs");
        Assert.Contains("[2/2]", await LayoutLab.SshAsync("node4", "cat /proc/mdstat"), StringComparison.Ordinal);

        var key = await LayoutLab.MustKaAsync("nodes", "key", "node2");
        Assert.Equal(32, key.Length);
        Assert.DoesNotContain(key, await File.ReadAllTextAsync(LayoutLab.Log), StringComparison.Ordinal);
        // neither in the files of the deployed system nor on the unencrypted part of the disk
        Assert.Equal("none", await LayoutLab.SshAsync("node2", $"grep -rqsF {key} /etc /boot || echo none"));
        Assert.Contains("root_crypt UUID=", await LayoutLab.SshAsync("node2", "cat /etc/crypttab"), StringComparison.Ordinal);

        await FromItsOwnDiskAsync(key);
    }

    const string Layers = """
        layout:
          disks:
            - select: { serial: node4 }
              partitions:
                - { name: bios, size: 1MiB, type: bios-boot }
                - { name: boot, size: 256MiB, filesystem: ext4, mount: /boot }
                - { name: r1, size: rest, type: raid }
            - select: { serial: node4-2 }
              partitions:
                - { name: r2, size: rest, type: raid }
          raid:
            - { name: pv, level: 1, members: [r1, r2], encrypted: true }
          volume-groups:
            - name: vg0
              members: [pv]
              volumes:
                - { name: swap, size: 64MiB, filesystem: swap }
                - { name: root, size: rest, deploy: true }
        """;

    const string Plain = """
        layout:
          disks:
            - select: { serial: node4 }
              partitions:
                - { name: esp, size: 64MiB, type: esp, filesystem: vfat }
                - { name: root, size: rest, deploy: true }
            - select: { serial: node4-2 }
              partitions:
                - { name: data, size: rest, filesystem: xfs, mount: /data }
        """;

    [Fact]
    public async Task Layers_are_made_over_two_disks_refused_for_an_image_that_cannot_open_them_and_gone_with_the_next_layout()
    {
        await _lab.ServeAsync(new Dictionary<string, string> { ["node4"] = Layers });
        await LayoutLab.MustKaAsync("env", "apply", "-f", Path.Combine(RealLab.Work, "tiny", "tiny.yaml"));
        // The second time over what the first has left.
        for (var time = 1; time <= 2; time++)
        {
            var refused = await LayoutLab.EndAsync(await LayoutLab.BeginAsync("tiny", "node4"), TimeSpan.FromMinutes(40));
            Assert.Contains("image.lacks_package", refused, StringComparison.Ordinal);
            Assert.Contains("'lvm2'", refused, StringComparison.Ordinal);
            var seen = await LayoutLab.SshAsync("node4", "cat /proc/mdstat /proc/mounts; cryptsetup status pv_crypt; lvs --noheadings -o vg_name,lv_name");
            foreach (var layer in (string[])["active raid1 sd", "/dev/mapper/vg0-root /mnt/dest ext4", "LUKS2", "vg0 root", "vg0 swap"])
                Assert.Contains(layer, seen, StringComparison.Ordinal);
        }

        // A disk image over what is still active there: the layers are taken down first. It boots nothing, so the node stays.
        await RegisterDiskAsync();
        await LayoutLab.DoneAsync(await LayoutLab.MustKaAsync("deploy", "bytes", "-w", "node4", "--no-wait", "--strategy", "minimal-env=trusted", "--breakpoint", "BootNewEnv"), TimeSpan.FromMinutes(20));
        Assert.DoesNotContain("active", await LayoutLab.SshAsync("node4", "cat /proc/mdstat"), StringComparison.Ordinal);

        _lab.Stop();
        await _lab.ServeAsync(new Dictionary<string, string> { ["node4"] = Plain });
        await LayoutLab.DoneAsync(await LayoutLab.BeginAsync("tiny", "node4"), TimeSpan.FromMinutes(40));
        var mounts = await LayoutLab.SshAsync("node4", "cat /proc/mounts");
        Assert.Matches("/dev/sd[ab]2 / ext4", mounts);
        Assert.Matches("/dev/sd[ab]1 /data xfs", mounts);
    }

    /// <summary>A disk image with one partition of random bytes.</summary>
    static async Task RegisterDiskAsync()
    {
        var image = Path.Combine(RealLab.Work, "bytes.raw");
        var bytes = new byte[64 << 20];
        new Random(5).NextBytes(bytes);
        await File.WriteAllBytesAsync(image, bytes);
        await RealLab.MustAsync("sh", ["-c", $"echo 'start=2048, type=83' | sfdisk -q --label dos '{image}'"]);
        var description = Path.Combine(RealLab.Work, "bytes.yaml");
        await File.WriteAllTextAsync(description, $"name: bytes\nimage: {{ file: {image}, kind: raw }}\n");
        await LayoutLab.MustKaAsync("env", "apply", "-f", description);
    }

    async Task FromItsOwnDiskAsync(string key)
    {
        // DHCP, TFTP and HTTP are gone with the server; what boots now comes from the disk alone.
        string[] nodes = ["node1", "node2", "node3", "node4"];
        foreach (var node in nodes)
            await LayoutLab.SshAsync(node, "sync");
        _lab.Stop();
        var consoles = nodes.ToDictionary(n => n, LayoutLab.ConsoleLength);
        foreach (var node in nodes)
            await LayoutLab.BootOwnDiskAsync(node);
        await LayoutLab.ConsoleShowsAsync("node2", consoles["node2"], "Please unlock disk root_crypt");
        await LayoutLab.TypeAsync("node2", key);
        foreach (var node in nodes)
            await LayoutLab.ConsoleShowsAsync(node, consoles[node], $"{node} login:");
    }

    static async Task RunsAsync(string node, params string[] mounts)
    {
        var seen = await LayoutLab.SshAsync(node, "hostname; cat /proc/mounts");
        Assert.StartsWith(node, seen, StringComparison.Ordinal);
        Assert.All(mounts, m => Assert.Contains(m, seen, StringComparison.Ordinal));
        Assert.Equal("0", await LayoutLab.SshAsync(node, "systemctl list-units --failed --no-legend | wc -l"));
    }
}
