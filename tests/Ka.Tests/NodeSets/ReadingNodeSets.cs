using Ka.Core.Documents;
using Ka.Core.NodeSets;
using Ka.Yaml;

namespace Ka.Tests.NodeSets;

public class ReadingNodeSets
{
    [Theory]
    [InlineData("gris-[1-72]", 72)]
    [InlineData("gris-[01-72/2],gris-02", 37)]
    [InlineData("dc[1-2]n[1-99]", 198)]
    [InlineData("n[1-10]!n[3-5]", 7)]
    [InlineData("n[1-10]&n[3-50]", 8)]
    [InlineData("n[1-10]^n[3-50]", 42)]
    [InlineData("  ", 0)]
    public void Nodes_are_counted(string text, int count) => Assert.Equal(count, NodeSet.Parse(text).Count);

    [Theory]
    [InlineData("gris-3,gris-1,gris-2,gris-5", "gris-[1-3,5]")]
    [InlineData("dc1n1,dc1n2,dc2n1,dc2n2", "dc[1-2]n[1-2]")]
    [InlineData("n[0-6/2]", "n[0,2,4,6]")]
    [InlineData("n01,n1,n001", "n[1,01,001]")]
    [InlineData("b,a,a1", "a,a1,b")]
    [InlineData("n[1-5].site,n6.site", "n[1-6].site")]
    [InlineData("n1!n1", "")]
    public void Sets_fold_back_to_text(string text, string folded)
    {
        var set = NodeSet.Parse(text);

        Assert.Equal(folded, set.ToString());
        Assert.Equal(set, NodeSet.Parse(folded));
    }

    [Theory]
    [InlineData("node[01-96", "nodeset.syntax", 4, "[01-96")]
    [InlineData("a,node]1", "nodeset.syntax", 6, "]")]
    [InlineData("a,,b", "nodeset.syntax", 2, "")]
    [InlineData("a,", "nodeset.syntax", 1, "")]
    [InlineData("n[1][2]", "nodeset.syntax", 4, "2")]
    [InlineData("n[1,x-3]", "nodeset.bad_range", 4, "x-3")]
    [InlineData("n[9-1]", "nodeset.bad_range", 2, "9-1")]
    [InlineData("n[01-100]", "nodeset.bad_range", 2, "01-100")]
    [InlineData("n[1-3/0]", "nodeset.bad_range", 2, "1-3/0")]
    [InlineData("n[-3]", "nodeset.bad_range", 2, "-3")]
    [InlineData("n1[9-11]", "nodeset.ambiguous", 3, "9-11")]
    [InlineData("a b", "nodeset.bad_name", 1, "a b")]
    [InlineData("a,-rf", "nodeset.bad_name", 2, "-rf")]
    [InlineData("a;reboot", "nodeset.bad_name", 1, "a;reboot")]
    [InlineData("$(x)", "nodeset.bad_name", 0, "$(x)")]
    [InlineData("../n1", "nodeset.bad_name", 0, "../n1")]
    [InlineData("n1\u0000", "nodeset.bad_name", 2, "n1\u00b7")]
    [InlineData("n1234567890123456789", "nodeset.bad_name", 0, "n1234567890123456789")]
    [InlineData("node-[1-1000000000]", "nodeset.too_many", 6, "1-1000000000")]
    [InlineData("a[1-99999]b[1-99999]c[1-99999]", "nodeset.too_many", 0, "1-99999")]
    [InlineData("n[1-600000],m[1-600000]", "nodeset.too_many", 0, "n[1-600000],m[1-600000]")]
    [InlineData("@gpu", "nodeset.unknown_group", 0, "@gpu")]
    [InlineData("n1,n*", "nodeset.no_universe", 3, "n*")]
    public void A_bad_text_is_refused_with_place_and_reason(string text, string code, int position, string offending)
    {
        Assert.False(NodeSet.TryParse(text, out var set, out var error));

        Assert.Empty(set);
        Assert.Equal((code, position, offending), (error.Code, error.Position, error.Offending));
    }

    [Fact]
    public void An_error_becomes_an_error_of_the_document_it_stands_in()
    {
        NodeSet.TryParse("node[01-96", out _, out var error);

        Assert.Equal(
            "/etc/ka/clusters/graphene.yaml:2:12: error: node set: 'node[01-96' lacks ']'",
            error.At(new Location("/etc/ka/clusters/graphene.yaml", 2, 8)).ToString());
    }

    [Theory]
    [InlineData("n[1-1000000],", 8_000)]
    [InlineData("n[1-1000000/3]!", 8_000)]
    [InlineData("n[1-1000000]^", 8_000)]
    [InlineData("a[1-1000]b[1-1000]&", 30_000)]
    [InlineData("[", 1_000_000)]
    [InlineData("@", 1_000_000)]
    [InlineData("n1", 2_000_000)]
    [InlineData("n[1", 1_000_000)]
    public void Costly_texts_are_refused_early(string piece, int times)
    {
        Assert.False(NodeSet.TryParse(string.Concat(Enumerable.Repeat(piece, times)), out _, out var error));
        Assert.True(error.Offending.Length <= DocumentError.MaxOffending);
    }

    [Fact]
    public void A_hundred_thousand_names_are_one_set()
    {
        var names = string.Join(',', Enumerable.Range(1, 100_000).Reverse().Select(i => $"dc{i % 100}n{i / 100}"));

        var set = NodeSet.Parse(names);
        var grid = NodeSet.Parse("dc[0-99]n[1-999]");

        Assert.Equal(100_000, set.Count);
        Assert.Equal("dc[0-99]n[1-999]", (set & grid).ToString());
        Assert.Equal("dc[1-99]n0,dc0n1000", (set ^ grid).ToString());
        Assert.Equal("dc[0-4,6-99]n[1-999],dc5n[1-6,8-999]", (grid - NodeSet.Parse("dc5n7")).ToString());
    }

    [Fact]
    public void Groups_are_looked_up_in_their_source()
    {
        var context = new NodeSetContext(Groups());

        Assert.Equal("n[1-4]", NodeSetOf("@gpu", context));
        Assert.Equal("n[1-4,9]", NodeSetOf("@gpu,n9", context));
        Assert.Equal("n[10-19]", NodeSetOf("@racks:b1", context));
        Assert.Equal("n[10-29]", NodeSetOf("@racks:b[1-2]", context));
        Assert.Equal("n[10-29]", NodeSetOf("@racks:*", context));
        Assert.Equal("n[1-40]", NodeSetOf("@*", context));
        Assert.Equal("n[1,11,21,31]", NodeSetOf("n*1", context));
        Assert.Equal("n[1-9]", NodeSetOf("n?", context));
        Assert.Equal("n[5-9]", NodeSetOf("n?!@gpu", context));
        Assert.Equal("n7", NodeSetOf("n*", context with { Universe = NodeSet.Parse("n7") }));
        Assert.Equal("n7", NodeSetOf("@*", context with { Universe = NodeSet.Parse("n7") }));
    }

    [Theory]
    [InlineData("@gup", "nodeset.unknown_group", "did you mean 'gpu'?")]
    [InlineData("n1,@racks:b9", "nodeset.unknown_group", "did you mean 'b1'?")]
    [InlineData("@nowhere:x", "nodeset.unknown_group", null)]
    [InlineData("@loop", "nodeset.group_cycle", null)]
    [InlineData("@bad", "nodeset.syntax", null)]
    [InlineData("@", "nodeset.bad_name", null)]
    [InlineData("@a b", "nodeset.bad_name", null)]
    [InlineData("@gpu*", "nodeset.bad_name", null)]
    public void Bad_groups_are_refused(string text, string code, string? next)
    {
        Assert.False(NodeSet.TryParse(text, new NodeSetContext(Groups()), out _, out var error));
        Assert.Equal((code, next), (error.Code, error.Next));
    }

    [Fact]
    public void A_broken_group_file_says_every_place()
    {
        Assert.False(GroupFile.TryRead([("a.yaml", "local:\n  x: {a: 1}\n"), ("b.yaml", "local: [1]\n")], null, out _, out var errors));

        Assert.Equal(["a.yaml:2:6", "b.yaml:1:8", "b.yaml:1:1"], errors.Select(error => error.At.ToString()));
    }

    [Theory]
    [InlineData("gris-1", true)]
    [InlineData("a", true)]
    [InlineData("10.0.0.1", true)]
    [InlineData("", false)]
    [InlineData("-a", false)]
    [InlineData("a b", false)]
    [InlineData("a/b", false)]
    [InlineData("é", false)]
    [InlineData("a\n", false)]
    [InlineData("n[1-2]", false)]
    public void Names_are_plain_words(string text, bool good) => Assert.Equal(good, NodeName.TryParse(text, out _));

    private static string NodeSetOf(string text, NodeSetContext context)
    {
        Assert.True(NodeSet.TryParse(text, context, out var set, out var error), error?.ToString());
        return set.ToString();
    }

    private static GroupTable Groups()
    {
        const string Local = "local:\n  all: 'n[1-40]'\n  gpu: n[1-4]\n  loop: '@pool'\n  pool: n1,@loop\n  bad: 'n[1'\n";
        const string Racks = "racks:\n  b1: 'n[10-19]'\n  b2: ['n[20-24]', 'n[25-29]']\n";
        Assert.True(GroupFile.TryRead([("local.yaml", Local), ("racks.yaml", Racks)], null, out var groups, out var errors), string.Join("\n", errors));
        return groups;
    }
}
