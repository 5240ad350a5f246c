using System.Collections.Immutable;
using System.Diagnostics;
using Ka.Agent.Machine;
using Ka.Core.Disks;
using Ka.Protocol.Agents;
using Ka.Tests.Server;

namespace Ka.SystemTests.Agent;

/// <summary>Scripts and programs that came with an image: they do their work, see nothing of the agent, and leave nothing running or mounted.</summary>
public sealed class ImagesCode : IAsyncLifetime
{
    const long MiB = 1024 * 1024;
    const string Canary = "canary-5e1f";

    static readonly DiskLayout Layout = new(PartitionTableKind.Gpt,
    [
        new("bios", 1 * MiB, PartitionType.BiosBoot, FileSystemKind.None),
        new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
    ]);

    readonly string _root = Directory.CreateTempSubdirectory("ka-code").FullName;
    FilesOverTls _files = null!;
    LoopNode _node = null!;

    public async ValueTask InitializeAsync()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        _files = await FilesOverTls.StartAsync();
        _node = new LoopNode(Path.Combine(_root, "n"), 256 * MiB, _files);
        // What the kernel line of a node has, seen by this test's mount namespace only.
        File.WriteAllText(_root + "/cmdline", $"console=ttyS0 ka.server=10.0.0.1:8481 ka.cred={Canary} ka.nonce={Canary} quiet\n");
        Program.Run("mount", "--bind", _root + "/cmdline", "/proc/cmdline");
        Environment.SetEnvironmentVariable("KA_SESSION", Canary);
        await _node.MustCarry(new PartitionDisk(_node.Select, Layout, null));
        await _node.MustCarry(new FormatPartitions(_node.Select, Layout, FileSystemKind.Ext4, OnlyDeploy: false));
        await _node.MustCarry(new MountTarget(_node.Select, Layout, FileSystemKind.Ext4));
    }

    public async ValueTask DisposeAsync()
    {
        Environment.SetEnvironmentVariable("KA_SESSION", null);
        Program.Try("umount", "/proc/cmdline");
        _node?.Dispose();
        if (_files is not null)
            await _files.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    ScriptSpec Script(string text, int seconds = 30) => new(
        "post-install 1", _files.Add(new TarBuilder().Directory("./").File("run.sh", "#!/bin/sh\n" + text, mode: 0x1ED).End()), ImageCompression.None, null,
        ["run.sh", "an argument"], ImmutableDictionary<string, string>.Empty.Add("KADEPLOY_NODE", "gris-1"), seconds);

    [Fact]
    public async Task A_script_works_on_the_target_and_sees_nothing_of_the_agent()
    {
        var outcome = await _node.MustCarry(new RunScript(Script(
            """
            set -e
            echo "for $KADEPLOY_NODE with $1" >"$KADEPLOY_ENV_EXTRACTION_DIR/made"
            mkdir "$KADEPLOY_ENV_EXTRACTION_DIR/left"
            mount -t tmpfs left "$KADEPLOY_ENV_EXTRACTION_DIR/left"
            sleep 1000 &
            env
            cat /proc/cmdline /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\0' '\n'
            echo processes /proc/[0-9]*
            """)));
        Assert.Equal("for gris-1 with an argument\n", File.ReadAllText(_node.Target + "/made"));
        var said = outcome.Tool!.Output;
        Assert.Contains("console=ttyS0 quiet\n", said);
        Assert.Contains($"KADEPLOY_ENV_EXTRACTION_DIR={_node.Target}", said);
        Assert.DoesNotContain(Canary, said);
        var processes = said.Split('\n').Single(l => l.StartsWith("processes", StringComparison.Ordinal)).Split(' ').Length - 1;
        Assert.InRange(processes, 2, 8);
        Assert.Empty(Mounts.Below(Mounts.Read(_node.Paths), _node.Target + "/left"));
        await _node.MustCarry(new SyncTarget(Unmount: true)); // what it left running would hold the target
    }

    [Fact]
    public async Task A_script_that_does_not_end_is_ended_with_all_it_started()
    {
        var mark = Guid.NewGuid().ToString("n");
        var clock = Stopwatch.StartNew();
        var outcome = await _node.Carry(new RunScript(Script($"setsid sh -c 'sleep 1000 # {mark}' & while :; do echo {mark}; done", seconds: 1)));
        Assert.Equal("script.timeout", outcome.Fault?.Code.Text);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20));
        Assert.NotEqual(0, Program.Try("pgrep", "-f", $"sleep 1000 # {mark}").Status);
        await _node.MustCarry(new SyncTarget(Unmount: true));
    }

    [Fact]
    public async Task A_pre_install_is_told_its_disks_and_finds_nothing_of_them_in_use()
    {
        _node.Restart();
        var prepare = Script(
            """
            set -e
            echo "$KADEPLOY_BLOCK_DEVICE $KADEPLOY_DEPLOY_PART $KADEPLOY_DEPLOY_PART_NUM $KADEPLOY_FS_TYPE"
            mkfs.ext4 -q -F -L prepared "$KADEPLOY_DEPLOY_PART"
            """);
        var outcome = await _node.MustCarry(new RunScript(prepare, new DisksToPrepare(_node.Select, Layout, FileSystemKind.Ext4)));
        var number = Layout.Partitions.ToList().FindIndex(p => p.Deploy) + 1;
        Assert.Equal($"{_node.Device} {_node.Device}p{number} {number} ext4\n", outcome.Tool!.Output);
        Assert.Equal("prepared\n", Program.Run("blkid", "-p", "-s", "LABEL", "-o", "value", $"{_node.Device}p{number}"));
        await _node.MustCarry(new MountTarget(_node.Select, Layout, FileSystemKind.Ext4));
    }

    [Fact]
    public async Task A_script_that_fails_tells_its_status_and_words()
    {
        var outcome = await _node.Carry(new RunScript(Script("echo why >&2; exit 7")));
        Assert.Equal("script.failed", outcome.Fault?.Code.Text);
        Assert.Equal((7, "why\n"), (outcome.Tool!.ExitCode, outcome.Tool.Errors));
    }

    [Fact]
    public async Task A_post_install_archive_cannot_write_beside_its_directory()
    {
        Directory.CreateDirectory(_root + "/outside");
        var archive = new TarBuilder().Directory("./").Symbolic("a", _root + "/outside").File("a/got").File("run.sh", "#!/bin/sh\n", mode: 0x1ED).End();
        var outcome = await _node.Carry(new RunScript(new ScriptSpec("post-install 1", _files.Add(archive), ImageCompression.None, null, ["run.sh"], ImmutableDictionary<string, string>.Empty, 10)));
        Assert.Equal("script.failed", outcome.Fault?.Code.Text);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_root + "/outside"));
    }

    [Fact]
    public async Task The_image_s_own_grub_install_has_devices_but_no_network_and_no_secret()
    {
        Shell();
        File.WriteAllText(_node.Target + "/boot/vmlinuz", "kernel");
        File.WriteAllText(_node.Target + "/usr/sbin/grub-install", """
            #!/bin/sh
            set >/said
            for file in /proc/cmdline /proc/net/dev /proc/self/mountinfo; do while read -r line; do echo "$line"; done <$file >>/said; done
            echo processes /proc/[0-9]* >>/said
            echo disks /dev/loop-control /sys/block /run/* >>/said
            echo "arguments $*" >>/said
            """);
        File.SetUnixFileMode(_node.Target + "/usr/sbin/grub-install", UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var outcome = await _node.MustCarry(new InstallBootloader(new BootTarget("/boot/vmlinuz", null, []), _node.Select, Layout));
        Assert.Equal("image", outcome.Values!["grub"]);
        var said = File.ReadAllText(_node.Target + "/said");
        Assert.Contains($"arguments --target=i386-pc --no-floppy --recheck {_node.Device}\n", said);
        Assert.Contains("console=ttyS0 quiet\n", said);
        Assert.DoesNotContain(Canary, said);
        Assert.Contains("disks /dev/loop-control /sys/block /run/*\n", said); // nothing lies in /run
        Assert.DoesNotContain("eth0:", said);
        Assert.Contains("lo:", said);
        Assert.InRange(said.Split('\n').Single(l => l.StartsWith("processes", StringComparison.Ordinal)).Split(' ').Length - 1, 1, 4);
        Assert.Equal([_node.Target], Mounts.Below(Mounts.Read(_node.Paths), _node.Target).Select(m => m.Directory));
        await _node.MustCarry(new SyncTarget(Unmount: true));
    }

    /// <summary>A shell with its libraries, from the host.</summary>
    void Shell()
    {
        foreach (var directory in (string[])["/bin", "/boot", "/usr/sbin", "/dev", "/proc", "/sys", "/run"])
            Directory.CreateDirectory(_node.Target + directory);
        foreach (var file in Program.Run("ldd", "/bin/sh").Split([' ', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries).Where(w => w.StartsWith('/')).Append("/bin/sh"))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_node.Target + file)!);
            Program.Run("cp", "-L", file, _node.Target + file);
        }
    }
}
