using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Broadcast.Swarm;
using Ka.Core.Clusters;
using Ka.Simulation.Broadcasts;

namespace Ka.Tests.Broadcast;

/// <summary>Who knows whom in a swarm, which chunk is asked of whom, and what that costs the server.</summary>
public sealed class Swarms
{
    const int Block = 16 * 1024;

    static readonly TimeSpan Start = TimeSpan.Zero;

    static readonly ChainPeer[] Peers = [.. Enumerable.Range(0, 1000).Select(i => new ChainPeer($"n{i}", i))];

    static SwarmHolder Holder(SwarmBoard board, int chunks, params int[] has)
    {
        var holder = new SwarmHolder(Peers[0], false, chunks);
        board.Join(holder);
        Assert.All(has, h => Assert.True(board.Learn(holder, h)));
        return holder;
    }

    [Fact]
    public void The_rarest_chunk_is_asked_for_first_and_none_twice()
    {
        var board = new SwarmBoard(3, seed: 1);
        var (all, some) = (Holder(board, 3, 0, 1, 2), Holder(board, 3, 0, 2));
        Assert.Equal(1, board.Ask(all, Start));
        Assert.Equal([0, 2], new[] { board.Ask(all, Start), board.Ask(some, Start) }.Order());
        Assert.Null(board.Ask(all, Start));
        Assert.Null(board.Ask(some, Start));
    }

    [Fact]
    public void The_server_is_asked_only_for_what_no_peer_has()
    {
        var board = new SwarmBoard(2, seed: 1);
        var server = new SwarmHolder(Peers[1], true, 2);
        board.Join(server);
        Assert.True(board.Learn(server, 0) && board.Learn(server, 1));
        Holder(board, 2, 0);
        Assert.Equal(1, board.Ask(server, Start));
        Assert.Null(board.Ask(server, Start));
    }

    [Fact]
    public void What_a_lost_peer_was_asked_for_is_asked_of_another()
    {
        var board = new SwarmBoard(1, seed: 1);
        var (first, second) = (Holder(board, 1, 0), Holder(board, 1, 0));
        Assert.Equal(0, board.Ask(first, Start));
        Assert.Null(board.Ask(second, Start));
        board.Leave(first);
        Assert.Equal(0, board.Ask(second, Start));
        Assert.True(board.Came(second, 0));
        Assert.True(board.IsComplete);
    }

    [Fact]
    public void At_the_end_what_is_late_is_asked_of_one_more_peer_and_of_no_third()
    {
        var board = new SwarmBoard(1, seed: 1);
        var (first, second, third) = (Holder(board, 1, 0), Holder(board, 1, 0), Holder(board, 1, 0));
        Assert.Equal(0, board.Ask(first, Start));
        Assert.Null(board.Ask(second, Start + TimeSpan.FromMilliseconds(100)));
        Assert.Equal(0, board.Ask(second, Start + TimeSpan.FromSeconds(1)));
        Assert.Null(board.Ask(third, Start + TimeSpan.FromSeconds(9)));
        Assert.True(board.Came(second, 0));
        Assert.False(board.Came(first, 0));
    }

    [Fact]
    public void The_sinks_next_chunks_are_asked_for_before_those_far_ahead()
    {
        var board = new SwarmBoard(1000, seed: 1);
        var holder = Holder(board, 1000, [.. Enumerable.Range(0, 1000)]);
        Assert.All(Enumerable.Range(0, 250), _ => Assert.InRange(board.Ask(holder, Start)!.Value, 0, 249));
        Assert.Null(board.Ask(holder, Start));
        board.Came(holder, 0);
        Assert.Equal(250, board.Ask(holder, Start));
    }

    [Fact]
    public void A_chunk_that_there_is_not_is_not_believed() => Assert.False(new SwarmBoard(3, 1).Learn(new SwarmHolder(Peers[0], false, 3), 3));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(37)]
    [InlineData(1000)]
    public void Everybody_reaches_everybody_by_few_steps_and_four_begin_at_the_server(int count)
    {
        var links = SwarmPlan.Of([.. Peers.Take(count)]);
        Assert.Equal(Math.Min(4, count), links.Count(l => l.IsFirstHand));
        Assert.All(links, l => Assert.Equal(l.Peers.Length, l.Peers.Distinct().Count()));
        Assert.All(links.Select((l, i) => (l, i)), p => Assert.DoesNotContain(Peers[p.i], p.l.Peers));
        var (reached, steps) = (new HashSet<int> { 0 }, 0);
        for (ImmutableArray<int> edge = [0]; reached.Count < count; steps++)
            edge = [.. edge.SelectMany(i => links[i].Peers.Take(4)).Select(p => p.Port).Where(reached.Add)];
        Assert.InRange(steps, 0, 24);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(40)]
    public void The_server_gives_a_swarm_little_more_than_one_image(int nodes)
    {
        var scene = new BroadcastScene(nodes, 64 * Block, BroadcastWay.Swarm, new NetworkShape(1e9, TimeSpan.FromMicroseconds(50), SegmentBytes: Block + 8), 1)
        {
            ChunkBytes = Block,
            Options = ChainOptions.Default with { BlockBytes = Block },
        };
        var end = SimulatedBroadcast.Run(scene);
        Assert.True(end.AllHaveIt);
        Assert.InRange(end.SourceBytes, scene.Bytes, scene.Bytes * 1.2);
    }
}
