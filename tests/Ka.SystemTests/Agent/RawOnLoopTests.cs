using System.Collections.Immutable;
using System.Net;
using Ka.Broadcast;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Protocol.Agents;

namespace Ka.SystemTests.Agent;

/// <summary>Disk images written to real block devices, proved, grown and mounted. Needs root, loop devices and the disk programs.</summary>
public sealed class RawOnLoopTests : IDisposable
{
    const long MiB = 1024 * 1024;

    readonly string _root = Directory.CreateTempSubdirectory("ka-raw").FullName;
    readonly List<LoopNode> _nodes = [];

    public RawOnLoopTests() => Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");

    public void Dispose()
    {
        foreach (var node in _nodes)
        {
            node.Dispose();
        }
        Directory.Delete(_root, recursive: true);
    }

    /// <summary>A node whose disk is full of what was there before.</summary>
    LoopNode Node(long mib)
    {
        var node = new LoopNode(Path.Combine(_root, $"n{_nodes.Count}"), mib * MiB);
        _nodes.Add(node);
        var old = new byte[MiB];
        Array.Fill(old, (byte)0xA5);
        using var disk = File.OpenWrite(node.Device);
        for (var i = 0; i < mib; i++)
        {
            disk.Write(old);
        }
        disk.Flush(flushToDisk: true);
        return node;
    }

    /// <summary>A file system with a tree in it, in a file; the label is <c>raw-root</c>.</summary>
    string FileSystem(string kind, int mib)
    {
        var tree = Path.Combine(_root, "tree-" + kind);
        Directory.CreateDirectory(tree + "/etc/ssh");
        Directory.CreateDirectory(tree + "/root");
        File.WriteAllText(tree + "/etc/fstab", "LABEL=raw-root / auto defaults 0 1\n");
        var content = new byte[20 * MiB];
        new Random(11).NextBytes(content);
        File.WriteAllBytes(tree + "/content", content);
        var file = Path.Combine(_root, kind + ".img");
        Program.Run("truncate", "-s", $"{mib}M", file);
        if (kind == "ext4")
        {
            Program.Run("mkfs.ext4", "-q", "-L", "raw-root", "-d", tree, file);
        }
        else
        {
            var mounted = Path.Combine(_root, "mnt");
            Directory.CreateDirectory(mounted);
            Program.Run("mkfs.xfs", "-q", "-L", "raw-root", file);
            Program.Run("mount", "-o", "loop", file, mounted);
            Program.Run("cp", "-a", tree + "/.", mounted);
            Program.Run("umount", mounted);
        }
        return file;
    }

    /// <summary>A whole disk: partition 14 for BIOS boot, then partition 1 with the root; as cloud images number them.</summary>
    string Disk(string kind, int rootMib)
    {
        var file = Path.Combine(_root, $"disk-{kind}.raw");
        Program.Run("truncate", "-s", $"{rootMib + 8}M", file);
        Program.Run("sh", "-c", $"printf 'label: gpt\\n14: start=2048, size=4096, type=21686148-6449-6E6F-744E-656564454649\\n1: start=8192, size={rootMib * 2048}, type=linux\\n' | sfdisk -q {file}");
        Program.Run("dd", "if=" + FileSystem(kind, rootMib), "of=" + file, "bs=1M", "seek=4", "conv=notrunc", "status=none");
        return file;
    }

    static (BlockHashes Hashes, string Packed) Hashes(string file)
    {
        using var hasher = new BlockHasher();
        hasher.Append(File.ReadAllBytes(file));
        var hashes = hasher.Finish();
        return (hashes, Convert.ToBase64String(hashes.Packed.Span));
    }

    static ImagePlace Whole(LoopNode node, string image) => new(node.Select, null, null, new FileInfo(image).Length, 512);

    async Task<Ka.Agent.Orders.OrderOutcome> Send(LoopNode node, string image, ImagePlace place, ImageCompression compression = ImageCompression.None)
    {
        var manifest = ImageManifest.OfFile(image, ImageManifest.DefaultChunkBytes, CancellationToken.None);
        using var source = new ChainSource(IPAddress.Loopback, 0, ChainOptions.Default);
        var key = BroadcastKey.Create();
        Assert.Null(source.Register(key, image, manifest.Bytes));
        return await node.Carry(new ReceiveImage(
            key, manifest.Sha256, manifest.Bytes, manifest.ChunkBytes, manifest.ChunkHashes, ImageKind.Raw, compression, [new PeerAddress("127.0.0.1", source.Port)], 0, place));
    }

    static string Pack(string program, string file)
    {
        Program.Run("sh", "-c", $"{program} -q -c {file} >{file}.{program}");
        return $"{file}.{program}";
    }

    static string Uuid(string device) => Program.Run("blkid", "-c", "/dev/null", "-s", "UUID", "-o", "value", device).Trim();

    [Theory]
    [InlineData("ext4", "zstd", ImageCompression.Zstd)]
    [InlineData("xfs", "gzip", ImageCompression.Gzip)]
    public async Task A_whole_disk_is_written_proved_grown_and_mounted(string kind, string program, ImageCompression compression)
    {
        var image = Disk(kind, 320);
        var (_, packed) = Hashes(image);
        var node = Node(512);
        var place = Whole(node, image);
        var sent = await Send(node, Pack(program, image), place, compression);
        Assert.True(sent.Fault is null, $"{sent.Fault} {sent.Fault?.Evidence}");
        Program.Run("cmp", "-n", place.Bytes.ToString(), image, node.Device); // zeros, too: 0xA5 was everywhere
        var proved = await node.MustCarry(new VerifyWritten(place, packed, VerifyMode.Full));
        Assert.Equal("82", proved.Values!["blocks"]);

        await node.MustCarry(new GrowImage(place));
        await node.MustCarry(new GrowImage(place)); // a second time finds nothing to do
        Assert.Contains("No errors detected", Program.Run("sfdisk", "--verify", node.Device));
        Assert.DoesNotContain("GPT", Program.Try("sfdisk", "--dump", node.Device).Errors, StringComparison.Ordinal); // "the backup GPT table is not on the end"
        var layout = new DiskLayout(PartitionTableKind.Gpt, [new("p1", 320 * MiB, PartitionType.Linux, kind == "ext4" ? FileSystemKind.Ext4 : FileSystemKind.Xfs, Deploy: true, Number: 1)]);
        await node.MustCarry(new MountTarget(node.Select, layout, FileSystemKind.None));
        Assert.True(new DriveInfo(node.Target).TotalSize > 440 * MiB, $"{new DriveInfo(node.Target).TotalSize} bytes");
        Assert.Equal(File.ReadAllBytes(Path.Combine(_root, "tree-" + kind, "content")), File.ReadAllBytes(node.Target + "/content"));

        var identity = await node.MustCarry(new SetIdentity("gris-1", node.Select, layout, FileSystemKind.None, KeepFstab: true));
        Assert.StartsWith("ssh-ed25519 ", identity.Values!["hostKey"]);
        Assert.Equal(Uuid(node.Device + "p1"), identity.Values["rootUuid"]);
        Assert.Equal("LABEL=raw-root / auto defaults 0 1\n", File.ReadAllText(node.Target + "/etc/fstab"));
        Assert.Equal("gris-1\n", File.ReadAllText(node.Target + "/etc/hostname"));
        await node.MustCarry(new SeedCloudInit(node.Select, ImmutableDictionary<string, string>.Empty.Add("meta-data", "\"instance-id\": \"a\"\n"), OnPartition: false));
        Assert.Equal("\"instance-id\": \"a\"\n", File.ReadAllText(node.Target + "/var/lib/cloud/seed/nocloud/meta-data"));
        await node.MustCarry(new SyncTarget(Unmount: true));

        var again = await Send(node, image, place); // over what is there, partitions and all
        Assert.True(again.Fault is null, $"{again.Fault} {again.Fault?.Evidence}");
        await node.MustCarry(new VerifyWritten(place, packed, VerifyMode.Full));
    }

    [Fact]
    public async Task A_flipped_bit_on_the_disk_is_found_with_its_place()
    {
        var image = Disk("ext4", 64);
        var (_, packed) = Hashes(image);
        var node = Node(80);
        var place = Whole(node, image);
        Assert.Null((await Send(node, image, place)).Fault);
        await node.MustCarry(new VerifyWritten(place, packed, VerifyMode.Full));
        await node.MustCarry(new VerifyWritten(place, packed, VerifyMode.Sample));

        const long at = 9 * 4 * MiB + 12345;
        using (var disk = new FileStream(node.Device, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0))
        {
            disk.Position = at;
            var one = (byte)disk.ReadByte();
            disk.Position = at;
            disk.WriteByte((byte)(one ^ 4));
            disk.Flush(flushToDisk: true);
        }
        var fault = (await node.Carry(new VerifyWritten(place, packed, VerifyMode.Full))).Fault!;
        Assert.Equal("disk.mismatch", fault.Code.Text);
        Assert.Contains((9 * 4 * MiB).ToString(), fault.Evidence);
        Assert.Contains("1 of 18", fault.Message);
    }

    [Fact]
    public async Task An_image_for_a_partition_leaves_every_other_byte_of_the_disk()
    {
        DiskLayout layout = new(PartitionTableKind.Gpt,
        [
            new("data", 64 * MiB, PartitionType.Linux, FileSystemKind.None),
            new("root", 96 * MiB, PartitionType.Linux, FileSystemKind.None, Deploy: true),
            new("kept", 32 * MiB, PartitionType.Linux, FileSystemKind.None),
        ]);
        var image = FileSystem("ext4", 80);
        var data = Path.Combine(_root, "data.raw");
        File.WriteAllBytes(data, [.. Enumerable.Range(0, 3 * 1024 * 1024 + 512).Select(i => (byte)(i * 7))]);
        var node = Node(256);
        await node.MustCarry(new PartitionDisk(node.Select, layout, null));
        await node.MustCarry(new FormatPartitions(node.Select, layout, FileSystemKind.None, OnlyDeploy: false));
        var root = new ImagePlace(node.Select, layout, null, new FileInfo(image).Length);
        var second = new ImagePlace(node.Select, layout, "data", new FileInfo(data).Length);
        var kept = Program.Run("sha256sum", node.Device + "p3");
        foreach (var (file, place) in ((string, ImagePlace)[])[(image, root), (data, second)])
        {
            var sent = await Send(node, file, place);
            Assert.True(sent.Fault is null, $"{sent.Fault} {sent.Fault?.Evidence}");
            await node.MustCarry(new VerifyWritten(place, Hashes(file).Packed, VerifyMode.Full));
        }
        Program.Run("cmp", "-n", root.Bytes.ToString(), image, node.Device + "p2");
        Program.Run("cmp", "-n", second.Bytes.ToString(), data, node.Device + "p1");
        Assert.Equal(kept, Program.Run("sha256sum", node.Device + "p3"));
        Program.Run("sh", "-c", $"tail -c +{second.Bytes + 1} {node.Device}p1 | tr -d '\\245' | wc -c | grep -qx 0"); // behind the image nothing was touched

        await node.MustCarry(new GrowImage(root));
        await node.MustCarry(new MountTarget(node.Select, layout, FileSystemKind.Ext4));
        Assert.True(new DriveInfo(node.Target).TotalSize > 82 * MiB);
        await node.MustCarry(new SyncTarget(Unmount: true));
    }

    [Fact]
    public async Task What_does_not_fit_or_is_of_another_size_is_told_and_a_small_disk_stays_as_it_was()
    {
        var image = Disk("ext4", 64);
        var small = Node(40);
        var before = Program.Run("sha256sum", small.Device);
        var fault = (await Send(small, image, Whole(small, image))).Fault!;
        Assert.Equal("disk.too_small", fault.Code.Text);
        Assert.Equal(before, Program.Run("sha256sum", small.Device));

        var node = Node(96);
        fault = (await Send(node, image, Whole(node, image) with { SectorBytes = 4096 })).Fault!;
        Assert.Equal("disk.too_small", fault.Code.Text);
        fault = (await Send(node, image, Whole(node, image) with { Bytes = 70 * MiB })).Fault!;
        Assert.Equal("image.corrupt", fault.Code.Text);
        fault = (await Send(node, image, Whole(node, image) with { Bytes = 74 * MiB })).Fault!;
        Assert.Equal("image.corrupt", fault.Code.Text);
        fault = (await Send(node, image, Whole(node, image), ImageCompression.Zstd)).Fault!;
        Assert.Equal("image.extract_failed", fault.Code.Text);
    }

    [Fact]
    public async Task An_archive_for_another_partition_is_unpacked_there()
    {
        DiskLayout layout = new(PartitionTableKind.Gpt,
        [
            new("root", 64 * MiB, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
            new("data", 64 * MiB, PartitionType.Linux, FileSystemKind.Ext4),
        ]);
        var tar = Path.Combine(_root, "data.tar");
        File.WriteAllText(Path.Combine(_root, "hello"), "hello");
        Program.Run("tar", "-c", "-C", _root, "-f", tar, "hello");
        var node = Node(256);
        await node.MustCarry(new PartitionDisk(node.Select, layout, null));
        await node.MustCarry(new FormatPartitions(node.Select, layout, FileSystemKind.Ext4, OnlyDeploy: false));
        var manifest = ImageManifest.OfFile(tar, ImageManifest.DefaultChunkBytes, CancellationToken.None);
        using var source = new ChainSource(IPAddress.Loopback, 0, ChainOptions.Default);
        var key = BroadcastKey.Create();
        Assert.Null(source.Register(key, tar, manifest.Bytes));
        await node.MustCarry(new ReceiveImage(
            key, manifest.Sha256, manifest.Bytes, manifest.ChunkBytes, manifest.ChunkHashes, ImageKind.Tar, ImageCompression.None, [new PeerAddress("127.0.0.1", source.Port)], 0,
            new ImagePlace(node.Select, layout, "data", 0)));
        var mounted = Path.Combine(_root, "look");
        Directory.CreateDirectory(mounted);
        Program.Run("mount", node.Device + "p2", mounted);
        Assert.Equal("hello", File.ReadAllText(mounted + "/hello"));
        Program.Run("umount", mounted);
    }
}
