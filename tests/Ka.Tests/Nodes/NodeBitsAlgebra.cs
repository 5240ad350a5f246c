using Ka.Core.Nodes;

namespace Ka.Tests.Nodes;

/// <summary>Node bitmaps against the plain set of integers that they stand for.</summary>
public class NodeBitsAlgebra
{
    [Fact]
    public void Every_operation_does_what_a_set_of_numbers_does()
    {
        var luck = new Random(1);
        for (var round = 0; round < 1_000; round++)
        {
            var (a, b) = (Some(luck), Some(luck));
            var (x, y) = (NodeBits.From(a), NodeBits.From(b));
            Same(a.Union(b), x | y);
            Same(a.Intersect(b), x & y);
            Same(a.Except(b), x - y);
            Assert.Equal(a.Overlaps(b), x.Overlaps(y));
            Assert.Equal(a.SetEquals(b), x.Equals(y));
            Assert.Equal(x, NodeBits.Parse(x.ToString()));
            Assert.All(Enumerable.Range(0, 300), i => Assert.Equal(a.Contains(i), x.Contains(i)));
        }
    }

    [Fact]
    public void Sets_of_the_same_numbers_are_equal_however_they_came_about()
    {
        var luck = new Random(2);
        for (var round = 0; round < 500; round++)
        {
            var (a, b) = (NodeBits.From(Some(luck)), NodeBits.From(Some(luck)));
            Assert.Equal(a, (a | b) - (b - a));
            Assert.Equal((a - b).GetHashCode(), (a - (a & b)).GetHashCode());
        }
    }

    [Theory]
    [InlineData(0), InlineData(1), InlineData(63), InlineData(64), InlineData(65), InlineData(10_000)]
    public void A_range_holds_the_numbers_below_its_end(int count) => Same(Enumerable.Range(0, count), NodeBits.Range(count));

    [Theory]
    [InlineData("x"), InlineData("3-1"), InlineData("1,,2"), InlineData("-")]
    public void What_is_no_list_of_ranges_is_refused(string text) => Assert.ThrowsAny<FormatException>(() => NodeBits.Parse(text));

    [Fact]
    public void The_empty_set_is_the_empty_text_and_has_no_first()
    {
        Assert.Equal("", NodeBits.Empty.ToString());
        Assert.Same(NodeBits.Empty, NodeBits.Parse(""));
        Assert.Throws<InvalidOperationException>(() => NodeBits.Empty.First);
        Assert.Equal(130, NodeBits.Of(130).First);
        Assert.Equal("0-2,64,130-131", NodeBits.From([131, 0, 2, 1, 64, 130, 1]).ToString());
    }

    static HashSet<int> Some(Random luck)
    {
        var (from, span) = (luck.Next(0, 200), luck.Next(1, 150));
        return [.. Enumerable.Range(0, luck.Next(0, 40)).Select(_ => from + luck.Next(span))];
    }

    static void Same(IEnumerable<int> expected, NodeBits actual)
    {
        var sorted = expected.Order().ToArray();
        Assert.Equal(sorted, actual);
        Assert.Equal((sorted.Length, sorted.Length == 0), (actual.Count, actual.IsEmpty));
    }
}
