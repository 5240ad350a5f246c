using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Ka.Core.NodeSets;

namespace Ka.SystemTests.NodeSets;

/// <summary>The same expressions through ClusterShell itself and through <see cref="NodeSet"/>: same text, same names, same order.</summary>
public class ClusterShellJudge
{
    private const string Judge = """
        import json, sys
        from ClusterShell.NodeSet import NodeSet
        from ClusterShell.NodeUtils import GroupResolver, GroupSource
        groups = {'odd': 'n[1-99/2]', 'rack1': 'dc1n[1-20]', 'rack2': 'dc2n[1-20],@odd', 'both': '@rack[1-2]!n5', 'all': 'n[1-120],dc[1-2]n[1-30]'}
        resolver = GroupResolver(GroupSource('local', groups, groups['all']))
        for line in sys.stdin:
            try:
                nodes = NodeSet(json.loads(line), resolver=resolver)
                answer = {'fold': str(nodes), 'names': list(nodes)}
            except Exception as problem:
                answer = {'refused': type(problem).__name__ + ': ' + str(problem)}
            print(json.dumps(answer))
        """;

    private static readonly NodeSetContext Context = new(new Groups());

    [Theory]
    [InlineData(1, 2500)]
    [InlineData(2, 2500)]
    public void Random_expressions_fold_and_expand_as_ClusterShell_does(int seed, int count)
    {
        var luck = new Random(seed);
        Compare([.. Enumerable.Range(0, count).Select(_ => Expressions.Any(luck))]);
    }

    [Fact]
    public void Scattered_points_of_several_dimensions_fold_as_ClusterShell_does()
    {
        var luck = new Random(3);
        Compare([.. Enumerable.Range(0, 400).Select(_ => Expressions.Points(luck))]);
    }

    [Fact]
    public void Written_expressions_fold_and_expand_as_ClusterShell_does() => Compare(
        [
            "", "  ", "n1", "n[1-3]", "n[01-10]", "n[1-3,02-04]", "n[08,98-100]", "n[1,01,001]", "[1-3]", "1,01,001", "n[0-98/2]", "n[1-3]-ib0",
            "n1[2-3]", "n1[2-3]4", "n[1-2]3", "n[1-2]3x[4-5]6", "dc[1-2]n[1-99]!dc1n5", "a1b2,a1b3,a2b2,a2b4", "n[ 1 - 3 , 5 ]", " n1 , n2 ",
            "n[1-9]!n[3-5]&n[1-4]^n[4-8]", "@odd", "@rack1", "@rack[1-2]", "@both", "@*", "@local:*", "@local:odd", "n*", "n?", "dc1n*&@rack1", "n[1-2]*",
            "@odd!n[1-50]", "n[0-00]", "n[1/1]", "web,db,web1", "x^x", "n1^n1", "a,b!a", "n[1-3].example.org", "n1-2", "N1,n1", "@@local",
        ]);

    [Theory]
    [InlineData("n[1-3")]
    [InlineData("n1-3]")]
    [InlineData("n[1-3][4]")]
    [InlineData("n[1-2]3[4]")]
    [InlineData("n[]")]
    [InlineData("n[1,]")]
    [InlineData("n[3-1]")]
    [InlineData("n[01-3]")]
    [InlineData("n[1-5/0]")]
    [InlineData("n[1/2]")]
    [InlineData("n[a-b]")]
    [InlineData("n1,")]
    [InlineData(",n1")]
    [InlineData("n1,,n2")]
    [InlineData("!n1")]
    [InlineData("n[1-5/2]0")]
    [InlineData("n[0-12]5")]
    public void What_ClusterShell_refuses_is_refused(string text)
    {
        Assert.StartsWith("NodeSet", Assert.Single(AskJudge([text])).GetProperty("refused").GetString());
        Assert.False(NodeSet.TryParse(text, out _, out _));
    }

    private static void Compare(string[] expressions)
    {
        var answers = AskJudge(expressions);
        for (var i = 0; i < expressions.Length; i++)
        {
            var good = NodeSet.TryParse(expressions[i], Context, out var set, out var error);
            var ours = good ? $"{set}\n{string.Join(' ', set)}" : $"refused: {error}";
            var theirs = answers[i].TryGetProperty("fold", out var fold)
                ? $"{fold.GetString()}\n{string.Join(' ', answers[i].GetProperty("names").EnumerateArray().Select(name => name.GetString()))}"
                : $"refused: {answers[i].GetProperty("refused").GetString()}";
            Assert.True(ours == theirs, $"{expressions[i]}\n\nClusterShell: {theirs}\n\nKa: {ours}");
            Assert.True(!good || NodeSet.Parse(set.ToString()) == set, expressions[i]);
        }
    }

    private static JsonElement[] AskJudge(string[] expressions)
    {
        using var judge = Process.Start(new ProcessStartInfo("/usr/bin/python3")
        {
            ArgumentList = { "-c", Judge },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            StandardInputEncoding = new UTF8Encoding(false),
        })!;
        var writing = Task.Run(() =>
        {
            foreach (var expression in expressions)
            {
                judge.StandardInput.WriteLine(JsonSerializer.Serialize(expression));
            }

            judge.StandardInput.Close();
        });
        var answers = judge.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        writing.Wait();
        judge.WaitForExit();
        Assert.Equal(expressions.Length, answers.Length);
        return Array.ConvertAll(answers, answer => JsonDocument.Parse(answer).RootElement);
    }

    private sealed class Groups : IGroupSource
    {
        private static readonly Dictionary<string, string> Table = new()
        {
            ["odd"] = "n[1-99/2]",
            ["rack1"] = "dc1n[1-20]",
            ["rack2"] = "dc2n[1-20],@odd",
            ["both"] = "@rack[1-2]!n5",
            ["all"] = "n[1-120],dc[1-2]n[1-30]",
        };

        public bool TryGetGroup(string? source, string group, out string definition) =>
            Table.TryGetValue(source is null or "local" ? group : "", out definition!);

        public bool TryGetAll(string? source, out string definition) => TryGetGroup(source, "all", out definition);

        public IEnumerable<string> GroupsOf(string? source) => Table.Keys;
    }
}
