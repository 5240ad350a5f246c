using Ka.Broadcast;
using Ka.Broadcast.Standalone;
using Ka.Cli.Commands;
using Ka.Core.Clusters;
using Ka.Simulation.Broadcasts;

namespace Ka.Tests.Broadcast;

/// <summary>Bits that go wrong on the way or in memory: nobody takes them, and only what was wrong comes again.</summary>
public class FlippedBits
{
    const int Block = 16 * 1024, Image = 32 * Block, Server = -1;

    static readonly NetworkShape Gigabit = new(1e9, TimeSpan.FromMicroseconds(50), SegmentBytes: Block + 8, WindowBytes: 2 * Block);

    static BroadcastScene Scene(BroadcastWay way, int nodes, ulong seed, params Mishap[] mishaps) => new(nodes, Image, way, Gigabit, seed)
    {
        ChunkBytes = Block,
        Options = ChainOptions.Default with { RingBytes = 8 * Block, BlockBytes = Block },
        Mishaps = [.. mishaps],
    };

    /// <summary>
    /// On the connections or in the ring of each node. Two trees keep proved bytes in the ring until the other's turn is over; what goes wrong there then
    /// nobody can see, so there it goes wrong at once.
    /// </summary>
    static Mishap[] Flips(Random luck, BroadcastWay way, int nodes, int each)
    {
        var flips = new List<Mishap>();
        var places = Enumerable.Range(0, way == BroadcastWay.TwoTrees ? Image / 2 : Image).Select(o => (long)o).ToArray();
        for (var node = Server; node < nodes; node++)
        {
            if (luck.Next(2) == 0)
            {
                flips.Add(new Mishap.FlipsOnWire(node, [.. luck.GetItems(places, each).Distinct()]));
            }
            else if (node != Server)
            {
                flips.Add(new Mishap.FlipsInRing(node, [.. luck.GetItems(places, each).Distinct()], way == BroadcastWay.TwoTrees ? 0 : luck.Next(4 * Block)));
            }
        }
        return [.. flips];
    }

    [Theory]
    [InlineData(BroadcastWay.Chain, 1, 400)]
    [InlineData(BroadcastWay.Tree, 2, 300)]
    [InlineData(BroadcastWay.TwoTrees, 3, 300)]
    public void Of_a_thousand_none_is_taken_each_is_found_in_its_chunk_and_no_more_than_two_chunks_come_again_for_it(BroadcastWay way, int seed, int share)
    {
        var luck = new Random(seed);
        var (flips, refetched) = (0, 0L);
        for (var scene = 1UL; flips < share; scene++)
        {
            var nodes = luck.Next(2, 9);
            var end = SimulatedBroadcast.Run(Scene(way, nodes, scene, Flips(luck, way, nodes, each: 3)));
            var what = $"{way}, scene {scene} with {nodes} nodes";
            Assert.True(end.Nodes.All(n => n is { Finished: not null, IsRight: true }), $"{what}: " + string.Join("; ", end.Nodes.Select((n, i) => $"{i}: {n.Finished} {n.IsRight} {n.Outcome?.Fault}")));
            var found = end.Nodes.SelectMany(n => n.Outcome!.BadChunks).ToHashSet();
            foreach (var (node, offset, _) in end.Flipped.Where(f => !f.InRing)) // in a ring it may have been of no more use
            {
                var chunk = (int)(offset / Block);
                Assert.True(way == BroadcastWay.TwoTrees ? found.Contains(2 * chunk) || found.Contains((2 * chunk) + 1) : found.Contains(chunk), $"{what}: byte {offset} from {node} was not found");
            }
            Assert.Subset(end.Flipped.SelectMany(f => way == BroadcastWay.TwoTrees ? (int[])[(int)(f.Offset / Block) * 2, ((int)(f.Offset / Block) * 2) + 1] : [(int)(f.Offset / Block)]).ToHashSet(), found);
            var again = end.Nodes.Sum(n => n.Outcome!.Progress.Refetched);
            Assert.True(again <= 2L * Block * end.Flipped.Length, $"{what}: {again} bytes came again for {end.Flipped.Length} flips");
            flips += end.Flipped.Length;
            refetched += again;
        }
        TestContext.Current.SendDiagnosticMessage($"{way}: {flips} flips, {refetched / (double)Block / flips:0.00} chunks came again for each");
    }

    [Fact]
    public void Who_handed_on_what_it_could_not_know_to_be_wrong_keeps_its_place_and_mends_it_with_a_few_bytes()
    {
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, 5, 1, new Mishap.FlipsOnWire(Server, [(5 * Block) + 7, (9 * Block) + 1])));
        Assert.True(end.AllHaveIt);
        Assert.All(end.Nodes, n => Assert.Equal([5, 9], n.Outcome!.BadChunks));
        Assert.All(end.Nodes, n => Assert.Empty(n.Outcome!.Progress.Dropped));
        Assert.All(end.Nodes, n => Assert.Equal(0, n.Outcome!.Progress.Switches));
        Assert.Equal([2 * Block, 2, 2, 2, 2], end.Nodes.Select(n => n.Outcome!.Progress.Refetched));
        Assert.Equal(Image + (2 * Block), end.SourceBytes);
    }

    [Fact]
    public void Who_gave_wrong_what_is_right_where_it_is_gives_nothing_any_more_and_nobody_else_is_blamed()
    {
        var scene = Scene(BroadcastWay.Chain, 5, 1, new Mishap.FlipsOnWire(1, [5 * Block]));
        var end = SimulatedBroadcast.Run(scene with { Options = scene.Options with { RingBytes = Image } });
        Assert.True(end.AllHaveIt);
        Assert.Equal(["", "", "n1:1", "", ""], end.Nodes.Select(n => string.Join(' ', n.Outcome!.Progress.Dropped)));
        Assert.Equal([0, 0, Block, 1, 1], end.Nodes.Select(n => n.Outcome!.Progress.Refetched));
        Assert.Equal(1, end.Nodes[2].Outcome!.Progress.Switches);
        Assert.Equal(Image, end.SourceBytes); // the one before has the chunk and the rest
    }

    [Fact]
    public void Several_wrong_chunks_behind_each_other_come_again_alone()
    {
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, 3, 1, new Mishap.FlipsOnWire(1, [4 * Block, 5 * Block, 6 * Block])));
        Assert.True(end.AllHaveIt);
        Assert.InRange(end.Nodes[2].Outcome!.Progress.Refetched, Block, 3 * Block);
        Assert.Equal(["n1:1"], end.Nodes[2].Outcome!.Progress.Dropped);
        Assert.Equal(Image + end.Nodes[2].Outcome!.Progress.Refetched, end.Nodes[2].Outcome!.Progress.BytesIn);
    }

    [Fact]
    public void Who_has_not_read_a_wrong_chunk_when_it_is_found_never_gets_it()
    {
        // The second node takes a fifth of what the first does.
        var end = SimulatedBroadcast.Run(Scene(BroadcastWay.Chain, 3, 1, new Mishap.FlipsOnWire(Server, [6 * Block]), new Mishap.SlowCard(1, 0.2)));
        Assert.True(end.AllHaveIt);
        Assert.Equal([1, 0, 0], end.Nodes.Select(n => n.Outcome!.BadChunks.Count));
    }

    [Theory]
    [InlineData(BroadcastWay.Chain)]
    [InlineData(BroadcastWay.Tree)]
    [InlineData(BroadcastWay.TwoTrees)]
    public void Deaths_among_them_lose_nobody(BroadcastWay way)
    {
        var luck = new Random(11);
        for (var scene = 1UL; scene <= 25; scene++)
        {
            var nodes = luck.Next(3, 8);
            var dies = new Mishap.DiesAtOffset(luck.Next(nodes), luck.Next(Image), (Death)luck.Next(2));
            var end = SimulatedBroadcast.Run(Scene(way, nodes, scene, [.. Flips(luck, way, nodes, each: 2), dies]));
            Assert.True(end.AllHaveIt, $"{way}, scene {scene} with {nodes} nodes, {dies}: " + string.Join("; ", end.Nodes.Select((n, i) => $"{i}: {n.Died} {n.Finished} {n.IsRight} {n.Outcome?.Fault}")));
            Assert.InRange(end.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(5));
        }
    }

    [Fact]
    public void Only_what_a_giver_says_when_it_is_asked_makes_it_to_blame()
    {
        var (honest, stubborn, dying, generous) = (new ChainPeer("honest", 1), new ChainPeer("stubborn", 1), new ChainPeer("dying", 1), new ChainPeer("generous", 1));
        var record = new GiverRecord(chunkBytes: 100);
        for (var chunk = 0; chunk < 1000; chunk++)
        {
            record.Amended(honest, 1);
            Assert.False(record.IsToBlame(honest, GiverAnswer.Amended, isRight: true));
        }
        Assert.True(record.IsToBlame(honest, GiverAnswer.Amended, isRight: false));
        Assert.True(record.IsToBlame(stubborn, GiverAnswer.TheyWereRight, isRight: false));
        Assert.False(record.IsToBlame(stubborn, GiverAnswer.TheyWereRight, isRight: true)); // the other giver's part was wrong
        Assert.False(record.IsToBlame(dying, GiverAnswer.None, isRight: false));
        Assert.True(record.IsToBlame(dying, GiverAnswer.None, isRight: false));
        Assert.False(record.MayAmend(dying));
        record.Amended(generous, 100 * GiverRecord.AmendedChunkLimit);
        Assert.False(record.IsToBlame(generous, GiverAnswer.Amended, isRight: true));
        record.Amended(generous, 1);
        Assert.True(record.IsToBlame(generous, GiverAnswer.Amended, isRight: true));
        Assert.False(record.MayAmend(generous));
        Assert.True(record.MayAmend(stubborn)); // the hash decides
    }

    [Fact]
    public void The_sender_says_what_came_wrong_and_from_whom_no_more_was_taken()
    {
        var progress = new ChainProgress(Image, Image + Block, 0, Image, Image, 0, null, 0, 1) { BadChunks = 1, Refetched = Block, Dropped = ["10.0.0.7:4000"] };
        Assert.Equal(
            "n2: 1 chunks came wrong and were mended with 16384 bytes; it took no more from 10.0.0.7:4000",
            BroadcastCommands.Mended(new ReceiverState("n2", "done", null, progress, null, null)));
        Assert.Null(BroadcastCommands.Mended(new ReceiverState("n3", "done", null, progress with { BadChunks = 0 }, null, null)));
    }

    [Fact]
    public void A_difference_names_no_more_than_what_is_wrong()
    {
        byte[] right = [.. Enumerable.Range(0, 200).Select(i => (byte)i)];
        var wrong = (byte[])right.Clone();
        foreach (var at in (int[])[0, 3, 100, 199])
        {
            wrong[at] ^= 1;
        }
        var runs = ChunkRepair.Difference(1000, wrong, right);
        Assert.Equal([(1000L, 4), (1100L, 1), (1199L, 1)], runs.Select(r => (r.Offset, r.Bytes.Length)));
        runs.ForEach(r => r.Bytes.CopyTo(wrong, r.Offset - 1000));
        Assert.Equal(right, wrong);
        Assert.Empty(ChunkRepair.Difference(0, right, right));
    }
}
