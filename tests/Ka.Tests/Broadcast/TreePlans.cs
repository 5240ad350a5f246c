using System.Collections.Immutable;
using Ka.Broadcast;

namespace Ka.Tests.Broadcast;

public class TreePlans
{
    static readonly ChainPeer Server = new("server", 1);

    static ImmutableArray<ChainPeer> Nodes(int count) => [.. Enumerable.Range(0, count).Select(i => new ChainPeer($"n{i}", 1))];

    static int Number(ChainPeer peer) => int.Parse(peer.Host[1..]);

    [Theory]
    [InlineData(1, 2, 1)]
    [InlineData(7, 2, 3)]
    [InlineData(1000, 2, 10)]
    [InlineData(1000, 4, 6)]
    [InlineData(10_000, 2, 14)]
    [InlineData(5, 1, 5)]
    public void A_tree_is_flat_and_nobody_hands_on_to_more_than_its_arity(int count, int arity, int depth)
    {
        var parents = TreePlan.Parents(count, arity);
        Assert.InRange(Shape.Depth(parents), depth - 1, depth);
        Assert.Equal(-1, parents[0]);
        Assert.All(Shape.Children(parents), c => Assert.InRange(c.Length, 0, arity));
        Assert.All(Enumerable.Range(1, count - 1), i => Assert.InRange(parents[i], 0, i - 1));
    }

    [Fact]
    public void Each_node_of_two_trees_hands_on_in_one_of_them_only_and_sends_one_image_at_most()
    {
        foreach (var count in (int[])[1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 100, 1023, 1024, 10_000])
        {
            var children = TwoTreePlan.Parents(count).Select(Shape.Children).ToArray();
            for (var i = 0; i < count; i++)
            {
                Assert.InRange(children[0][i].Length + children[1][i].Length, 0, 2);
                Assert.True(children[0][i].IsEmpty || children[1][i].IsEmpty, $"{i} of {count} hands on in both");
            }
            Assert.All(TwoTreePlan.Parents(count), parents => Assert.Single(parents, -1));
            Assert.All(TwoTreePlan.Parents(count), parents => Assert.InRange(Shape.Depth(parents), 1, 1 + Math.ILogB(count) + 1));
        }
    }

    [Fact]
    public void Most_links_of_two_trees_join_near_neighbours()
    {
        const int count = 1024, rack = 32;
        foreach (var parents in TwoTreePlan.Parents(count))
        {
            var across = Enumerable.Range(0, count).Count(i => parents[i] >= 0 && parents[i] / rack != i / rack);
            Assert.InRange(across, 0, 4 * count / rack);
        }
    }

    [Fact]
    public void When_a_node_of_two_trees_dies_nobody_sends_more_than_before()
    {
        const int count = 63;
        var plan = TwoTreePlan.Of(Nodes(count), Server);
        for (var dead = 0; dead < count; dead++)
        {
            var load = new int[count + 1];
            for (var i = 0; i < count; i++)
            {
                foreach (var link in plan[i].Where(_ => i != dead))
                {
                    var asked = link.Upstreams.First(p => p == Server || Number(p) != dead);
                    load[asked == Server ? count : Number(asked)]++;
                }
            }
            Assert.True(load.Max() <= 2, $"when {dead} dies, {Array.IndexOf(load, load.Max())} serves {load.Max()}");
        }
    }

    /// <summary>Whoever dies, in whatever order: a way from each living node to the server remains, as nobody is asked by those it may ask.</summary>
    [Fact]
    public void Nobody_asks_in_a_circle_whoever_has_died()
    {
        var luck = new Random(7);
        for (var round = 0; round < 300; round++)
        {
            var count = luck.Next(1, 70);
            var dead = Enumerable.Range(0, count).Where(_ => luck.Next(3) == 0).ToHashSet();
            var two = TwoTreePlan.Of(Nodes(count), Server);
            AssertReachesServer([.. two.Select(l => l[0])], dead);
            AssertReachesServer([.. two.Select(l => l[1])], dead);
            AssertReachesServer(TreePlan.Of(Nodes(count), Server, 1 + (round % 4)), dead);
        }
    }

    static void AssertReachesServer(ImmutableArray<ChainLink> links, HashSet<int> dead)
    {
        for (var i = 0; i < links.Length; i++)
        {
            var (at, steps) = (i, 0);
            while (at >= 0)
            {
                var asked = links[at].Upstreams.First(p => p == Server || !dead.Contains(Number(p)));
                at = asked == Server ? -1 : Number(asked);
                Assert.True(++steps <= links.Length, $"{i} of {links.Length} asks in a circle");
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(32)]
    [InlineData(100)]
    public void Stripes_are_the_image_and_nothing_twice(int bytes)
    {
        const int chunk = 16;
        var seen = new List<long>();
        foreach (var stripe in Enumerable.Range(0, 2).Select(i => new Stripe(i, 2, chunk)))
        {
            for (var at = 0L; at < stripe.Bytes(bytes); at++)
            {
                seen.Add(stripe.InImage(at));
            }
        }
        Assert.Equal(Enumerable.Range(0, bytes).Select(i => (long)i), seen.Order());
    }

    [Fact]
    public async Task Two_trees_deliver_over_real_sockets()
    {
        using var chain = new LoopbackChain((1024 * 1024) + 77, nodes: 5, LoopbackChain.Patient);
        Assert.True(BroadcastKey.TryParse(chain.Key, out var key));
        Assert.Null(chain.Source.RegisterStripes(key, chain.File, chain.Image.Length, chain.Manifest.ChunkBytes));
        var links = TwoTreePlan.Of([.. chain.Listeners.Select(l => LoopbackChain.Peer(l.Port))], chain.Server);
        var nodes = Enumerable.Range(0, 5).Select(i => new StripedNode(key, chain.Manifest, links[i], chain.Listeners[i], chain.Sinks[i], chain.Options)).ToArray();
        var outcomes = await Task.WhenAll(nodes.Select(n => n.Receive(TestContext.Current.CancellationToken)));
        Assert.All(outcomes, o => Assert.Null(o.Fault));
        Assert.All(Enumerable.Range(0, 5), chain.AssertDelivered);
        Assert.Equal(chain.Image.Length, chain.Source.ReportStripes(key)!.BytesOut);
        Assert.All(nodes, n => Assert.Equal(chain.Image.Length, n.Progress.Written));
        Array.ForEach(nodes, n => n.Dispose());
    }

    [Fact]
    public async Task A_sink_that_fails_ends_both_stripes_of_its_node()
    {
        using var chain = new LoopbackChain(1024 * 1024, nodes: 2);
        chain.Sinks[0].TripAt = 256 * 1024;
        chain.Sinks[0].Trip = () => throw new IOException("Broken pipe");
        Assert.True(BroadcastKey.TryParse(chain.Key, out var key));
        Assert.Null(chain.Source.RegisterStripes(key, chain.File, chain.Image.Length, chain.Manifest.ChunkBytes));
        var links = TwoTreePlan.Of([.. chain.Listeners.Select(l => LoopbackChain.Peer(l.Port))], chain.Server);
        using var broken = new StripedNode(key, chain.Manifest, links[0], chain.Listeners[0], chain.Sinks[0], chain.Options);
        using var whole = new StripedNode(key, chain.Manifest, links[1], chain.Listeners[1], chain.Sinks[1], chain.Options);
        var (first, second) = (broken.Receive(TestContext.Current.CancellationToken), whole.Receive(TestContext.Current.CancellationToken));
        Assert.True((await first).SinkFailed);
        Assert.Null((await second).Fault);
        chain.AssertDelivered(1);
    }
}
