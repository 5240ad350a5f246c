using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Core.Clusters;
using Ka.Simulation.Broadcasts;

namespace Ka.Tests.Broadcast;

/// <summary>One node holds the others back: it is found, and what the policy says is done. Virtual time.</summary>
public class Stragglers
{
    const int KiB = 1024, Nodes = 12, Image = 12 * 1024 * KiB;

    /// <summary>Ten seconds for the image.</summary>
    static readonly NetworkShape Slow = new(1e7, TimeSpan.FromMilliseconds(1), SegmentBytes: (32 * KiB) + 8, WindowBytes: 128 * KiB);

    static BroadcastScene Scene(BroadcastWay way, StragglerRules rules, params Mishap[] mishaps) => new(Nodes, Image, way, Slow, Seed: 1)
    {
        ChunkBytes = 64 * KiB,
        Options = ChainOptions.Default with { RingBytes = 512 * KiB, BlockBytes = 32 * KiB },
        Stragglers = rules,
        Mishaps = [.. mishaps],
    };

    static readonly TimeSpan Undisturbed = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, StragglerRules.Default)).Elapsed;

    static TimeSpan Others(BroadcastEnd end, int slow) => end.Nodes.Where((_, i) => i != slow).Max(n => n.Finished ?? TimeSpan.MaxValue);

    static string Say(BroadcastEnd end) => string.Join("\n", end.Stragglers) + "\n" + string.Join("; ", end.Nodes.Select((n, i) => $"{i}: {n.Finished} {n.Outcome?.Fault}"));

    public static TheoryData<int, bool> Places => [.. from place in new[] { 1, 11 } from disk in new[] { false, true } select (place, disk)];

    static Mishap Tenth(int place, bool disk) => disk ? new Mishap.SlowSink(place, Slow.BitsPerSecond / 80) : new Mishap.SlowCard(place, 0.1);

    [Theory, MemberData(nameof(Places))]
    public void With_one_link_at_a_tenth_of_the_rate_the_others_take_a_quarter_longer_at_most_and_it_is_served_alone(int place, bool disk)
    {
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, StragglerRules.Default, Tenth(place, disk)));
        Assert.True(end.AllHaveIt, Say(end));
        Assert.True(Others(end, place) <= Undisturbed * (disk ? 1.5 : 1.25), $"{Undisturbed}\n{Say(end)}");
        Assert.Equal([(StragglerStep.Name, place), (StragglerStep.Aside, place), (StragglerStep.Back, place)], end.Stragglers.Select(s => (s.Step, s.Who.Place)));
        Assert.Equal(disk ? SlowPart.Disk : SlowPart.Link, end.Stragglers[0].Who.Part);
    }

    [Fact]
    public void The_first_of_all_is_found_by_its_full_ring_or_by_the_floor()
    {
        var disk = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, StragglerRules.Default, Tenth(0, disk: true)));
        Assert.True(Others(disk, 0) <= Undisturbed * 1.5, $"{Undisturbed}\n{Say(disk)}");
        var link = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, StragglerRules.Default with { FloorBitsPerSecond = 3_000_000 }, Tenth(0, disk: false)));
        Assert.True(Others(link, 0) <= Undisturbed * 1.25, $"{Undisturbed}\n{Say(link)}");
    }

    [Fact]
    public void A_node_that_is_to_be_kept_is_named_and_awaited()
    {
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, new StragglerRules(StragglerPolicy.Keep), Tenth(7, disk: true)));
        Assert.True(end.AllHaveIt, Say(end));
        Assert.Equal([(StragglerStep.Name, 7)], end.Stragglers.Select(s => (s.Step, s.Who.Place)));
    }

    [Fact]
    public void A_node_that_is_slow_when_it_is_served_alone_is_ended_where_the_policy_says_so()
    {
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, new StragglerRules(StragglerPolicy.Evict), Tenth(7, disk: false)));
        Assert.Equal("broadcast.straggler", end.Nodes[7].Outcome?.Fault?.Code.Text);
        Assert.True(Others(end, 7) <= Undisturbed * 1.25, Say(end));
        Assert.True(end.Elapsed <= (Undisturbed * 1.25) + TimeSpan.FromSeconds(5), Say(end));
    }

    [Fact]
    public void A_disk_that_rests_for_two_seconds_is_awaited()
    {
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, StragglerRules.Default, new Mishap.SinkPauses(5, Image / 2, TimeSpan.FromSeconds(2))));
        Assert.True(end.AllHaveIt, Say(end));
        Assert.DoesNotContain(end.Stragglers, s => s.Step == StragglerStep.Aside);
    }

    [Fact]
    public void Who_stands_aside_goes_on_by_itself_when_nobody_tells_it_any_more()
    {
        var scene = Scene(BroadcastWay.Chain, StragglerRules.Default, Tenth(7, disk: false)) with { ControlDiesAfter = StragglerStep.Aside };
        var end = SimulatedBroadcast.Run(scene);
        Assert.True(end.AllHaveIt, Say(end));
        Assert.DoesNotContain(end.Stragglers, s => s.Step == StragglerStep.Back);
    }

    [Fact]
    public void In_a_tree_only_those_below_a_slow_node_turn_away()
    {
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Tree, StragglerRules.Default, Tenth(2, disk: true)));
        Assert.True(end.AllHaveIt, Say(end));
        Assert.Contains(end.Stragglers, s => s is { Step: StragglerStep.Aside, Who.Place: 2 });
    }

    [Fact]
    public void Nodes_that_are_all_alike_slow_are_let_be()
    {
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, StragglerRules.Default, [.. Enumerable.Range(0, Nodes).Select(i => new Mishap.SlowSink(i, Slow.BitsPerSecond / 40 * (1 - (0.002 * i))))]));
        Assert.True(end.AllHaveIt, Say(end));
        Assert.InRange(end.Stragglers.Count(s => s.Step == StragglerStep.Aside), 0, 1);
        Assert.Empty(SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, StragglerRules.Default)).Stragglers);
    }

    [Fact]
    public void A_node_whose_source_has_not_reported_yet_is_not_judged()
    {
        ImmutableArray<ChainPeer> peers = [.. Enumerable.Range(0, Nodes).Select(i => new ChainPeer($"n{i}", 1))];
        var watch = new StragglerWatch(peers, ChainPlan.Of(peers, new ChainPeer("server", 1)), new StragglerRules(StragglerPolicy.Evict, FloorBitsPerSecond: 8_000_000));
        for (var tenth = 0; tenth < 100; tenth++)
        {
            var now = TimeSpan.FromSeconds(tenth / 10.0);
            watch.Report(1, new ChainProgress(Image, 10 * tenth, 0, 0, 0, 10 * tenth, peers[0].ToString(), 0, 0) { RingCapacity = 1000 }, now);
            Assert.Empty(watch.Look(now).Steps);
        }
    }

    [Fact]
    public void Who_gets_next_to_nothing_stands_aside_sooner_than_who_gets_some()
    {
        var (tenth, fourTenths) = (AsideAfter(t => t < 2 ? t : 2 + (0.1 * (t - 2))), AsideAfter(t => t < 2 ? t : 2 + (0.4 * (t - 2))));
        Assert.True(tenth < 1.5, $"{tenth} s");
        Assert.InRange(fourTenths, tenth + 0.3, 3);
    }

    [Fact]
    public void A_link_that_rests_for_a_second_is_awaited() => Assert.Equal(double.PositiveInfinity, AsideAfter(t => t < 2 ? t : Math.Max(2, t - 1)));

    [Fact]
    public void Who_is_below_the_floor_stands_aside_even_where_it_gets_more_than_half()
    {
        static double Rings(double t) => t < 2 ? t : 2 + (0.6 * (t - 2));
        Assert.Equal(double.PositiveInfinity, AsideAfter(Rings));
        Assert.InRange(AsideAfter(Rings, StragglerRules.Default with { FloorBitsPerSecond = 5_600_000 }), 0.8, 3);
    }

    /// <summary>How many seconds after the second second the node at place 5 is sent aside whose bytes come as told, where all before it get a ring full in a second.</summary>
    static double AsideAfter(Func<double, double> rings, StragglerRules? rules = null)
    {
        const int ring = 1_000_000;
        ImmutableArray<ChainPeer> peers = [.. Enumerable.Range(0, Nodes).Select(i => new ChainPeer($"n{i}", 1))];
        var watch = new StragglerWatch(peers, ChainPlan.Of(peers, new ChainPeer("server", 1)), rules ?? StragglerRules.Default);
        for (var second = 0.0; second < 10; second += 0.1)
        {
            var now = TimeSpan.FromSeconds(second);
            for (var i = 0; i < Nodes; i++)
            {
                var head = (long)(ring * (i < 5 ? second : rings(second)));
                watch.Report(i, new ChainProgress(100 * ring, head, 0, head, head, 0, i == 0 ? "server:1" : peers[i - 1].ToString(), 1, 0) { RingCapacity = ring }, now);
            }
            if (watch.Look(now).Steps.Any(s => s is { Step: StragglerStep.Aside, Who.Place: 5 }))
            {
                return second - 2;
            }
        }
        return double.PositiveInfinity;
    }
}
