using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Engine.Automata;
using Ka.Engine.Planning;
using Ka.Simulation;

namespace Ka.Tests.Images;

public class PlanningImages
{
    static readonly Image Tar = SimulatedDeployment.SampleEnvironment.Image;

    static Image Raw(RawTarget target, FileSystemKind root = FileSystemKind.Ext4, bool grow = false, bool cloud = false, long bytes = 1L << 30) =>
        new(new string('1', 64), 1000, ImageKind.Raw, ImageCompression.Zstd, bytes, new RawImage(target, new string('2', 64), root, grow, CloudInit: cloud));

    static OsEnvironment Of(Image image, string kernel = "", string os = "linux", params ImagePart[] parts) => SimulatedDeployment.SampleEnvironment with
    {
        Image = image, Os = os, Boot = new BootSpec(kernel, null, []), FileSystem = image.Raw?.FileSystem ?? FileSystemKind.Ext4, Parts = parts.Length == 0 ? null : [.. parts],
    };

    /// <summary>One node whose layout has a partition besides the root.</summary>
    static Cluster Sample()
    {
        var cluster = SimulatedDeployment.SampleCluster(["gris-1"]);
        var node = cluster.Nodes[0];
        var layout = node.Layout with { Partitions = node.Layout.Partitions.Insert(0, new PartitionSpec("swap", 16 << 20, PartitionType.LinuxSwap, FileSystemKind.Swap)) };
        return cluster with { Nodes = [node with { Layout = layout }] };
    }

    static PlanOutcome Plan(OsEnvironment environment, Func<Cluster, Cluster>? change = null, VerifyMode verify = VerifyMode.Sample, long? disk = null)
    {
        var cluster = Sample();
        cluster = change?.Invoke(cluster) ?? cluster;
        return Planner.Plan(new DeployRequest(environment, cluster, cluster.Nodes, WithKeys: true, disk, verify));
    }

    static string Steps(OsEnvironment environment, int macro, VerifyMode verify = VerifyMode.Sample)
    {
        var outcome = Plan(environment, verify: verify);
        Assert.Empty(outcome.Faults);
        return string.Join(' ', outcome.Plan!.MacroSteps[macro].Strategies[0].Steps.Select(s => s.Name));
    }

    static string Ways(OsEnvironment environment, Func<Cluster, Cluster>? change = null) =>
        string.Join(' ', Plan(environment, change).Plan!.MacroSteps[2].Strategies.Select(s => s.Name));

    [Fact]
    public void An_archive_is_deployed_as_ever()
    {
        Assert.Equal("boot_minimal reboot await_agent keys_minimal partition format mount", Steps(Of(Tar, "/vmlinuz"), 0));
        Assert.Equal("reformat send_image verify identity host_certificate keys bootloader sync", Steps(Of(Tar, "/vmlinuz"), 1));
        Assert.Empty(ImageNeeds.Of(Of(Tar, "/vmlinuz")).LeftOut);
    }

    [Fact]
    public void A_whole_disk_is_neither_partitioned_nor_formatted_and_mounted_after_the_proof()
    {
        var disk = Of(Raw(RawTarget.Disk, grow: true));
        Assert.Equal("boot_minimal reboot await_agent keys_minimal", Steps(disk, 0));
        Assert.Equal("send_image verify_blocks grow mount identity host_certificate keys sync", Steps(disk, 1));
        Assert.Equal("send_image grow mount identity host_certificate keys sync", Steps(disk, 1, VerifyMode.None));
        Assert.Equal("Classical HardReboot", Ways(disk));
        Assert.Equal("Kexec Classical HardReboot", Ways(disk with { Boot = new BootSpec("/vmlinuz", null, []) }));
    }

    [Theory]
    [InlineData(RawTarget.Disk)]
    [InlineData(RawTarget.Partition)]
    public void A_disk_image_is_mounted_so_that_identity_keys_and_scripts_reach_it(RawTarget target)
    {
        var script = new PostInstall("p", null, ImageCompression.None, new string('3', 64), [], TimeSpan.FromSeconds(9));
        var steps = Steps(Of(Raw(target)) with { PostInstalls = [script] }, 1).Split(' ');
        Assert.Equal(["send_image", "verify_blocks", "mount", "identity", "post_install", "keys"], steps.Where(s => s is not ("reformat" or "host_certificate" or "sync")));
    }

    [Fact]
    public void A_cloud_image_gets_its_seed_after_it_is_mounted() =>
        Assert.Equal("send_image verify_blocks mount seed identity host_certificate keys sync", Steps(Of(Raw(RawTarget.Disk, cloud: true)), 1));

    [Fact]
    public void A_cloud_image_without_a_root_that_can_be_mounted_gets_its_seed_all_the_same() =>
        Assert.Equal("send_image verify_blocks seed sync", Steps(Of(Raw(RawTarget.Disk, FileSystemKind.None, cloud: true)), 1));

    [Fact]
    public void A_partition_is_partitioned_and_written_and_then_treated_as_an_archive()
    {
        var partition = Of(Raw(RawTarget.Partition), "/vmlinuz");
        Assert.Equal("boot_minimal reboot await_agent keys_minimal partition format", Steps(partition, 0));
        Assert.Equal("reformat send_image verify_blocks mount identity host_certificate keys bootloader sync", Steps(partition, 1));
        Assert.Equal("reformat send_image verify_blocks mount identity host_certificate keys sync", Steps(Of(Raw(RawTarget.Partition)), 1));
    }

    [Theory]
    [InlineData("windows", FileSystemKind.None)]
    [InlineData("bsd", FileSystemKind.None)]
    [InlineData("other", FileSystemKind.Ext4)]
    [InlineData("linux", FileSystemKind.None)]
    [InlineData("linux", FileSystemKind.Vfat)]
    public void What_cannot_be_mounted_is_written_and_the_plan_says_what_is_left_out(string os, FileSystemKind root)
    {
        var environment = Of(Raw(RawTarget.Partition, root), "/vmlinuz", os);
        Assert.Equal("reformat send_image verify_blocks sync", Steps(environment, 1));
        Assert.Equal("Classical HardReboot", Ways(environment));
        var leftOut = string.Join('\n', ImageNeeds.Of(environment).LeftOut);
        Assert.Contains("identity, scripts, keys", leftOut);
        Assert.Contains("bootloader", leftOut);
        Assert.Contains("kexec", leftOut);
    }

    [Fact]
    public void Where_kexec_was_the_only_way_the_others_come_in() =>
        Assert.Equal("Classical HardReboot", Ways(Of(Raw(RawTarget.Disk)), c => c with { Boot = [new StrategySettings("kexec", 2, TimeSpan.FromSeconds(100), "soft", null)] }));

    [Fact]
    public void A_whole_disk_is_not_written_under_a_running_system() =>
        Assert.Contains("'prod'", Assert.Single(Plan(Of(Raw(RawTarget.Disk)), c => c with { MinimalEnv = [c.MinimalEnv[0] with { Do = "prod" }] }).Faults).Message);

    [Fact]
    public void Images_that_are_written_go_before_archives_and_nothing_is_mounted_before_them()
    {
        var two = Of(Tar, "/vmlinuz", parts: new ImagePart("swap", Raw(RawTarget.Partition, bytes: 1000)));
        Assert.Equal("boot_minimal reboot await_agent keys_minimal partition format", Steps(two, 0));
        Assert.Equal("reformat send_image_1 verify_blocks mount send_image verify identity host_certificate keys bootloader sync", Steps(two, 1));
        var layout = Sample().Nodes[0].Layout;
        var place = layout.Partitions.Select((p, i) => (p, i)).First(x => x.p.Name == "swap").i;
        Assert.Equal(FileSystemKind.None, ImageLayouts.ToFormat(two, layout).Partitions[place].FileSystem);
        Assert.Equal(FileSystemKind.Ext4, ImageLayouts.Written(two, layout).Partitions[place].FileSystem);
        Assert.Same(layout, ImageLayouts.Written(Of(Tar), layout));
    }

    [Fact]
    public void What_finds_no_place_is_refused_before_anything_happens()
    {
        Assert.Equal("archive.too_large", Assert.Single(Plan(Of(Raw(RawTarget.Disk, bytes: 2000)), disk: 1999).Faults).Code.Text);
        Assert.Empty(Plan(Of(Raw(RawTarget.Disk, bytes: 2000)), disk: 2000).Faults);
        Assert.Contains("the layout has", Assert.Single(Plan(Of(Tar, "/vmlinuz", parts: new ImagePart("attic", Tar))).Faults).Message);
        Assert.Contains("no file system", Assert.Single(Plan(Of(Tar, "/vmlinuz", parts: new ImagePart("swap", Tar with { UnpackedBytes = 1 }))).Faults).Message);
        Assert.Contains("deploy partition", Assert.Single(Plan(Of(Tar, "/vmlinuz", parts: new ImagePart("root", Tar))).Faults).Message);
        Assert.Equal("archive.too_large", Assert.Single(Plan(Of(Tar, "/vmlinuz", parts: new ImagePart("swap", Raw(RawTarget.Partition, bytes: 1L << 40)))).Faults).Code.Text);
        Assert.Contains("leaves no partition", Plan(Of(Raw(RawTarget.Disk), parts: new ImagePart("swap", Tar))).Faults[0].Message);
        Assert.Contains("tar image", Assert.Single(Plan(Of(Tar, "/vmlinuz", os: "windows")).Faults).Message);
    }

    [Fact]
    public void Registering_the_same_image_twice_is_no_change()
    {
        var layout = Sample().Nodes[0].Layout;
        RawImage One() => new(RawTarget.Disk, "h", FileSystemKind.Ext4, Partitions: layout with { Partitions = [.. layout.Partitions] });
        Assert.True(One().SameAs(One()));
        Assert.False(One().SameAs(One() with { Grow = true }));
    }
}
