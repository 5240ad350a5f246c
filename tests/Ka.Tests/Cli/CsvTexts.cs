using Ka.Cli.Commands;
using Ka.Core.Documents;
using Ka.Server.Configuration;

namespace Ka.Tests.Cli;

public sealed class CsvTexts
{
    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("a,b", "\"a,b\"")]
    [InlineData("say \"no\"", "\"say \"\"no\"\"\"")]
    [InlineData("two\nlines", "\"two\nlines\"")]
    [InlineData("=cmd|'/c'!A0", "'=cmd|'/c'!A0")]
    [InlineData("+1", "'+1")]
    [InlineData("@x", "'@x")]
    [InlineData("-5", "-5")]
    [InlineData("-x", "'-x")]
    [InlineData("", "")]
    public void A_field_is_quoted_where_it_must_be_and_never_a_formula(string field, string written) => Assert.Equal(written, Csv.Line(field));

    [Fact]
    public void What_is_written_is_read_again()
    {
        string[] fields = ["a", "b,c", "d\"e", "f\ng", "", "h"];
        var records = Csv.Read(Csv.Line(fields) + "\r\n# remark\n\nx,y\n", out _)!;
        Assert.Equal([1, 5], records.Select(r => r.Line));
        Assert.Equal(fields, records[0].Fields);
    }

    [Theory]
    [InlineData("a,b\nc\"d,e\n", 2)]
    [InlineData("a\n\"b,c\n", 2)]
    [InlineData("\"a\"b\n", 1)]
    public void A_broken_quote_is_told_with_its_line(string text, int line)
    {
        Assert.Null(Csv.Read(text, out var at));
        Assert.Equal(line, at);
    }

    [Fact]
    public void Nodes_of_a_csv_file_become_a_cluster_file_that_the_server_reads()
    {
        using var directory = new TemporaryDirectory();
        var errors = new List<string>();
        var yaml = NodeUseCommands.ClusterFile("bleu", "n.csv", "\uFEFFname,mac,address,rack,note\nbleu-1,52:54:00:00:00:01,10.0.0.1,\"A \"\"1\"\"\",x\nbleu-2,52:54:00:00:00:02,10.0.0.2,,\n", errors);
        Assert.Empty(errors);
        directory.Write("clusters/bleu.yaml", yaml + "defaults:\n  power: { kind: command, commands: { status: [/bin/true], on: [/bin/true], off: [/bin/true] } }\n  disk: { select: { minSize: 1GiB } }\n");
        directory.Write("ka.yaml", "server:\n  state: state\n  users: [\"unix:/run/ka/kad.sock\"]\nboot: { dhcp: off }\nclusters: [clusters/bleu.yaml]\n");
        var reading = SiteReader.Read(directory["ka.yaml"]);
        Assert.True(reading.Site is not null, string.Join('\n', reading.Findings));
        Assert.Equal([("bleu-1", "A \"1\""), ("bleu-2", null)], reading.Site!.AllNodes.Select(n => (n.Node.Name, n.Node.Rack)));
    }

    [Theory]
    [InlineData("name,mac\na,b\n", "n.csv:1: the head must have")]
    [InlineData("", "n.csv:1: the head must have")]
    [InlineData("name,mac,address\nb 1,m,a\n", "n.csv:2: 'b 1' is no node name")]
    [InlineData("name,mac,address\nb1,m,a\nb1,m,a\n", "n.csv:3: b1 stands on line 2 already")]
    [InlineData("name,mac,address\nb1,,a\n", "n.csv:2: b1 lacks mac")]
    [InlineData("name,mac,address\nb1,m\n", "n.csv:2: b1 lacks address")]
    public void What_is_wrong_with_a_csv_file_is_told_with_its_line(string text, string said)
    {
        var errors = new List<string>();
        NodeUseCommands.ClusterFile("bleu", "n.csv", text, errors);
        Assert.StartsWith(said, Assert.Single(errors), StringComparison.Ordinal);
    }
}
