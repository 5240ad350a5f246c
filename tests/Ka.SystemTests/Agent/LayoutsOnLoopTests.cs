using System.Security.Cryptography;
using Ka.Core.Disks;
using Ka.Protocol.Agents;

namespace Ka.SystemTests.Agent;

/// <summary>Kept partitions and file systems on real block devices. Arrays, volume groups and LUKS need kernel modules that not every host has: see Deployments/Layouts.</summary>
public sealed class LayoutsOnLoopTests : IDisposable
{
    const long MiB = 1024 * 1024;

    readonly string _root = Directory.CreateTempSubdirectory("ka-layout").FullName;
    readonly LoopNode _node;

    public LayoutsOnLoopTests()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        _node = new LoopNode(Path.Combine(_root, "n"), 1024 * MiB);
    }

    public void Dispose()
    {
        _node.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    static DiskLayout Layout(bool keep, long? rootBytes = 200 * MiB, string prod = "prod", FileSystemKind kind = FileSystemKind.Ext4) => new(PartitionTableKind.Gpt,
    [
        new("root", rootBytes, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
        new("swap", 100 * MiB, PartitionType.LinuxSwap, FileSystemKind.Swap),
        new(prod, keep ? null : 150 * MiB, PartitionType.Linux, kind, MountPoint: "/prod", Keep: keep),
        new("tmp", null, PartitionType.Linux, FileSystemKind.Btrfs, MountPoint: "/tmp"),
    ]);

    async Task Deploy(DiskLayout layout)
    {
        await _node.MustCarry(new PartitionDisk(_node.Select, layout, null));
        await _node.MustCarry(new FormatPartitions(_node.Select, layout, FileSystemKind.None, OnlyDeploy: false));
        await _node.MustCarry(new MountTarget(_node.Select, layout, FileSystemKind.None));
    }

    string Digest(int partition)
    {
        Program.Run("sync");
        using var device = File.OpenRead($"{_node.Device}p{partition}");
        return Convert.ToHexString(SHA256.HashData(device));
    }

    string Entry(int partition) => Program.Run("sfdisk", "--dump", _node.Device).Split('\n').Single(l => l.StartsWith($"{_node.Device}p{partition} ", StringComparison.Ordinal));

    string Head()
    {
        using var disk = File.OpenRead(_node.Device);
        var head = new byte[4 * MiB];
        disk.ReadExactly(head);
        return Convert.ToHexString(SHA256.HashData(head));
    }

    [Fact]
    public async Task A_kept_partition_has_the_same_bytes_place_number_and_identity_after_a_deployment_as_before()
    {
        await Deploy(Layout(keep: false));
        File.WriteAllText(_node.Target + "/prod/precious", "years of work");
        await _node.MustCarry(new SyncTarget(Unmount: true));
        var (bytes, entry) = (Digest(3), Entry(3));
        var table = Program.Run("sfdisk", "--disk-id", _node.Device);

        // Smaller than before on one side, and twice, as after a failed try.
        var again = Layout(keep: true, rootBytes: 120 * MiB);
        await Deploy(again);
        Assert.False(File.Exists(_node.Target + "/prod/precious"), "the kept partition is mounted while the image is unpacked");
        await Deploy(again);
        var identity = await _node.MustCarry(new SetIdentity("gris-1", _node.Select, again, FileSystemKind.None));
        Assert.NotNull(identity.Values!["hostKey"]);
        var fstab = File.ReadAllText(_node.Target + "/etc/fstab");
        foreach (var (partition, line) in ((int, string)[])[(3, "/prod ext4"), (4, "/tmp btrfs")])
        {
            var uuid = Program.Run("blkid", "-c", "/dev/null", "-s", "UUID", "-o", "value", $"{_node.Device}p{partition}").Trim();
            Assert.Contains($"UUID={uuid} {line}", fstab);
        }
        await _node.MustCarry(new SyncTarget(Unmount: true));

        Assert.Equal((bytes, entry), (Digest(3), Entry(3)));
        Assert.Equal(table, Program.Run("sfdisk", "--disk-id", _node.Device));
        Assert.Contains("size=      245760", Entry(1)); // 120 MiB
        Program.Run("sfdisk", "--verify", _node.Device);
        Program.Run("e2fsck", "-f", "-n", _node.Device + "p3");
    }

    [Fact]
    public async Task A_disk_that_does_not_hold_what_is_kept_stays_as_it_is()
    {
        await Deploy(Layout(keep: false));
        await _node.MustCarry(new SyncTarget(Unmount: true));
        var (head, prod) = (Head(), Digest(3));
        (DiskLayout Layout, string Code, string Evidence)[] refused =
        [
            (Layout(keep: true, prod: "data"), "disk.not_as_kept", "partition 3 is named 'prod'"),
            (Layout(keep: true, kind: FileSystemKind.Xfs), "disk.not_as_kept", "holds no Xfs file system"),
            (Layout(keep: true, rootBytes: 210 * MiB), "disk.not_as_kept", "100 MiB wanted"),
        ];
        foreach (var (layout, code, evidence) in refused)
        {
            var fault = (await _node.Carry(new PartitionDisk(_node.Select, layout, null))).Fault!;
            Assert.True((fault.Code.Text, fault.Evidence!.Contains(evidence, StringComparison.Ordinal)) == (code, true), $"{fault} {fault.Evidence}");
        }
        var large = (await _node.Carry(new PartitionDisk(_node.Select, Layout(keep: true), null, NeedBytes: 201 * MiB))).Fault!;
        Assert.Contains("nothing was erased", large.Message);
        Assert.Equal((head, prod), (Head(), Digest(3)));
    }

    [Fact]
    public async Task Two_disks_are_divided_and_neither_is_taken_twice()
    {
        using var second = new LoopNode(Path.Combine(_root, "second"), 512 * MiB);
        var layout = Layout(keep: false) with
        {
            MoreDisks = [new FurtherDisk(second.Select, PartitionTableKind.Gpt, [new("scratch", null, PartitionType.Linux, FileSystemKind.Xfs, MountPoint: "/scratch")])],
        };
        await Deploy(layout);
        Assert.Contains($"{second.Device}p1 {_node.Target}/scratch xfs", File.ReadAllText("/proc/mounts"));
        await Deploy(layout); // frees both by itself
        await _node.MustCarry(new SyncTarget(Unmount: true));
        var same = layout with { MoreDisks = [layout.MoreDisks.Value[0] with { Select = _node.Select }] };
        Assert.Equal("disk.not_found", (await _node.Carry(new PartitionDisk(_node.Select, same, null))).Fault!.Code.Text);
    }
}
