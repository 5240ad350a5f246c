using Ka.Core.NodeSets;
using Ka.Protocol.Rest;
using Ka.Tests.Cli;
using Ka.Tests.Server;

namespace Ka.Tests.BadInputs;

/// <summary>Node lists that are none: said with their place, before anything is begun.</summary>
public sealed class NodeLists(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static TheoryData<string, string> Wrong => new()
    {
        { "gris-[", "nodes.invalid" }, { "gris-[]", "nodes.invalid" }, { "gris-]", "nodes.invalid" }, { "gris-[5-1]", "nodes.invalid" }, { "gris-[1-2-3]", "nodes.invalid" },
        { "gris-[1,,2]", "nodes.invalid" }, { "gris-[,1]", "nodes.invalid" }, { "gris-[1,]", "nodes.invalid" }, { "gris-[01-100]", "nodes.invalid" }, { "gris-[1-03]", "nodes.invalid" },
        { "gris-[a-c]", "nodes.invalid" }, { "gris-[1-3][4-6]", "nodes.invalid" }, { "gris-[1-[2-3]]", "nodes.invalid" }, { "gris-{1..3}", "nodes.invalid" },
        { "gris-[1-1000000000]", "nodes.too_many" }, { "gris-[18446744073709551616]", "nodes.invalid" }, { "gris-[-1]", "nodes.invalid" }, { "gris-[0x1-0x3]", "nodes.invalid" },
        { "gris-[٣]", "nodes.invalid" }, { "gris-[1/0]", "nodes.invalid" }, { "gris-[1-8/0]", "nodes.invalid" }, { "gris 1", "nodes.invalid" }, { "gris-1 gris-2", "nodes.invalid" },
        { "gris-1,", "nodes.invalid" }, { ",gris-1", "nodes.invalid" }, { "gris-1,,gris-2", "nodes.invalid" }, { "gris-1!", "nodes.invalid" }, { "!gris-1", "nodes.invalid" }, { "gris-1&&gris-2", "nodes.invalid" },
        { "gris-1.", "nodes.unknown|nodes.invalid" }, { "gris-1..site", "nodes.unknown|nodes.invalid" }, { "gris_1", "nodes.unknown|nodes.invalid" }, { "GRIS-1", "nodes.unknown" }, { "gris-01", "nodes.unknown" },
        { "gris-1.site", "nodes.unknown" }, { "1", "nodes.unknown" }, { "gris", "nodes.unknown" }, { "ris-1", "nodes.unknown" }, { "gris-", "nodes.unknown|nodes.invalid" }, { "10.0.0.1", "nodes.unknown" },
        { "::1", "nodes.invalid" }, { "10.0.0.[250-300]", "nodes.too_many|nodes.unknown" }, { "gris-[1-9]", "nodes.unknown" }, { "gris-[7-9],noir-1", "nodes.unknown" },
        { "", "nodes.empty|nodes.invalid" }, { "   ", "nodes.empty|nodes.invalid" }, { "gris-1!gris-1", "nodes.empty" }, { "gris-1&gris-2", "nodes.empty" }, { "gris-[1-8]!gris-*", "nodes.empty" },
        { "@nothing", "nodes.invalid" }, { "@", "nodes.invalid" }, { "@@gpu", "nodes.invalid|nodes.empty" }, { "nancy:gris-1", "nodes.invalid" }, { "$(touch x)", "nodes.invalid" }, { "`id`", "nodes.invalid" },
        { "; reboot", "nodes.invalid" }, { "| nc", "nodes.invalid" }, { "-rf", "nodes.invalid" }, { "--nodes", "nodes.invalid" }, { "%s%n", "nodes.invalid" }, { "../../etc/passwd", "nodes.invalid" },
        { "/abs", "nodes.invalid" }, { "\\\\host\\x", "nodes.invalid" }, { "%2e%2e%2f", "nodes.invalid" }, { "gris-1\0", "nodes.invalid" }, { "gris-1\r\ngris-2", "nodes.invalid" }, { "gris-1\u001b[31m", "nodes.invalid" },
        { "gris-1\u202e", "nodes.invalid" }, { "gris-1\u200b", "nodes.invalid" }, { "gri\u0301s-1", "nodes.invalid" }, { "gr\u0131s-1", "nodes.invalid" }, { "'or 1=1--", "nodes.invalid" },
        { "{{7*7}}", "nodes.invalid" }, { "${net0/mac}", "nodes.invalid" }, { "<x>", "nodes.invalid" }, { "(a+)+$", "nodes.invalid" }, { "all", "nodes.unknown" }, { "none", "nodes.unknown" }, { "null", "nodes.unknown" },
    };

    [Theory, MemberData(nameof(Wrong))]
    public async Task A_node_list_that_is_none_is_refused_with_its_cause_and_nothing_is_begun(string nodes, string codes)
    {
        var before = await server.Http.GetStringAsync("operations", Cancel);
        var problem = await RunningServer.ProblemOf(await server.PostAsync("power", System.Text.Json.JsonSerializer.Serialize(new PowerBody(nodes, "off", "hard", false), RestJson.Default.PowerBody)));
        Assert.Contains(problem.Code, codes.Split('|'));
        Assert.InRange(problem.Status, 404, 422);
        Assert.DoesNotContain(problem.Detail!, char.IsControl);
        Assert.True(problem.Detail!.Length < 600, problem.Detail);
        if (problem.Code == "nodes.invalid")
            Assert.Matches("character [0-9]+", problem.Detail!);
        Assert.Equal(before, await server.Http.GetStringAsync("operations", Cancel));
    }

    [Fact]
    public void A_name_of_more_than_253_characters_or_a_label_of_more_than_63_is_none()
    {
        Assert.False(NodeSet.TryParse(new string('a', 300), out _, out _));
        Assert.False(NodeSet.TryParse(string.Join('.', Enumerable.Repeat(new string('a', 60), 5)), out _, out _));
    }

    [Fact]
    public async Task All_that_are_unknown_are_named_and_a_node_named_twice_is_one()
    {
        Assert.Contains("gris-[9-10],noir-[1-3]", (await RunningServer.ProblemOf(await server.DeployAsync("debian12", "gris-[8-10],noir-[1-3]"))).Detail!, StringComparison.Ordinal);
        Assert.Contains("\"count\":2", await (await server.DeployAsync("debian12", "gris-5,gris-6,gris-5,gris-[5-6]", dryRun: true)).Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_allowed_and_forbidden_nodes_all_are_refused_and_the_forbidden_named()
    {
        await server.PostAsync("rights", """{"subject":"lists","nodes":"rouge-1","partitions":[]}""");
        var http = await server.AsAsync("lists");
        var problem = await RunningServer.ProblemOf(await http.PostAsync("power", RunningServer.Json("""{"nodes":"rouge-[1-2]","action":"off","level":"hard","dryRun":false}"""), Cancel));
        Assert.Equal((403, "rights.missing"), (problem.Status, problem.Code));
        Assert.Contains("rouge-2", problem.Detail!, StringComparison.Ordinal);
        Assert.DoesNotContain("rouge-[1-2]", problem.Detail!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("rouge-1\nrouge-2 # not this\n\n# nor this\n", 0, "rouge-1\nrouge-2\n")]
    [InlineData("\ufeffrouge-1\r\nrouge-2\r\n", 0, "rouge-1\nrouge-2\n")]
    [InlineData("", 65, "")]
    [InlineData("# nothing\n", 65, "")]
    [InlineData("rouge-1\0\n", 65, "")]
    [InlineData("rouge-1 rouge-2\n", 65, "")]
    [InlineData("rouge-[1-\n2]\n", 65, "")]
    public async Task A_file_of_nodes_is_read_or_refused(string text, int status, string names)
    {
        var file = server.PathOf("nodes-" + Guid.NewGuid().ToString("N"));
        await File.WriteAllTextAsync(file, text, Cancel);
        var said = await InProcess.RunAsync("power", "status", "--nodes-file", file, "-o", "name", "-S", "unix:" + server.PathOf("kad.sock"), "--contexts", server.PathOf("none.json"));
        Assert.True(said.Status == status, said.Errors);
        Assert.Equal(names, string.Concat(said.Output.Split('\n').Where(l => l.Length > 0).Select(l => l.Split(' ')[0] + "\n")));
    }

    [Theory]
    [InlineData("/nowhere/x")]
    [InlineData("/")]
    [InlineData("/dev/zero")]
    public async Task A_file_that_cannot_be_one_of_nodes_is_refused(string file)
    {
        var said = await InProcess.RunAsync("power", "off", "--yes", "--nodes-file", file, "-S", "unix:" + server.PathOf("kad.sock"), "--contexts", server.PathOf("none.json"));
        Assert.Equal((65, ""), (said.Status, said.Output));
        Assert.Contains("nodes.invalid", said.Errors, StringComparison.Ordinal);
    }
}
