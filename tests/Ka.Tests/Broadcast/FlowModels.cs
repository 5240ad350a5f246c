using Ka.Broadcast;
using Ka.Core.Clusters;
using Ka.Server.Hosting;
using Ka.Simulation.Broadcasts;

namespace Ka.Tests.Broadcast;

/// <summary>Thousands of nodes as arithmetic, held against the protocol's own code where that can be run.</summary>
public class FlowModels
{
    const long Image = 2_000_000_000;
    const double Link = 10e9, Once = Image * 8 / Link;
    static readonly TimeSpan Latency = TimeSpan.FromMicroseconds(50);

    public static TheoryData<BroadcastWay, Death?> Courses =>
        [.. from way in WayChoice.Planned from death in (Death?[])[null, Death.Reset, Death.Silence] select (way, death)];

    [Theory, MemberData(nameof(Courses))]
    public void The_model_says_what_the_protocol_does_within_five_per_cent(BroadcastWay way, Death? death)
    {
        const int nodes = 15, bytes = 4 << 20, block = 16 * 1024, victim = 3;
        var options = ChainOptions.Default with { RingBytes = 32 * block, BlockBytes = block };
        var moment = TimeSpan.FromMilliseconds(12);
        var protocol = SimulatedBroadcast.Run(new BroadcastScene(nodes, bytes, way, new NetworkShape(1e9, Latency, SegmentBytes: block + 8, WindowBytes: 4 * block), Seed: 1)
        {
            ChunkBytes = 2 * block,
            Options = options,
            Mishaps = death is { } how ? [new Mishap.DiesAt(victim, moment, how)] : [],
        });
        Assert.True(protocol.AllHaveIt);
        var model = FlowModel.Run(new FlowScene(nodes, bytes, way, 1e9, Latency)
        {
            BlockBytes = block,
            Options = options,
            Deaths = death is null ? [] : [(victim, moment)],
            Death = death ?? Death.Reset,
        });
        Assert.InRange(model.Elapsed / protocol.Elapsed, 0.95, 1.05);
        Assert.Equal(death is null ? 0 : 1, model.Died);
    }

    static FlowScene Auto(int nodes) => new(nodes, Image, WayChoice.For(Image, nodes, Link, Latency).Way, Link, Latency);

    static FlowScene Dying(FlowScene scene, int deaths, Death death)
    {
        var luck = new Random(1);
        var nodes = Enumerable.Range(0, scene.Nodes).ToArray();
        luck.Shuffle(nodes);
        return scene with { Death = death, Deaths = [.. nodes.Take(deaths).Select(n => (n, TimeSpan.FromSeconds(luck.NextDouble() * Once)))] };
    }

    [Theory]
    [InlineData(100, 1.02)]
    [InlineData(1000, 1.1)]
    [InlineData(10_000, 1.3)]
    public void What_auto_picks_takes_hardly_longer_than_one_transfer(int nodes, double ratio)
    {
        var end = FlowModel.Run(Auto(nodes));
        Assert.InRange(end.Elapsed.TotalSeconds / Once, 1, ratio);
        Assert.InRange(end.SourceBytes, Image * 0.99, Image * 1.05);
    }

    [Fact]
    public void A_hundred_crashed_nodes_of_a_thousand_cost_less_than_two_seconds()
    {
        var quiet = FlowModel.Run(Auto(1000));
        foreach (var way in (BroadcastWay[])[BroadcastWay.Chain, BroadcastWay.TwoTrees])
        {
            var end = FlowModel.Run(Dying(Auto(1000) with { Way = way }, 100, Death.Reset));
            Assert.Equal(100, end.Died);
            Assert.InRange(end.Elapsed, quiet.Elapsed - TimeSpan.FromSeconds(0.2), quiet.Elapsed + TimeSpan.FromSeconds(2));
        }
    }

    /// <summary>While they die somebody waits nearly all the time: that time and one detection.</summary>
    [Fact]
    public void A_hundred_nodes_of_a_thousand_that_lose_power_cost_less_than_two_seconds()
    {
        var end = FlowModel.Run(Dying(Auto(1000), 100, Death.Silence));
        Assert.Equal(100, end.Died);
        Assert.InRange(end.Elapsed, TimeSpan.FromSeconds(Once), FlowModel.Run(Auto(1000)).Elapsed + TimeSpan.FromSeconds(2));
    }

    [Theory]
    [InlineData(1_000_000, 1000, BroadcastWay.Tree)]
    [InlineData(1_000_000, 10_000, BroadcastWay.Tree)]
    [InlineData(Image, 1, BroadcastWay.Chain)]
    [InlineData(Image, 16, BroadcastWay.Chain)]
    [InlineData(Image, 1000, BroadcastWay.Chain)]
    [InlineData(Image, 3000, BroadcastWay.TwoTrees)]
    [InlineData(Image, 10_000, BroadcastWay.TwoTrees)]
    public void Auto_picks_by_size_and_count_and_says_why(long bytes, int nodes, BroadcastWay way)
    {
        var choice = WayChoice.For(bytes, nodes, Link, Latency);
        Assert.Equal(way, choice.Way);
        Assert.Contains($"of {nodes} ", choice.Why);
    }

    [Fact]
    public void The_command_says_way_reason_time_ratio_and_what_the_source_sent()
    {
        var (written, errors) = (new StringWriter(), new StringWriter());
        var code = BroadcastSimulation.Run("--nodes 2000 --bytes 2GB --link 10Gbit --latency 50us --way auto --deaths 10 --death reset --seed 1".Split(' '), written, errors);
        Assert.Equal(0, code);
        var lines = written.ToString().Split('\n');
        Assert.Equal("way       two-trees", lines[0]);
        Assert.Matches(@"^why       a chain of 2000 would be too deep: ", lines[1]);
        Assert.Equal("nodes     2000, of which 10 died on the way", lines[2]);
        Assert.Matches(@"^time      \d+\.\d{3} s$", lines[3]);
        Assert.Matches(@"^ratio     1\.[0-2]\d times", lines[4]);
        Assert.Matches(@"^source    sent \d+ bytes, 1\.\d\d times the image$", lines[5]);
    }

    [Fact]
    public void The_command_runs_the_protocol_itself_where_it_is_told_to()
    {
        var written = new StringWriter();
        Assert.Equal(0, BroadcastSimulation.Run("--nodes 5 --bytes 1MiB --link 1Gbit --way two-trees --exact".Split(' '), written, new StringWriter()));
        Assert.Contains("source    sent 1048576 bytes", written.ToString());
    }

    [Theory]
    [InlineData("--nodes 0")]
    [InlineData("--bytes 2QB")]
    [InlineData("--link 10")]
    [InlineData("--way best")]
    [InlineData("--deaths 1000 --nodes 1000")]
    [InlineData("--exact --bytes 1MB --nodes 501")]
    [InlineData("--seed")]
    public void What_the_command_does_not_understand_it_says(string words)
    {
        var errors = new StringWriter();
        Assert.Equal(2, BroadcastSimulation.Run(words.Split(' '), new StringWriter(), errors));
        Assert.Contains(words.Split(' ')[0], errors.ToString());
    }
}
