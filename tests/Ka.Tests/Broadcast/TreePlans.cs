using System.Collections.Immutable;
using Ka.Broadcast;

namespace Ka.Tests.Broadcast;

/// <summary>Who asks whom in a tree.</summary>
public sealed class TreePlans
{
    static readonly ChainPeer Server = new("server", 1);

    static ImmutableArray<ChainLink> Plan(int nodes, int arity) => TreePlan.Of([.. Enumerable.Range(0, nodes).Select(i => new ChainPeer($"n{i}", i))], Server, arity);

    static IEnumerable<string> Sources(ChainLink link) => link.Upstreams.Select(u => u.Host);

    [Fact]
    public void A_node_asks_its_parent_then_its_grandparent_then_the_parents_siblings_then_further_up_and_the_server_last()
    {
        var links = Plan(40, 3);
        Assert.Equal(["server"], Sources(links[0]));
        Assert.Equal(["n0", "n1", "n2", "server"], Sources(links[4]));
        Assert.Equal(["n4", "n0", "n3", "n5", "n1", "n2", "server"], Sources(links[16]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_node_is_the_successor_of_one_and_nobody_can_wait_for_itself(int arity)
    {
        for (var count = 1; count < 70; count++)
        {
            var links = Plan(count, arity);
            for (var i = 0; i < count; i++)
            {
                Assert.Equal(links.Count(l => l.Upstreams[0].Host == $"n{i}"), links[i].Successors);
                Assert.All(links[i].Upstreams.SkipLast(1), u => Assert.InRange(u.Port, 0, i - 1));
                Assert.Equal(links[i].Upstreams.Length, links[i].Upstreams.Distinct().Count());
            }
            Assert.Equal(Math.Min(arity, count), links.Count(l => l.Upstreams.Length == 1));
        }
    }

    [Fact]
    public void The_way_of_a_byte_is_short() =>
        Assert.Equal(9, Depth(Plan(1000, 2), 999));

    static int Depth(ImmutableArray<ChainLink> links, int node) =>
        links[node].Upstreams[0] is var parent && parent == Server ? 1 : 1 + Depth(links, parent.Port);
}
