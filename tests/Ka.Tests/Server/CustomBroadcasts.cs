using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Server.Api;
using Ka.Server.Workflows;
using Ka.Simulation;

namespace Ka.Tests.Server;

/// <summary>A site's own broadcast program, and what each way needs before it is taken.</summary>
public sealed class CustomBroadcasts
{
    static readonly ImmutableArray<CustomNode> Nodes = [new(3, "gris-1", "10.0.0.1"), new(5, "gris-2", "10.0.0.2")];

    [Theory]
    [InlineData(0, "", "", "")]
    [InlineData(1, "", "", "3 5")]
    [InlineData(null, "", "", "3 5")]
    [InlineData(0, "gris-1", "", "5")]
    [InlineData(1, "10.0.0.2", "", "3")]
    [InlineData(0, "", "gris-2", "5")]
    [InlineData(0, "gris-1 gris-2", "10.0.0.1", "3")]
    [InlineData(0, "someone-else", "", "3 5")]
    public void A_node_has_nothing_when_the_program_says_so_or_says_nothing_good(int? status, string ok, string ko, string failed)
    {
        static ImmutableArray<string> Lines(string text) => [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries)];
        var faults = CustomVerdict.Of(status, "why", Lines(ok), Lines(ko), Nodes);
        Assert.Equal(failed, string.Join(' ', faults.Keys.Order()));
        Assert.All(faults.Values, f => Assert.Equal(("broadcast.program_failed", "why"), (f.Code.Text, f.Evidence)));
    }

    [Fact]
    public void Words_in_braces_are_replaced_once_and_what_a_value_holds_is_left_alone()
    {
        var values = CustomCommand.Words.ToDictionary(w => w, w => w == "image" ? "/a b/{nodes};$(x)" : "<" + w + ">");
        Assert.Equal(["--from=/a b/{nodes};$(x)", "<ok>:<ko>", "{Not}", "plain"], CustomCommand.Render(["--from={image}", "{ok}:{ko}", "{Not}", "plain"], values));
        Assert.Equal("imgae", CustomCommand.Unknown("{nodes}{imgae}"));
        Assert.Null(CustomCommand.Unknown("{sha256}{destination}"));
    }

    static readonly Cluster Cluster = SimulatedDeployment.SampleCluster(["gris-1"]);
    static readonly OsEnvironment Environment = SimulatedDeployment.SampleEnvironment;
    static readonly BroadcastGround Ground = new(null, null, HasTorrent: true);
    static readonly BroadcastSettings All = new(new MulticastSettings("239.192.75.1", 8484, 1, 400_000_000), new CustomBroadcastSettings(["/bin/true"]));

    static string? Refused(string way, BroadcastSettings? settings = null, BroadcastGround? ground = null, OsEnvironment? environment = null) =>
        BroadcastChoices.Check(
            Cluster with { Install = [Cluster.KnownInstall.Single(s => s.Do == way)], Broadcast = settings ?? BroadcastSettings.None }, environment ?? Environment, ground ?? Ground)
            .Select(f => f.Message).SingleOrDefault();

    [Fact]
    public void A_way_that_lacks_something_is_refused_before_anything_is_erased_and_says_what()
    {
        Assert.Null(Refused("chain"));
        Assert.Null(Refused("tree"));
        Assert.Contains("names no group", Refused("multicast"), StringComparison.Ordinal);
        Assert.Null(Refused("multicast", All));
        Assert.Contains("names no program", Refused("custom"), StringComparison.Ordinal);
        Assert.Null(Refused("custom", All));
        Assert.Contains("without aria2", Refused("torrent", ground: Ground with { HasTorrent = false }), StringComparison.Ordinal);
        Assert.Null(Refused("torrent"));
        Assert.Null(Refused("two-trees"));
        Assert.Null(Refused("swarm"));
    }

    [Theory]
    [InlineData("chain", true)]
    [InlineData("tree", true)]
    [InlineData("two-trees", true)]
    [InlineData("swarm", true)]
    [InlineData("multicast", false)]
    [InlineData("torrent", false)]
    [InlineData("custom", false)]
    public void Where_all_is_to_be_encrypted_ways_that_cannot_are_refused(string way, bool can)
    {
        var why = Refused(way, All with { Encrypt = true });
        Assert.Equal(can, why is null);
        Assert.Equal(!can, why?.Contains("cannot be encrypted", StringComparison.Ordinal) ?? false);
    }

    [Theory]
    [InlineData("torrent")]
    [InlineData("swarm")]
    [InlineData("custom")]
    public void An_image_that_fits_neither_into_memory_nor_on_the_partition_is_refused(string way)
    {
        var (bytes, unpacked) = (Environment.Image.Bytes, Environment.Image.UnpackedBytes);
        Assert.Null(Refused(way, All, Ground with { SmallestMemory = 2 * bytes }));
        Assert.Null(Refused(way, All, Ground with { SmallestMemory = (2 * bytes) - 2, SmallestDisk = 1L << 42 }));
        var small = Ground with { SmallestMemory = (2 * bytes) - 2, SmallestDisk = unpacked };
        Assert.Contains("the deploy partition is too small", Refused(way, All, small), StringComparison.Ordinal);
        Assert.Contains($"memory", Refused(way, All, small), StringComparison.Ordinal);
    }
}
