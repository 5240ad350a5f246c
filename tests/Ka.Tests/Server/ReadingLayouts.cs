using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Server.Api;
using Ka.Server.Configuration;

namespace Ka.Tests.Server;

/// <summary>Layouts as people write them, and what a dry run says of them.</summary>
public sealed class ReadingLayouts : IDisposable
{
    const long GiB = 1L << 30;

    const string Two = """
        disks:
          - select: {bus: nvme}
            partitions:
              - {name: bios, size: 1MiB, type: bios-boot}
              - {name: boot, size: 512MiB, filesystem: ext4, mount: /boot}
              - {name: r1, size: rest, type: raid}
          - select: {serial: S2, maxSize: 8GiB}
            partitions:
              - {name: prod, type: linux, filesystem: xfs, mount: /prod, keep: true}
              - {name: r2, size: rest, type: raid}
        raid:
          - {name: pv, level: 1, members: [r1, r2], encrypted: true}
        volume-groups:
          - name: vg0
            members: [pv]
            volumes:
              - {name: swap, size: 1GiB, filesystem: swap}
              - {name: root, size: rest, filesystem: btrfs, deploy: true}
        """;

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    SiteReading Read(string layout, string more = "")
    {
        var lines = layout.Split('\n').Select(l => "      " + l);
        File.WriteAllText(_directory["ka.yaml"], """
            server:
              state: state
              users: ["127.0.0.1:8443"]
              nodes: {address: 10.0.0.1}
            boot: {dhcp: off, network: 10.0.0.0/16}
            clusters: [gris.yaml]
            """);
        File.WriteAllText(_directory["gris.yaml"], "cluster: gris\ndefaults:\n  power: {user: a, passwordFile: s, host: h}\n  disk:\n" + more + "    layout:\n"
            + string.Join('\n', lines) + "\nnodes:\n  gris-1: {mac: \"52:54:00:00:00:01\", address: 10.0.0.11}\n  gris-2: {mac: \"52:54:00:00:00:02\", address: 10.0.0.12}\n");
        return SiteReader.Read(_directory["ka.yaml"]);
    }

    ImmutableArray<ClusterNode> Nodes(string layout)
    {
        var reading = Read(layout);
        Assert.Empty(reading.Findings.Select(f => f.ToString()));
        return reading.Site!.Clusters[0].Nodes;
    }

    [Fact]
    public void Disks_arrays_and_volume_groups_become_one_layout()
    {
        var node = Nodes(Two)[0];
        Assert.Equal(new DiskSelector(Bus: "nvme"), node.Disk);
        var second = Assert.Single(node.Layout.MoreDisks!.Value);
        Assert.Equal(new DiskSelector(Serial: "S2", MaxBytes: 8 * GiB), second.Select);
        Assert.Equal(new PartitionSpec("prod", null, PartitionType.Linux, FileSystemKind.Xfs, MountPoint: "/prod", Keep: true), second.Partitions[0]);
        var array = Assert.Single(node.Layout.RaidArrays());
        Assert.Equal((1, "r1 r2", true), (array.Level, string.Join(' ', array.Members), array.Content.Encrypted));
        Assert.Equal(["swap", "root"], node.Layout.VolumeGroups()[0].Volumes.Select(v => v.Name));
        Assert.Equal("root", node.Layout.Deploy().Name);
        Assert.True(node.Layout.HasEncryptedRoot());
    }

    /// <summary>Line and column in gris.yaml, whose layout begins at line 5.</summary>
    [Theory]
    [InlineData("[r1, r2]", "[r1, r3]", "gris.yaml:17:46", "must be a partition of type raid", "did you mean 'r1'?")]
    [InlineData("level: 1", "level: 5", "gris.yaml:17:29", "a whole number from 0 to 1", null)]
    [InlineData("name: r2", "name: r1", "gris.yaml:15:22", "same name", null)]
    [InlineData("keep: true", "keeps: true", "gris.yaml:14:72", "keeps", "did you mean 'keep'?")]
    [InlineData("size: rest, filesystem: btrfs", "filesystem: btrfs", "gris.yaml:23:15", "lacks the key 'size'", null)]
    [InlineData("btrfs", "btrsf", "gris.yaml:23:52", "ext4, xfs, btrfs", "did you mean 'btrfs'?")]
    [InlineData("type: raid", "type: riad", "gris.yaml:11", "no partition type", "did you mean 'raid'?")]
    [InlineData("mount: /boot}", "mount: /boots}", "gris.yaml:7", "mount point /boot", null)]
    [InlineData("disks:", "table: mbr\ndisks:", "gris.yaml:6", "stands in each of 'disks'", null)]
    public void A_mistake_is_shown_where_it_stands(string right, string wrong, string place, string message, string? next)
    {
        var text = Two.Remove(Two.IndexOf(right, StringComparison.Ordinal), right.Length).Insert(Two.IndexOf(right, StringComparison.Ordinal), wrong);
        var reading = Read(text);
        Assert.Null(reading.Site);
        var findings = string.Join("\n\n", reading.Findings.Select(f => f.ToString()));
        Assert.True(reading.Findings.Any(f => f.ToString().Contains(place, StringComparison.Ordinal) && f.Error.Message.Contains(message, StringComparison.Ordinal)), findings);
        if (next is not null)
            Assert.Contains(next, findings);
    }

    [Fact]
    public void A_script_divides_plain_disks_only()
    {
        File.WriteAllText(_directory["part.sh"], "");
        Assert.Contains(Read(Two, "    script: part.sh\n").Findings, f => f.Error.Message.Contains("a script divides one disk", StringComparison.Ordinal));
    }

    [Fact]
    public void A_dry_run_names_each_disk_with_what_is_erased_kept_and_made()
    {
        var nodes = Nodes(Two);
        const string Inventory = """
            {"firmware":"bios","memoryBytes":1,"processors":1,"kernelRelease":"6","nics":[],"disks":[
              {"name":"nvme0n1","bus":"nvme","bytes":4294967296,"serial":"N1","rotational":false},
              {"name":"sda","bus":"sata","bytes":8589934592,"serial":"S2","rotational":true}]}
            """;
        var lines = PlannedDisks.Of(nodes, ImmutableDictionary<string, string>.Empty.Add("gris-2", Inventory));
        Assert.Equal(
            """
            gris-1: bus nvme: erases whole; keeps nothing; makes gpt with bios 1 MiB, boot 512 MiB ext4 /boot, r1 rest
            gris-1: at most 8589934592 bytes, serial S2: erases all but prod; keeps prod; makes gpt with r2 rest
            gris-1: RAID 1 over r1, r2: pv rest encrypted
            gris-1: volume group vg0 over pv: swap 1 GiB swap, root rest btrfs deployed
            gris-2: /dev/nvme0n1 (4 GiB, nvme, serial N1): erases whole; keeps nothing; makes gpt with bios 1 MiB, boot 512 MiB ext4 /boot, r1 3.5 GiB
            gris-2: /dev/sda (8 GiB, sata, serial S2): erases all but prod; keeps prod; makes gpt with r2 rest
            gris-2: RAID 1 over r1, r2: pv rest encrypted
            gris-2: volume group vg0 over pv: swap 1 GiB swap, root rest btrfs deployed
            """, string.Join('\n', lines));
    }

    [Fact]
    public void Nodes_alike_share_a_line_and_known_disks_give_known_sizes()
    {
        const string Lvm = """
            partitions:
              - {name: pv, size: rest, type: lvm}
            volume-groups:
              - {name: vg0, members: [pv], volumes: [{name: root, size: rest, filesystem: ext4, deploy: true}]}
            """;
        const string Inventory = """{"firmware":"bios","memoryBytes":1,"processors":1,"kernelRelease":"6","nics":[],"disks":[{"name":"vda","bus":"virtio","bytes":1073741824,"rotational":true}]}""";
        var lines = PlannedDisks.Of(Nodes(Lvm), ImmutableDictionary<string, string>.Empty.Add("gris-1", Inventory).Add("gris-2", Inventory));
        Assert.Equal(
            ["gris-[1-2]: /dev/vda (1 GiB, virtio): erases whole; keeps nothing; makes gpt with pv 1022 MiB", "gris-[1-2]: volume group vg0 over pv: root 1020 MiB ext4 deployed"],
            lines);
    }
}
