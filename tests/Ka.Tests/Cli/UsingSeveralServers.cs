using System.Text.Json;
using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Tests.Server;

namespace Ka.Tests.Cli;

/// <summary>A second server beside the one of the fixture.</summary>
public sealed class TwoServers : IAsyncLifetime
{
    public RunningServer First { get; } = new();

    public RunningServer Second { get; } = new();

    public string Contexts => First.PathOf("contexts.json");

    public async ValueTask InitializeAsync()
    {
        await First.InitializeAsync();
        await Second.InitializeAsync();
        new Contexts(null, [new ServerContext("dead", "unix:" + First.PathOf("none.sock")), new ServerContext("one", "unix:" + First.PathOf("kad.sock")), new ServerContext("two", "unix:" + Second.PathOf("kad.sock"))]).Write(Contexts);
    }

    public async ValueTask DisposeAsync()
    {
        await First.DisposeAsync();
        await Second.DisposeAsync();
    }
}

/// <summary>One command line for nodes of several servers.</summary>
public sealed class UsingSeveralServers(TwoServers servers) : IClassFixture<TwoServers>
{
    Task<Told> RunAsync(params string[] words) => InProcess.RunAsync([.. words, "--contexts", servers.Contexts]);

    [Fact]
    public async Task Nodes_of_two_servers_are_switched_by_one_command_with_one_summary_and_its_files()
    {
        var (ok, ko, id) = (servers.First.PathOf("ok"), servers.First.PathOf("ko"), servers.First.PathOf("id"));
        var said = await RunAsync("power", "off", "-w", "one:rouge-[1-2],two:rouge-1", "--level", "hard", "--yes", "--ok-nodes", ok, "--ko-nodes", ko, "--write-id", id);
        Assert.True(said.Status == 0, said.Output + said.Errors);
        Assert.Contains("3 ok, 0 not ok on 2 servers", said.Output, StringComparison.Ordinal);
        Assert.Equal(["one:rouge-1", "one:rouge-2", "two:rouge-1"], (await File.ReadAllLinesAsync(ok, TestContext.Current.CancellationToken)).Order());
        Assert.Empty(await File.ReadAllLinesAsync(ko, TestContext.Current.CancellationToken));
        Assert.Equal(["one", "two"], (await File.ReadAllLinesAsync(id, TestContext.Current.CancellationToken)).Select(l => l.Split(":P-")[0]).Order());
        var status = await RunAsync("power", "status", "-w", "one:rouge-[1-2],two:rouge-[1-2]");
        Assert.Equal("one: off      rouge-[1-2]\ntwo: off      rouge-1\ntwo: on       rouge-2\n", status.Output);
    }

    [Fact]
    public async Task A_server_that_is_not_reached_is_said_for_its_nodes_and_stops_no_other()
    {
        var ko = servers.First.PathOf("ko-dead");
        var said = await RunAsync("power", "on", "-w", "dead:gris-[1-3],two:rouge-[1-3]", "--level", "hard", "--yes", "--ko-nodes", ko);
        Assert.True(said.Status == 3, said.Output + said.Errors);
        Assert.Contains("dead  not reached: gris-[1-3]", said.Output, StringComparison.Ordinal);
        Assert.Contains("2 ok, 4 not ok on 2 servers", said.Output, StringComparison.Ordinal);
        Assert.Contains("dead: ka: the server at", said.Errors, StringComparison.Ordinal);
        Assert.Equal(["dead:gris-1", "dead:gris-2", "dead:gris-3", "two:rouge-3"], await File.ReadAllLinesAsync(ko, TestContext.Current.CancellationToken));
        Assert.Equal(0, (await RunAsync("power", "on", "-w", "dead:gris-1,two:rouge-[1-3]", "--level", "hard", "--yes", "--min-nodes", "2")).Status);
        Assert.Equal(69, (await RunAsync("power", "on", "-w", "dead:gris-1", "--yes")).Status);
    }

    [Fact]
    public async Task A_refusal_of_one_server_is_said_and_the_other_goes_on()
    {
        var said = await RunAsync("deploy", "debian12", "-w", "one:gris-5,two:gris-99", "-k", servers.First.PathOf("htpasswd"), "--dry-run");
        Assert.NotEqual(0, said.Status);
        said = await RunAsync("deploy", "debian12", "-w", "one:gris-5,two:gris-99", "--dry-run");
        Assert.True(said.Status == 3, said.Output + said.Errors);
        Assert.Contains("one: Would deploy debian12:1", said.Output, StringComparison.Ordinal);
        Assert.Contains("two: ka: no cluster of this server has gris-99", said.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Lists_of_several_servers_are_one_in_every_form()
    {
        Assert.Equal("one:gris-[1-2],two:bleu-1,two:rouge-3\n", (await RunAsync("nodes", "ls", "-w", "one:gris-[1-2],two:bleu-1,two:rouge-3", "-o", "nodeset")).Output);
        Assert.Equal("one:gris-1\ntwo:bleu-1\n", (await RunAsync("nodes", "ls", "-w", "one:gris-1,two:bleu-1", "-o", "name")).Output);
        using var json = JsonDocument.Parse((await RunAsync("nodes", "ls", "-C", "one,dead", "-o", "json")).Output);
        Assert.Equal(["one 0 12", "dead 69 "], json.RootElement.EnumerateArray().Select(s => $"{s.GetProperty("server")} {s.GetProperty("status")} {(s.TryGetProperty("answer", out var a) ? a.GetArrayLength() : "")}"));
        Assert.Equal(0, (await RunAsync("ops", "ls", "-C", "one,two", "-o", "json")).Status);
    }

    [Fact]
    public async Task An_operation_is_named_with_its_context()
    {
        var made = await RunAsync("power", "cycle", "-w", "two:rouge-2", "--level", "hard", "--yes", "-o", "json", "-C", "one");
        using var json = JsonDocument.Parse(made.Output);
        var id = json.RootElement[0].GetProperty("answer").GetProperty("id").GetString();
        Assert.Equal(0, (await RunAsync("ops", "show", $"two:{id}")).Status);
        Assert.Equal(65, (await RunAsync("ops", "show", $"one:{id}")).Status);
        Assert.Equal(0, (await RunAsync("ops", "wait", id!, "-C", "two")).Status);
    }

    [Theory]
    [InlineData("nodes ls -w three:gris-1", "no context 'three'")]
    [InlineData("nodes ls -w oen:gris-1", "did you mean 'one'?")]
    [InlineData("nodes ls -C three", "no context 'three'")]
    [InlineData("nodes ls -w one:gris-1,gris-2", "'gris-2' is of no context")]
    [InlineData("nodes ls -w one:gris-1 --server unix:/x", "--server names one server")]
    [InlineData("nodes ls -C one --server unix:/x", "leave out one")]
    [InlineData("power off -w gris-1 -C one,two --yes", "say whose nodes are meant")]
    [InlineData("ops show three:D-1", "no context 'three'")]
    [InlineData("power off -w one:gris-1,two:gris-1 --no-wait --ok-nodes /dev/null --yes", "--no-wait returns before")]
    public async Task What_names_no_server_is_refused_before_anything_is_done(string line, string says)
    {
        var said = await RunAsync(line.Split(' '));
        Assert.Equal((2, ""), (said.Status, said.Output));
        Assert.Contains(says, said.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a:n[1-4],b:n1", null, null, "a=n[1-4] b=n1")]
    [InlineData("a:n1,b:m1,a:n[3,5]", null, null, "a=n1,n[3,5] b=m1")]
    [InlineData("n1,a:n2", null, "u", "u=n1 a=n2")]
    [InlineData("@rack:b3,n1", null, null, "=@rack:b3,n1")]
    [InlineData("a:@rack:b3", null, null, "a=@rack:b3")]
    [InlineData("a:n[1-4],b:n[1-4]", "a:n1,n[2-3]", null, "a=n[1-4]!n1!n[2-3] b=n[1-4]!n[2-3]")]
    public void Node_sets_are_divided_by_server(string nodes, string? without, string? usual, string parts) =>
        Assert.Equal(parts, string.Join(' ', SiteNodes.Split(nodes, without, usual).Select(p => $"{p.Site}={p.Nodes}")));

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(3, 0, 69)]
    [InlineData(69, 69, 69)]
    [InlineData(1, 69, 77)]
    [InlineData(3, 3, 1)]
    [InlineData(4, 4, 0)]
    [InlineData(130, 130, 69)]
    public void One_status_stands_for_all(int status, int one, int two) => Assert.Equal(status, SeveralServers.Status([one, two]));

    [Fact]
    public async Task Contexts_are_added_used_listed_and_forgotten()
    {
        var file = servers.First.PathOf("mine.json");
        Task<Told> Run(string line) => InProcess.RunAsync([.. line.Split(' '), "--contexts", file]);
        Assert.Equal("", (await Run("context ls -o name")).Output);
        Assert.Equal(0, (await Run($"context add lyon --server unix:{servers.First.PathOf("kad.sock")}")).Status);
        Assert.Equal(0, (await Run($"context add nancy --server https://127.0.0.1:1 --token-file {servers.First.PathOf("t")}")).Status);
        Assert.Equal(0, (await Run("context use lyon")).Status);
        Assert.Equal("gris-1\n", (await Run("nodes ls -w gris-1 -o name")).Output);
        Assert.Equal(69, (await Run("nodes ls -C nancy")).Status);
        Assert.Contains("*  lyon   unix:", (await Run("context ls")).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await Run("context rm lyon")).Status);
        Assert.Equal("nancy\n", (await Run("context ls -o name")).Output);
        Assert.Null(Contexts.Read(file).Contexts.Current);
        foreach (var wrong in (string[])["context use lyon", "context rm lyon", "context add a/b --server unix:/x", "context add a --server ftp://x", "context add a"])
            Assert.Equal(2, (await Run(wrong)).Status);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{\"servers\":[{\"name\":\"a\"}]}")]
    [InlineData("{\"servers\":[{\"name\":\"a:b\",\"server\":\"unix:/x\"}]}")]
    [InlineData("{\"servers\":[],\"servers\":[]}")]
    [InlineData("{\"severs\":[]}")]
    public async Task A_file_that_holds_no_contexts_is_refused(string text)
    {
        var file = servers.First.PathOf("bad.json");
        await File.WriteAllTextAsync(file, text, TestContext.Current.CancellationToken);
        foreach (var line in (string[])["nodes ls", "context ls"])
        {
            var said = await InProcess.RunAsync([.. line.Split(' '), "--contexts", file]);
            Assert.Equal((78, ""), (said.Status, said.Output));
            Assert.Contains("config.invalid", said.Errors, StringComparison.Ordinal);
        }
    }
}
