using Ka.Broadcast;
using Ka.Core.Clusters;
using Ka.Simulation.Broadcasts;

namespace Ka.Tests.Broadcast;

/// <summary>The protocol's own code in virtual time.</summary>
public class SimulatedBroadcasts
{
    const int KiB = 1024, Block = 16 * KiB, Image = 8 * Block;

    /// <summary>What may come twice because of one death: the ring and the window between the dead and the source, of a small image.</summary>
    const double RepairShare = 0.9;

    static readonly NetworkShape Gigabit = new(1e9, TimeSpan.FromMicroseconds(50), SegmentBytes: Block + 8, WindowBytes: 2 * Block);

    static BroadcastScene Small(BroadcastWay way, int nodes, params Mishap[] mishaps) => new(nodes, Image, way, Gigabit, Seed: 1)
    {
        ChunkBytes = Block,
        Options = ChainOptions.Default with { RingBytes = 4 * Block, BlockBytes = Block },
        Mishaps = [.. mishaps],
    };

    static readonly BroadcastWay[] Own = [.. WayChoice.Planned, BroadcastWay.Swarm];

    public static TheoryData<BroadcastWay, Death> WaysToDie => [.. from way in Own from death in Enum.GetValues<Death>() select (way, death)];

    public static TheoryData<BroadcastWay> Ways => [.. Own];

    static void AssertHealed(BroadcastScene scene, int kills, Death death)
    {
        var quiet = SimulatedBroadcast.Run(scene with { Mishaps = [] });
        AssertHealed(scene, kills, death, quiet.Elapsed);
    }

    static void AssertHealed(BroadcastScene scene, int kills, Death death, TimeSpan undisturbed)
    {
        var end = SimulatedBroadcast.Run(scene);
        var what = $"{scene.Way}, {scene.Nodes} nodes, {string.Join(" ", scene.Mishaps)}";
        Assert.True(end.AllHaveIt, what + ": " + string.Join("; ", end.Nodes.Select((n, i) => $"{i}: {n.Finished} {n.IsRight} {n.Outcome?.Fault}")));
        var detection = death == Death.Silence ? scene.Options.Silence * kills : TimeSpan.Zero;
        Assert.True(end.Elapsed <= undisturbed + detection + TimeSpan.FromSeconds(0.5), $"{what}: {end.Elapsed}");
        Assert.True(end.SourceBytes <= scene.Bytes * (1.05 + (kills * RepairShare)), $"{what}: the source sent {end.SourceBytes}");
    }

    [Theory, MemberData(nameof(WaysToDie))]
    public void Whichever_node_dies_at_whichever_block_the_others_have_it(BroadcastWay way, Death death)
    {
        for (var nodes = 2; nodes <= 5; nodes++)
        {
            var undisturbed = SimulatedBroadcast.Run(Small(way, nodes)).Elapsed;
            for (var node = 0; node < nodes; node++)
            {
                for (var offset = Block; offset <= Image; offset += nodes < 5 || way == BroadcastWay.Swarm ? 4 * Block : Block)
                {
                    AssertHealed(Small(way, nodes, new Mishap.DiesAtOffset(node, offset, death)), 1, death, undisturbed);
                }
            }
        }
    }

    [Theory, MemberData(nameof(WaysToDie))]
    public void Whichever_neighbours_die_the_others_have_it(BroadcastWay way, Death death)
    {
        const int nodes = 5;
        var undisturbed = SimulatedBroadcast.Run(Small(way, nodes)).Elapsed;
        for (var node = 0; node + 1 < nodes; node++)
        {
            for (var offset = Block; offset <= Image; offset += way == BroadcastWay.Swarm ? 4 * Block : 2 * Block)
            {
                AssertHealed(Small(way, nodes, new Mishap.DiesAtOffset(node, offset, death), new Mishap.DiesAtOffset(node + 1, offset, death)), 2, death, undisturbed);
            }
        }
    }

    [Theory, MemberData(nameof(Ways))]
    public void Whatever_byte_a_peer_gets_wrong_nobody_takes_it(BroadcastWay way)
    {
        // In the handshake, the header of the first frame, its first byte, and on.
        foreach (var place in (long[])[3, 30, 50, 60, 100, 1000, Block, (3 * Block) + 77])
        {
            var end = SimulatedBroadcast.Run(Small(way, 4, new Mishap.Corrupts(1, place)));
            // The liar itself gets nothing where nobody understands how it asks.
            Assert.True(end.Nodes.Where((_, i) => i != 1).All(n => n is { Finished: not null, IsRight: true }), $"{way}, bit at {place}: " + string.Join("; ", end.Nodes.Select((n, i) => $"{i}: {n.Finished} {n.IsRight} {n.Outcome?.Fault}")));
        }
    }

    [Theory, MemberData(nameof(Ways))]
    public void A_node_whose_disk_hangs_for_a_minute_holds_nobody_up_for_that_long(BroadcastWay way)
    {
        var scene = Small(way, 5, new Mishap.SinkPauses(1, Image / 4, TimeSpan.FromMinutes(1)));
        var end = SimulatedBroadcast.Run(scene);
        Assert.True(end.AllHaveIt);
        var others = end.Nodes.Where((_, i) => i != 1).Max(n => n.Finished!.Value);
        Assert.InRange(others, TimeSpan.Zero, scene.Options.SlowSink + scene.Options.SlowReader + TimeSpan.FromSeconds(2));
        Assert.InRange(end.Nodes[1].Finished!.Value, TimeSpan.FromMinutes(1), TimeSpan.FromSeconds(75));
    }

    [Fact]
    public void The_place_of_a_dead_successor_is_not_held_once_the_next_one_has_come()
    {
        var scene = Small(BroadcastWay.Chain, 5, new Mishap.DiesAtOffset(2, Image / 4, Death.Silence));
        Assert.InRange(SimulatedBroadcast.Run(scene).Elapsed, scene.Options.Suspect, scene.Options.Suspect + scene.Options.Hold / 3);
    }

    [Fact]
    public void The_place_of_a_dead_successor_is_held_from_its_last_sign_of_life_on_also_when_nobody_waits_for_it_yet()
    {
        // The last two lose power; the ring before them is full nearly a second later only.
        var scene = Small(BroadcastWay.Chain, 4, new Mishap.DiesAtOffset(2, 16 * Block, Death.Silence), new Mishap.DiesAtOffset(3, 8 * Block, Death.Silence)) with
        {
            Bytes = 64 * Block,
            Shape = Gigabit with { BitsPerSecond = 2.2e6 },
            Options = ChainOptions.Default with { RingBytes = 16 * Block, BlockBytes = Block },
        };
        var (quiet, end) = (SimulatedBroadcast.Run(scene with { Mishaps = [] }), SimulatedBroadcast.Run(scene));
        Assert.True(end.AllHaveIt);
        Assert.InRange(end.Nodes[1].Finished!.Value - quiet.Nodes[1].Finished!.Value, TimeSpan.Zero, scene.Options.Hold * 0.8);
    }

    [Fact]
    public void A_source_that_falls_silent_but_lives_is_asked_for_the_rest()
    {
        var scene = Small(BroadcastWay.Chain, 4);
        var stall = new Mishap.CardStalls(1, TimeSpan.FromMilliseconds(0.8), scene.Options.Suspect + scene.Options.ProbeGrace / 2);
        var end = SimulatedBroadcast.Run(scene with { Mishaps = [stall] });
        Assert.True(end.AllHaveIt);
        Assert.InRange(end.Elapsed, stall.Span, stall.Span + scene.Options.ProbeGrace);
        Assert.Equal(0, end.Nodes[2].Outcome!.Progress.Switches);
        Assert.InRange(end.SourceBytes, Image, Image + (2 * Block)); // what was under way may have to come from it
    }

    [Theory, MemberData(nameof(Ways))]
    public void One_seed_is_one_course_of_everything(BroadcastWay way)
    {
        var scene = Small(way, 7, new Mishap.DiesAtOffset(2, Image / 2, Death.Reset)) with { Shape = Gigabit with { Loss = 0.05, Resend = TimeSpan.FromMilliseconds(3) } };
        var (first, again, other) = (SimulatedBroadcast.Run(scene), SimulatedBroadcast.Run(scene), SimulatedBroadcast.Run(scene with { Seed = 2 }));
        Assert.True(first.AllHaveIt);
        Assert.Equal((first.Trace, first.Elapsed), (again.Trace, again.Elapsed));
        Assert.NotEqual(first.Trace, other.Trace);
    }

    [Theory]
    [InlineData(BroadcastWay.Chain, 30, 1)]
    [InlineData(BroadcastWay.Chain, 50, 2)]
    [InlineData(BroadcastWay.Tree, 40, 3)]
    [InlineData(BroadcastWay.TwoTrees, 30, 4)]
    [InlineData(BroadcastWay.TwoTrees, 60, 5)]
    [InlineData(BroadcastWay.Swarm, 40, 6)]
    public void Larger_sets_with_deaths_loss_and_a_liar_all_have_it(BroadcastWay way, int nodes, ulong seed)
    {
        var luck = new Random((int)seed);
        var order = Enumerable.Range(0, nodes).ToArray();
        luck.Shuffle(order);
        Mishap[] mishaps =
        [
            .. order.Take(5).Select((node, i) => new Mishap.DiesAtOffset(node, luck.Next(Image), (Death)(i % 2))),
            new Mishap.Corrupts(order[5], luck.Next(Image / 2)),
            new Mishap.SlowCard(order[6], 0.5),
        ];
        var end = SimulatedBroadcast.Run(Small(way, nodes, mishaps) with { Seed = seed, Shape = Gigabit with { Loss = 0.01, Resend = TimeSpan.FromMilliseconds(3) } });
        Assert.True(end.Nodes.Where((n, i) => !n.Died && i != order[5]).All(n => n is { Finished: not null, IsRight: true }), string.Join("; ", end.Nodes.Select((n, i) => $"{i}: {n.Died} {n.Finished} {n.IsRight} {n.Outcome?.Fault}")));
        Assert.InRange(end.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(5.5));
    }
}
