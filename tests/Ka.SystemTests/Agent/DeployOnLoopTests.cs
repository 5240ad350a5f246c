using System.Collections.Immutable;
using System.Net;
using Ka.Broadcast;
using Ka.Core.Disks;
using Ka.Protocol.Agents;

namespace Ka.SystemTests.Agent;

/// <summary>Partition, format, mount, broadcast, unpack, identity and sync on real block devices and file systems. Needs root, loop devices and the disk programs.</summary>
public sealed class DeployOnLoopTests : IDisposable
{
    const long MiB = 1024 * 1024;

    readonly string _root = Directory.CreateTempSubdirectory("ka-loop").FullName;
    readonly List<LoopNode> _nodes = [];

    public DeployOnLoopTests() => Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");

    static DiskLayout Layout(long? rootBytes = null) => new(PartitionTableKind.Gpt,
    [
        new("bios", 1 * MiB, PartitionType.BiosBoot, FileSystemKind.None),
        new("esp", 64 * MiB, PartitionType.EfiSystem, FileSystemKind.Vfat),
        new("swap", 16 * MiB, PartitionType.LinuxSwap, FileSystemKind.Swap),
        new("data", 64 * MiB, PartitionType.Linux, FileSystemKind.Ext4, MountPoint: "/srv/data"),
        new("root", rootBytes, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
    ]);

    public void Dispose()
    {
        foreach (var node in _nodes)
        {
            node.Dispose();
        }
        Directory.Delete(_root, recursive: true);
    }

    LoopNode Node()
    {
        var node = new LoopNode(Path.Combine(_root, $"n{_nodes.Count}"), 1024 * MiB);
        _nodes.Add(node);
        return node;
    }

    static async Task Prepare(LoopNode node, DiskLayout layout, FileSystemKind fileSystem)
    {
        var partitioned = await node.MustCarry(new PartitionDisk(node.Select, layout, null));
        Assert.Equal(node.Device, partitioned.Values!["device"]);
        Assert.Equal(node.Device + "p5", partitioned.Values["partition.root"]);
        await node.MustCarry(new FormatPartitions(node.Select, layout, fileSystem, OnlyDeploy: false));
        await node.MustCarry(new MountTarget(node.Select, layout, fileSystem));
    }

    /// <summary>A tree with everything that operating systems have and archives lose.</summary>
    string Source()
    {
        var tree = Path.Combine(_root, "tree");
        Directory.CreateDirectory(tree + "/etc/ssh");
        Directory.CreateDirectory(tree + "/srv/data/deep");
        Directory.CreateDirectory(tree + "/usr/bin");
        File.WriteAllText(tree + "/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        File.WriteAllText(tree + "/etc/ssh/ssh_host_rsa_key", "known to everybody");
        File.WriteAllText(tree + "/srv/data/deep/file", "on another partition");
        var random = new byte[24 * MiB];
        new Random(7).NextBytes(random);
        File.WriteAllBytes(tree + "/usr/bin/big", random);
        Program.Run("ln", tree + "/usr/bin/big", tree + "/usr/bin/hard link");
        Program.Run("ln", "-s", "/usr/bin/big", tree + "/usr/absolute");
        Program.Run("truncate", "-s", "300M", tree + "/sparse");
        using (var sparse = File.OpenWrite(tree + "/sparse"))
        {
            sparse.Position = 200 * MiB;
            sparse.Write(random, 0, 5000);
        }
        Program.Run("cp", "/bin/true", tree + "/usr/bin/capable");
        Program.Run("setcap", "cap_net_raw+ep", tree + "/usr/bin/capable");
        Program.Run("cp", "/bin/true", tree + "/usr/bin/setuid");
        Program.Run("chmod", "4755", tree + "/usr/bin/setuid");
        Program.Run("chown", "1234:5678", tree + "/etc/machine-id");
        Program.Run("setfattr", "-n", "user.colour", "-v", "blue", tree + "/srv/data/deep/file");
        Program.Run("setfacl", "-m", "u:4321:r", tree + "/usr/bin/big");
        Program.Run("mknod", tree + "/etc/null", "c", "1", "3");
        Program.Run("mkfifo", tree + "/etc/fifo");
        File.WriteAllText(tree + "/etc/na\nme \\ 'ü", "odd");
        return tree;
    }

    string Image(string tree)
    {
        var tar = Path.Combine(_root, "image.tar");
        Program.Run("tar", "-c", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse", "-C", tree, "-f", tar, ".");
        Program.Run("zstd", "-q", "-1", tar);
        return tar + ".zst";
    }

    /// <summary>Type, mode, owners, size, links, times, link targets, contents, attributes and ACLs of a tree, as text.</summary>
    static string Picture(string tree)
    {
        var facts = Program.Run("find", tree, "-mindepth", "1", "-name", "lost+found", "-prune", "-o", "-mindepth", "1", "-type", "d", "-printf", "%P|%y|%m|%U|%G|%T@\\0",
            "-o", "-mindepth", "1", "-printf", "%P|%y|%m|%U|%G|%s|%n|%T@|%l\\0");
        var contents = Program.Run("find", tree, "-type", "f", "-exec", "sha256sum", "-z", "{}", "+").Replace(tree, "", StringComparison.Ordinal);
        var attributes = Program.Run("getfattr", "-R", "-P", "-h", "-d", "-m", "^(user|security)[.]", "--absolute-names", tree).Replace(tree, "", StringComparison.Ordinal);
        var lists = Program.Run("getfacl", "-R", "-P", "-s", "-n", "-p", tree).Replace(tree, "", StringComparison.Ordinal);
        return string.Join('\n', facts.Split('\0').Order(StringComparer.Ordinal)) + "\n====\n"
            + string.Join('\n', contents.Split('\0').Order(StringComparer.Ordinal)) + "\n====\n"
            + string.Join("\n\n", attributes.Split("\n\n").Order(StringComparer.Ordinal)) + "\n====\n"
            + string.Join("\n\n", lists.Split("\n\n").Order(StringComparer.Ordinal));
    }

    static ReceiveImage Receive(ImageManifest manifest, string key, ChainLink link, ImageCompression compression = ImageCompression.Zstd) => new(
        key, manifest.Sha256, manifest.Bytes, manifest.ChunkBytes, manifest.ChunkHashes, ImageKind.Tar, compression,
        [.. link.Upstreams.Select(u => new PeerAddress(u.Host, u.Port))], link.Successors);

    [Fact]
    public async Task Three_nodes_hold_the_same_tree_as_the_archive()
    {
        var tree = Source();
        var image = Image(tree);
        var manifest = ImageManifest.OfFile(image, ImageManifest.DefaultChunkBytes, CancellationToken.None);
        using var source = new ChainSource(IPAddress.Loopback, 0, ChainOptions.Default);
        var key = BroadcastKey.Create();
        Assert.Null(source.Register(key, image, manifest.Bytes));
        var layout = Layout();
        FileSystemKind[] kinds = [FileSystemKind.Ext4, FileSystemKind.Xfs, FileSystemKind.None];
        var nodes = kinds.Select(_ => Node()).ToArray();
        await Task.WhenAll(nodes.Zip(kinds, (n, k) => Prepare(n, layout, k)));

        var plan = ChainPlan.Of([.. nodes.Select(n => new ChainPeer("127.0.0.1", n.Chain.Port))], new ChainPeer("127.0.0.1", source.Port));
        var outcomes = await Task.WhenAll(nodes.Zip(plan, (n, l) => n.MustCarry(Receive(manifest, key, l))));
        Assert.Equal(manifest.Bytes, source.Report(key)!.BytesOut);
        Assert.Equal(manifest.Bytes.ToString(), outcomes[0].Values!["bytesOut"]);
        var expected = Picture(tree);
        Assert.Contains("security.capability", expected);
        foreach (var node in nodes)
        {
            Assert.Equal(expected, Picture(node.Target));
            Assert.True(long.Parse(Program.Run("stat", "-c", "%b", node.Target + "/sparse")) * 512 < 4 * MiB, "holes were filled");
        }
        var again = await nodes[0].Carry(Receive(manifest, key, plan[0]));
        Assert.Equal("image.extract_failed", again.Fault!.Code.Text);
        await IdentityAndSync(nodes[0], layout, FileSystemKind.Ext4, tree);
        await IdentityAndSync(nodes[1], layout, FileSystemKind.Xfs, tree);
    }

    static async Task IdentityAndSync(LoopNode node, DiskLayout layout, FileSystemKind fileSystem, string tree)
    {
        await node.MustCarry(new InstallKeys(["ssh-ed25519 AAAA me"]));
        var identity = await node.MustCarry(new SetIdentity("gris-1.site.fr", node.Select, layout, fileSystem));
        Assert.StartsWith("ssh-ed25519 AAAA", identity.Values!["hostKey"]);
        Assert.Equal(
            "/etc/fstab /etc/hostname /etc/hosts /etc/machine-id /etc/ssh/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_rsa_key",
            identity.Values["files"].Replace('\n', ' '));
        Assert.Equal("gris-1\n", File.ReadAllText(node.Target + "/etc/hostname"));
        Assert.Equal("", File.ReadAllText(node.Target + "/etc/machine-id"));
        Assert.False(File.Exists(node.Target + "/etc/ssh/ssh_host_rsa_key"));
        var blkid = Program.Run("blkid", "-c", "/dev/null", "-s", "UUID", "-o", "value", node.Device + "p5", node.Device + "p4", node.Device + "p3");
        var fstab = File.ReadAllText(node.Target + "/etc/fstab");
        Assert.All(blkid.Split('\n', StringSplitOptions.RemoveEmptyEntries), uuid => Assert.Contains($"UUID={uuid} ", fstab));
        await node.MustCarry(new SyncTarget(Unmount: true));
        Assert.Empty(Directory.EnumerateFileSystemEntries(node.Target));
        Program.Run(fileSystem == FileSystemKind.Xfs ? "xfs_repair" : "e2fsck", [.. fileSystem == FileSystemKind.Xfs ? ["-n"] : (string[])["-f", "-n"], node.Device + "p5"]);
        await node.MustCarry(new MountTarget(node.Select, layout, fileSystem));
        Assert.Equal(File.ReadAllBytes(tree + "/usr/bin/big"), File.ReadAllBytes(node.Target + "/usr/bin/big"));
        Assert.Equal("ssh-ed25519 AAAA me\n", File.ReadAllText(node.Target + "/root/.ssh/authorized_keys"));
        await node.MustCarry(new SyncTarget(Unmount: false));
        Assert.Throws<IOException>(() => File.WriteAllText(node.Target + "/x", "read-only"));
        await node.MustCarry(new PartitionDisk(node.Select, layout, null)); // frees the disk by itself
    }

    [Fact]
    public async Task A_partition_that_is_too_small_for_the_image_is_disk_full()
    {
        var image = Image(Source());
        var (node, receive, source) = await One(image, ImageCompression.Zstd, rootBytes: 20 * MiB);
        using (source)
        {
            var fault = (await node.Carry(receive)).Fault!;
            Assert.True(fault.Code.Text == "disk.full", $"{fault} {fault.Evidence}");
        }
    }

    [Fact]
    public async Task An_archive_that_was_cut_at_a_block_is_not_taken_for_whole()
    {
        var tree = Path.Combine(_root, "small");
        Directory.CreateDirectory(tree);
        await File.WriteAllTextAsync(tree + "/a", "a");
        await File.WriteAllTextAsync(tree + "/b", "b");
        var tar = Path.Combine(_root, "cut.tar");
        Program.Run("tar", "-c", "-C", tree, "-f", tar, "a", "b");
        Program.Run("truncate", "-s", "1024", tar); // after the first file: GNU tar ends with 0
        var (node, receive, source) = await One(tar, ImageCompression.None);
        using (source)
        {
            var fault = (await node.Carry(receive)).Fault!;
            Assert.Equal("image.extract_failed", fault.Code.Text);
            Assert.Contains("end marker", fault.Message);
        }
    }

    [Fact]
    public async Task What_is_no_archive_fails_with_the_program_s_words()
    {
        var file = Path.Combine(_root, "noise");
        await File.WriteAllTextAsync(file, new string('x', 3_000_000));
        var (node, receive, source) = await One(file, ImageCompression.Zstd);
        using (source)
        {
            var fault = (await node.Carry(receive)).Fault!;
            Assert.Equal("image.extract_failed", fault.Code.Text);
            Assert.Contains("zstd", fault.Evidence);
        }
    }

    [Fact]
    public async Task A_disk_that_is_not_there_is_told_with_what_is()
    {
        var node = Node();
        var fault = (await node.Carry(new PartitionDisk(new DiskSelector(Path: "/dev/nothing"), Layout(), null))).Fault!;
        Assert.Equal("disk.not_found", fault.Code.Text);
        Assert.Contains(node.Device, fault.Evidence);
    }

    async Task<(LoopNode Node, ReceiveImage Order, ChainSource Source)> One(string image, ImageCompression compression, long? rootBytes = null)
    {
        var manifest = ImageManifest.OfFile(image, ImageManifest.DefaultChunkBytes, CancellationToken.None);
        var source = new ChainSource(IPAddress.Loopback, 0, ChainOptions.Default);
        var key = BroadcastKey.Create();
        Assert.Null(source.Register(key, image, manifest.Bytes));
        var node = Node();
        await Prepare(node, Layout(rootBytes), FileSystemKind.Ext4);
        ImmutableArray<ChainPeer> upstreams = [new ChainPeer("127.0.0.1", source.Port)];
        return (node, Receive(manifest, key, new ChainLink(upstreams, 0), compression), source);
    }
}
