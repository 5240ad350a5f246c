using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using Ka.Agent.Orders;
using Ka.Agent.Verification;
using Ka.Broadcast;
using Ka.Core.Disks;
using Ka.Protocol.Agents;
using Ka.Protocol.Manifests;
using Ka.Server.Environments;

namespace Ka.SystemTests.Agent;

/// <summary>A node unpacks an image, something changes its disk behind Ka's back, and the check finds it. Real block devices and file systems.</summary>
public sealed class VerifyingOnLoop : IAsyncLifetime
{
    const long MiB = 1024 * 1024;

    static readonly DiskLayout Layout = new(PartitionTableKind.Gpt,
    [
        new("esp", 64 * MiB, PartitionType.EfiSystem, FileSystemKind.Vfat),
        new("data", 64 * MiB, PartitionType.Linux, FileSystemKind.Ext4, MountPoint: "/srv/data"),
        new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
    ]);

    readonly string _root = Directory.CreateTempSubdirectory("ka-verify").FullName;
    FilesOverTls _files = null!;
    LoopNode _node = null!;
    string _image = "", _sha256 = "", _manifest = "";

    string At(string path) => _node.Target + path;

    string Device => _node.Device + "p3";

    public async ValueTask InitializeAsync()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        _files = await FilesOverTls.StartAsync();
        _node = new LoopNode(Path.Combine(_root, "n"), 512 * MiB, _files);
        Pack(Tree());
    }

    public async ValueTask DisposeAsync()
    {
        _node?.Dispose();
        if (_files is not null)
            await _files.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    string Tree()
    {
        var tree = Path.Combine(_root, "tree");
        foreach (var directory in (string[])["/boot/efi", "/etc/ssh", "/etc/default/grub.d", "/srv/data/deep", "/usr/bin", "/dev", "/root"])
            Directory.CreateDirectory(tree + directory);
        var random = new Random(3);
        var noise = new byte[8 * MiB];
        random.NextBytes(noise);
        File.WriteAllBytes(tree + "/boot/vmlinuz-6", noise[..(int)MiB]);
        File.CreateSymbolicLink(tree + "/boot/vmlinuz", "vmlinuz-6");
        File.WriteAllBytes(tree + "/usr/bin/big", noise);
        for (var i = 0; i < 300; i++)
            File.WriteAllBytes($"{tree}/usr/bin/tool{i}", noise[..(1000 + i * 50)]);
        File.WriteAllText(tree + "/etc/hostname", "packed\n");
        File.WriteAllText(tree + "/etc/default/grub.d/init-select.cfg", "packed\n");
        File.WriteAllText(tree + "/etc/ssh/ssh_host_rsa_key", "packed");
        File.WriteAllText(tree + "/srv/data/deep/file", "on another partition");
        File.WriteAllText(tree + "/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        Program.Run("ln", tree + "/usr/bin/tool1", tree + "/usr/bin/hard");
        Program.Run("truncate", "-s", "100M", tree + "/usr/sparse");
        using (var sparse = File.OpenWrite(tree + "/usr/sparse"))
        {
            sparse.Position = 70 * MiB;
            sparse.Write(noise, 0, 5000);
        }
        Program.Run("setcap", "cap_net_raw+ep", tree + "/usr/bin/tool2");
        Program.Run("chmod", "4755", tree + "/usr/bin/tool3");
        Program.Run("chown", "-h", "1234:5678", tree + "/boot/vmlinuz", tree + "/usr/bin/tool4");
        Program.Run("setfattr", "-n", "user.colour", "-v", "blue", tree + "/etc/passwd");
        Program.Run("setfacl", "-m", "u:4321:r", tree + "/usr/bin/tool5");
        Program.Run("setfacl", "-d", "-m", "g:77:rx", tree + "/etc/ssh");
        Program.Run("mknod", tree + "/dev/null", "c", "1", "3");
        Program.Run("mkfifo", tree + "/dev/fifo");
        File.WriteAllText(tree + "/etc/na\nme \\ 'ü", "odd");
        return tree;
    }

    bool _aclsAsText;

    void Pack(string tree, params string[] keeping)
    {
        var tar = Path.Combine(_root, "image.tar");
        string[] attributes = keeping is [] ? ["--xattrs", "--xattrs-include=*", "--acls"] : keeping;
        Program.Run("tar", ["-c", "--numeric-owner", .. attributes, "--sparse", "-C", tree, "-f", tar, "."]);
        Program.Run("zstd", "-q", "-f", "-1", tar);
        _image = tar + ".zst";
        _sha256 = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(_image)));
        var reading = Registration.ReadArchive(_image, ImageCompression.Zstd, CancellationToken.None);
        Assert.True(reading.Fault is null, $"{reading.Fault}");
        _aclsAsText = reading.Tree.AclsAsText;
        var packed = new MemoryStream();
        ManifestText.Write(packed, reading.Tree.ToManifest(_sha256));
        _manifest = _files.Add(packed.ToArray());
        File.WriteAllBytes(_root + "/manifest", packed.ToArray());
    }

    async Task Unpack(FileSystemKind kind)
    {
        await _node.MustCarry(new PartitionDisk(_node.Select, Layout, null));
        await _node.MustCarry(new FormatPartitions(_node.Select, Layout, kind, OnlyDeploy: false));
        await _node.MustCarry(new MountTarget(_node.Select, Layout, kind));
        var manifest = ImageManifest.OfFile(_image, ImageManifest.DefaultChunkBytes, CancellationToken.None);
        using var source = new ChainSource(IPAddress.Loopback, 0, ChainOptions.Default);
        var key = BroadcastKey.Create();
        Assert.Null(source.Register(key, _image, manifest.Bytes));
        await _node.MustCarry(new ReceiveImage(
            key, manifest.Sha256, manifest.Bytes, manifest.ChunkBytes, manifest.ChunkHashes, ImageKind.Tar, ImageCompression.Zstd, [new PeerAddress("127.0.0.1", source.Port)], 0)
        {
            AclsAsText = _aclsAsText,
        });
    }

    Task<OrderOutcome> Verify(VerifyMode mode) => _node.Carry(new VerifyTarget(_manifest, _sha256, mode, 7, "/boot/vmlinuz", null));

    /// <summary>Both checks find it, or only the full one, and name the place.</summary>
    async Task Finds(string line, params VerifyMode[] modes)
    {
        foreach (var mode in modes)
        {
            var outcome = await Verify(mode);
            Assert.True(outcome.Fault?.Code.Text == "disk.mismatch", $"{mode}, {line}: {outcome.Fault?.ToString() ?? "was not found"} {outcome.Fault?.Evidence}");
            Assert.StartsWith(line, outcome.Fault!.Evidence);
        }
    }

    [Theory]
    [InlineData(FileSystemKind.Ext4)]
    [InlineData(FileSystemKind.Xfs)]
    public async Task An_untouched_disk_passes(FileSystemKind kind)
    {
        await Unpack(kind);
        foreach (var mode in (VerifyMode[])[VerifyMode.Sample, VerifyMode.Full])
        {
            var outcome = await Verify(mode);
            Assert.True(outcome.Fault is null, $"{outcome.Fault} {outcome.Fault?.Evidence}");
            Assert.True(int.Parse(outcome.Values!["verifyCompared"]) > 310);
            var read = long.Parse(outcome.Values["verifyBytes"]);
            Assert.True(mode == VerifyMode.Full ? read > 110 * MiB : read is > MiB + 100_000 and < 9 * MiB, $"{mode} read {read} bytes");
        }
    }

    [Theory]
    [InlineData("--xattrs", "--xattrs-include=*", "--no-acls")]
    [InlineData("--acls", "--no-xattrs")]
    [InlineData("--acls", "--xattrs", "--xattrs-include=*")]
    public async Task Access_lists_are_restored_however_the_archive_keeps_them(params string[] keeping)
    {
        Pack(Path.Combine(_root, "tree"), keeping);
        await Unpack(FileSystemKind.Ext4);
        Assert.Contains("user:4321:r--", Program.Run("getfacl", "-n", "-p", At("/usr/bin/tool5")), StringComparison.Ordinal);
        Assert.Contains("default:group:77:r-x", Program.Run("getfacl", "-n", "-p", At("/etc/ssh")), StringComparison.Ordinal);
        var outcome = await Verify(VerifyMode.Full);
        Assert.True(outcome.Fault is null, $"{outcome.Fault} {outcome.Fault?.Evidence}");
    }

    [Fact]
    public async Task What_another_image_has_put_on_a_partition_of_its_own_is_left_out()
    {
        await Unpack(FileSystemKind.Ext4);
        File.WriteAllText(At("/srv/data/says"), "of another image");
        File.Delete(At("/srv/data/deep/file"));
        await Finds("extra /srv/data/says\nmissing /srv/data/deep/file", VerifyMode.Sample, VerifyMode.Full);
        var outcome = await _node.Carry(new VerifyTarget(_manifest, _sha256, VerifyMode.Full, 7, "/boot/vmlinuz", null) { Elsewhere = ["/srv/data"] });
        Assert.True(outcome.Fault is null, $"{outcome.Fault} {outcome.Fault?.Evidence}");
    }

    [Fact]
    public async Task Where_only_the_root_was_made_anew_other_partitions_may_hold_more_but_not_less()
    {
        await Unpack(FileSystemKind.Ext4);
        Directory.CreateDirectory(At("/srv/data/of the former system"));
        var order = new VerifyTarget(_manifest, _sha256, VerifyMode.Full, 7, "/boot/vmlinuz", null) { OnlyRootIsNew = true };
        var outcome = await _node.Carry(order);
        Assert.True(outcome.Fault is null, $"{outcome.Fault} {outcome.Fault?.Evidence}");
        File.Delete(At("/srv/data/deep/file"));
        Directory.CreateDirectory(At("/usr/new"));
        Assert.Equal("disk.mismatch", (await _node.Carry(order)).Fault?.Code.Text);
        Assert.Equal("extra /usr/new\nmissing /srv/data/deep/file", (await _node.Carry(order)).Fault?.Evidence);
    }

    [Fact]
    public async Task A_deployed_system_may_differ_in_what_the_deployment_writes_and_in_nothing_beside_it()
    {
        await Unpack(FileSystemKind.Ext4);
        File.WriteAllText(At("/etc/hostname"), "gris-1\n");
        File.WriteAllText(At("/etc/default/grub.d/ka.cfg"), "of the deployment");
        Assert.Equal((0, ""), Deployed());
        File.Delete(At("/etc/default/grub.d/init-select.cfg"));
        Assert.Equal((1, "missing /etc/default/grub.d/init-select.cfg"), Deployed());
    }

    /// <summary>What <c>ka-agent verify</c> says of the tree.</summary>
    (int Status, string Differences) Deployed()
    {
        using var said = new StringWriter();
        var status = VerifyCommand.Run(["--root", _node.Target, "--manifest", _root + "/manifest"], Stream.Null, said, said, CancellationToken.None);
        return (status, string.Join('\n', JsonSerializer.Deserialize(said.ToString(), VerifyJson.Default.VerifyReport)!.Differences));
    }

    [Fact]
    public async Task One_flipped_bit_on_the_disk_is_found_and_named()
    {
        await Unpack(FileSystemKind.Ext4);
        await FlipAsync("/usr/bin/big");
        await Finds("changed /usr/bin/big: content expected sha256:", VerifyMode.Full);
    }

    [Fact]
    public async Task A_flipped_bit_in_the_kernel_is_found_by_a_sample()
    {
        await Unpack(FileSystemKind.Ext4);
        await FlipAsync("/boot/vmlinuz-6");
        await Finds("changed /boot/vmlinuz-6: content expected sha256:", VerifyMode.Sample, VerifyMode.Full);
    }

    /// <summary>Flips one bit in the middle of a file through the block device, its file system unmounted.</summary>
    async Task FlipAsync(string path)
    {
        var extents = Program.Run("filefrag", "-b1024", "-v", At(path)).Split('\n').First(l => l.TrimStart().StartsWith("0:", StringComparison.Ordinal));
        var block = long.Parse(extents.Split(':')[2].Split("..")[0].Trim());
        await _node.MustCarry(new SyncTarget(Unmount: true));
        using (var device = new FileStream(Device, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0))
        {
            device.Position = block * 1024 + 100;
            var flipped = (byte)(device.ReadByte() ^ 0x10);
            device.Position = block * 1024 + 100;
            device.WriteByte(flipped);
            device.Flush(flushToDisk: true);
        }
        Program.Run("blockdev", "--flushbufs", Device);
        await _node.MustCarry(new MountTarget(_node.Select, Layout, FileSystemKind.Ext4));
    }

    [Fact]
    public async Task Whatever_else_is_not_as_packed_is_found_and_named()
    {
        await Unpack(FileSystemKind.Ext4);
        (string Change, string[] Arguments, string Line, string Undo, string[] Back)[] changes =
        [
            ("mv", ["/usr/bin/tool10", "/../moved"], "missing /usr/bin/tool10", "mv", ["/../moved", "/usr/bin/tool10"]),
            ("mkdir", ["/usr/new"], "extra /usr/new", "rmdir", ["/usr/new"]),
            ("chown", ["7:0", "/usr/bin/tool11"], "changed /usr/bin/tool11: owner expected 0:0, found 7:0", "chown", ["0:0", "/usr/bin/tool11"]),
            ("chmod", ["755", "/usr/bin/tool3"], "changed /usr/bin/tool3: mode expected 4755, found 0755", "chmod", ["4755", "/usr/bin/tool3"]),
            ("setfattr", ["-n", "user.colour", "-v", "red", "/etc/passwd"], "changed /etc/passwd: attribute user.colour expected 626c7565, found 726564", "setfattr", ["-n", "user.colour", "-v", "blue", "/etc/passwd"]),
            ("setfattr", ["-n", "user.more", "-v", "x", "/etc/passwd"], "changed /etc/passwd: attribute user.more expected none, found 78", "setfattr", ["-x", "user.more", "/etc/passwd"]),
            ("setcap", ["-r", "/usr/bin/tool2"], "changed /usr/bin/tool2: attribute security.capability expected 0100000200200000000000000000000000000000, found none", "setcap", ["cap_net_raw+ep", "/usr/bin/tool2"]),
            ("setfacl", ["-m", "u:4321:rw", "/usr/bin/tool5"], "changed /usr/bin/tool5: mode expected 0644, found 0664", "setfacl", ["-m", "u:4321:r,m::r", "/usr/bin/tool5"]),
            ("chown", ["-h", "0:0", "/boot/vmlinuz"], "changed /boot/vmlinuz: owner expected 1234:5678, found 0:0", "chown", ["-h", "1234:5678", "/boot/vmlinuz"]),
            ("ln", ["-sfn", "vmlinuz-7", "/etc/../boot/vmlinuz"], "changed /boot/vmlinuz: owner", "ln", ["-sfn", "vmlinuz-6", "/boot/vmlinuz"]),
        ];
        foreach (var (change, arguments, line, undo, back) in changes)
        {
            Program.Run(change, [.. arguments.Select(Place)]);
            await Finds(line, VerifyMode.Sample);
            Program.Run(undo, [.. back.Select(Place)]);
        }
        Program.Run("chown", "-h", "1234:5678", At("/boot/vmlinuz"));
        Assert.Null((await Verify(VerifyMode.Sample)).Fault);
        Program.Run("cp", "--remove-destination", "-p", At("/usr/bin/tool1"), At("/usr/bin/hard"));
        await Finds("changed /usr/bin/", VerifyMode.Sample);

        string Place(string argument) => argument.StartsWith('/') ? At(argument) : argument;
    }

    [Fact]
    public async Task A_sparse_file_that_was_filled_with_other_bytes_of_its_size_is_found()
    {
        await Unpack(FileSystemKind.Ext4);
        Program.Run("dd", "if=/dev/zero", $"of={At("/usr/sparse")}", "bs=1", "count=1", $"seek={70 * MiB}", "conv=notrunc", "status=none");
        await Finds("changed /usr/sparse: content", VerifyMode.Full);
    }

    [Fact]
    public async Task A_manifest_of_another_image_checks_nothing()
    {
        await Unpack(FileSystemKind.Ext4);
        var outcome = await _node.Carry(new VerifyTarget(_manifest, new string('0', 64), VerifyMode.Sample, 7, null, null));
        Assert.Equal("manifest.invalid", outcome.Fault?.Code.Text);
    }

    [Fact]
    public async Task A_deployed_system_is_checked_without_what_the_deployment_changed()
    {
        await Unpack(FileSystemKind.Ext4);
        await _node.MustCarry(new SetIdentity("gris-1", _node.Select, Layout, FileSystemKind.Ext4));
        await _node.MustCarry(new InstallKeys(["ssh-ed25519 AAAA me"]));
        var (status, report) = Command("--mode", "full");
        Assert.True(status == 0 && report.Same, JsonSerializer.Serialize(report, VerifyJson.Default.VerifyReport));
        Assert.True(report.Ignored > 2);
        File.AppendAllText(At("/etc/passwd"), "evil::0:0::/:/bin/sh\n");
        (status, report) = Command("--mode", "sample");
        Assert.Equal(1, status);
        Assert.Equal(("/etc/passwd", "changed", "size"), (report.Differences.Single().Path, report.Differences.Single().Kind, report.Differences.Single().What));
        Assert.Equal(1, Command("--fresh").Report.Differences.Count(d => d.Path == "/etc/hostname"));
    }

    (int Status, VerifyReport Report) Command(params string[] more)
    {
        var output = new StringWriter();
        string[] arguments = ["--root", _node.Target, "--manifest", "-", .. more];
        using var manifest = File.OpenRead(_root + "/manifest");
        var status = VerifyCommand.Run(arguments, manifest, output, TextWriter.Null, CancellationToken.None);
        return (status, JsonSerializer.Deserialize(output.ToString(), VerifyJson.Default.VerifyReport)!);
    }
}
