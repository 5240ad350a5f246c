using Ka.Core.NodeSets;

namespace Ka.Tests.NodeSets;

/// <summary>Laws that hold for every set, tried on random ones against plain sets of names.</summary>
public class NodeSetAlgebra
{
    [Fact]
    public void Operations_agree_with_sets_of_names()
    {
        var luck = new Random(11);
        for (var i = 0; i < 400; i++)
        {
            var (left, right) = (Names(luck), Names(luck));
            var (a, b) = (NodeSet.FromNames(left), NodeSet.FromNames(right));

            Assert.Equal(left.Union(right).ToHashSet(), [.. a | b]);
            Assert.Equal(left.Intersect(right).ToHashSet(), [.. a & b]);
            Assert.Equal(left.Except(right).ToHashSet(), [.. a - b]);
            Assert.Equal(left.Union(right).Except(left.Intersect(right)).ToHashSet(), [.. a ^ b]);
            Assert.All(left, name => Assert.True(a.Contains(name)));
            Assert.All(right.Except(left), name => Assert.False(a.Contains(name)));
        }
    }

    [Fact]
    public void Text_and_names_lead_back_to_the_same_set()
    {
        var luck = new Random(12);
        for (var i = 0; i < 400; i++)
        {
            var set = NodeSet.FromNames(Names(luck));

            Assert.Equal(set, NodeSet.Parse(set.ToString()));
            Assert.Equal(set, NodeSet.FromNames(set));
            Assert.Equal(set.Count, set.Select(node => node.Value).Distinct().ToArray().Length);
            Assert.Equal(set.GetHashCode(), NodeSet.Parse(set.ToString()).GetHashCode());
        }
    }

    [Fact]
    public void Laws_of_sets_hold()
    {
        var luck = new Random(13);
        for (var i = 0; i < 300; i++)
        {
            var (a, b, c) = (NodeSet.FromNames(Names(luck)), NodeSet.FromNames(Names(luck)), NodeSet.FromNames(Names(luck)));

            Assert.Equal((a | b) - (a & b), a ^ b);
            Assert.Equal(a - b - c, a - (b | c));
            Assert.Equal(a & (b | c), (a & b) | (a & c));
            Assert.Equal(NodeSet.Empty, a ^ a);
            Assert.Equal(a, a ^ b ^ b);
            Assert.True((a & b).IsSubsetOf(a));
            Assert.Equal((a & b).Count > 0, a.Overlaps(b));
        }
    }

    [Fact]
    public void No_text_makes_the_parser_throw()
    {
        const string Alphabet = "n1029[]-/,!&^@:*? a.%";
        var luck = new Random(14);
        for (var i = 0; i < 50_000; i++)
        {
            var text = new string([.. Enumerable.Range(0, luck.Next(24)).Select(_ => Alphabet[luck.Next(Alphabet.Length)])]);

            if (NodeSet.TryParse(text, new NodeSetContext(Universe: NodeSet.Parse("n[1-9],a1n[1-3]")), out var set, out var error))
            {
                Assert.Equal(set, NodeSet.Parse(set.ToString()));
            }
            else
            {
                Assert.InRange(error.Position, 0, text.Length);
            }
        }
    }

    private static HashSet<NodeName> Names(Random luck)
    {
        var (dimensions, side) = (luck.Next(0, 4), luck.Next(1, 15));
        return [.. Enumerable.Range(0, luck.Next(60)).Select(_ => Name())];

        NodeName Name()
        {
            var text = luck.Next(5) == 0 ? "x" : "n";
            for (var d = 0; d < dimensions; d++)
            {
                text += luck.Next(side).ToString().PadLeft(luck.Next(4) == 0 ? 2 : 0, '0') + (d < dimensions - 1 ? "r" : "");
            }

            return NodeName.Parse(text);
        }
    }
}
