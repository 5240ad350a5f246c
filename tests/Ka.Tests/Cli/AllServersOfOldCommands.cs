using System.Collections.Immutable;
using Ka.Cli;
using Ka.Core.Clusters;
using Ka.Simulation;
using Ka.Tests.Server;

namespace Ka.Tests.Cli;

/// <summary>Two servers with nodes of their own beside those that both have.</summary>
public sealed class NorthAndSouth : IAsyncLifetime
{
    /// <summary>Its nodes are on whatever is done; the last one cannot be changed.</summary>
    sealed class Of(string name, byte place) : RunningServer
    {
        protected override IEnumerable<Cluster> MoreClusters
        {
            get
            {
                var sample = SimulatedDeployment.SampleCluster([.. Enumerable.Range(1, 3).Select(i => $"{name}-{i}")]);
                yield return sample with
                {
                    Name = name,
                    Nodes = [.. sample.Nodes.Select((n, i) => n with { Mac = $"52:54:00:00:{place:x2}:0{i + 1}", Address = $"10.0.{place}.{i + 1}", Power = Power(i < 2) })],
                };
            }
        }

        static PowerSettings Power(bool well) => new("command", null, 623, null, null, 17, new Dictionary<string, ImmutableArray<string>>
        {
            ["status"] = ["/usr/bin/echo", "on"], ["on"] = [well ? "/usr/bin/true" : "/usr/bin/false"],
        }.ToImmutableDictionary());
    }

    public RunningServer North { get; } = new Of("north", 20);

    public RunningServer South { get; } = new Of("south", 21);

    /// <summary>Contexts of both, and of one that is down.</summary>
    public string Contexts => North.PathOf("contexts.json");

    public async ValueTask InitializeAsync()
    {
        await North.InitializeAsync();
        await South.InitializeAsync();
        new Contexts("s", [new ServerContext("dead", "unix:" + North.PathOf("none.sock")), new ServerContext("n", "unix:" + North.PathOf("kad.sock")), new ServerContext("s", "unix:" + South.PathOf("kad.sock"))]).Write(Contexts);
    }

    public async ValueTask DisposeAsync()
    {
        await North.DisposeAsync();
        await South.DisposeAsync();
    }
}

/// <summary><c>-M</c>: one command of Kadeploy3 for nodes of all servers.</summary>
public sealed class AllServersOfOldCommands(NorthAndSouth servers) : IClassFixture<NorthAndSouth>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    Task<Told> RunAsync(string line) => InProcess.OldOverAsync(servers.Contexts, line.Split(' ')[0], line.Split(' ')[1..]);

    static async Task<string> OperationsAsync(RunningServer server) => await server.Http.GetStringAsync("operations", Cancel);

    [Fact]
    public async Task Nodes_are_divided_by_asking_each_server_and_one_that_is_down_is_left_out_with_a_message()
    {
        var (ok, ko) = (servers.North.PathOf("ok"), servers.North.PathOf("ko"));
        var said = await RunAsync($"kapower3 --on -M -l hard -m south-[1-3] -m north-1 -o {ok} -n {ko}");
        Assert.True(said.Status == 0, said.Output + said.Errors);
        Assert.Contains("dead is left out: the server at unix:", said.Errors, StringComparison.Ordinal);
        Assert.Contains("n: The power operation is successful on nodes\nn: north-1\n", said.Output, StringComparison.Ordinal);
        Assert.Contains("s: The power operation is successful on nodes\ns: south-1\ns: south-2\ns: The power operation failed on nodes\ns: south-3 (", said.Output, StringComparison.Ordinal);
        Assert.Contains("3 ok, 1 not ok on 2 servers", said.Output, StringComparison.Ordinal);
        Assert.Equal(["north-1", "south-1", "south-2"], await File.ReadAllLinesAsync(ok, Cancel));
        Assert.Equal("south-3\n", await File.ReadAllTextAsync(ko, Cancel));
    }

    [Fact]
    public async Task A_file_that_such_a_command_wrote_is_read_by_the_next()
    {
        var file = servers.North.PathOf("nodes");
        await File.WriteAllTextAsync(file, "north-2\nsouth-1\nnorth-2\n", Cancel);
        var said = await RunAsync($"kapower3 --status -M -f {file}");
        Assert.Equal((0, "n: on       north-2\ns: on       south-1\n"), (said.Status, said.Output));
        Assert.Equal(1, (await RunAsync("kapower3 --status -M -f /nowhere/nodes")).Status);
    }

    [Theory]
    [InlineData("kapower3 --on -M -m north-1 -m south-9", "no server that answers has south-9  (nodes.unknown)")]
    [InlineData("kapower3 --on -M -m north-1 -m rouge-[1-2]", "rouge-[1-2]: more than one server has this, n and s; name one with -S")]
    [InlineData("kapower3 --on -M -m north-1.site", "no server that answers has north-1.site")]
    [InlineData("kaconsole3 -M -m east-1", "no server that answers has east-1")]
    [InlineData("kapower3 --on -M -m north-[", "node set: ")]
    [InlineData("kapower3 --on -M -S n -m north-1", "-S names one server, -M means all of them")]
    public async Task What_is_of_no_server_or_of_two_is_refused_by_name_and_nothing_is_begun(string line, string says)
    {
        var before = (await OperationsAsync(servers.North), await OperationsAsync(servers.South));
        var said = await RunAsync(line);
        Assert.Equal((1, ""), (said.Status, said.Output));
        Assert.Contains(says, said.Errors, StringComparison.Ordinal);
        Assert.Equal(before, (await OperationsAsync(servers.North), await OperationsAsync(servers.South)));
    }

    [Fact]
    public async Task Without_nodes_all_servers_that_answer_are_asked()
    {
        var said = await RunAsync("kanodes3 -s -M");
        Assert.True(said.Status == 0, said.Errors);
        Assert.Contains("n: north-3,north,", said.Output, StringComparison.Ordinal);
        Assert.Contains("s: south-3,south,", said.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("dead: ", said.Output + said.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_server_that_is_known_or_answers_it_is_said()
    {
        var none = await InProcess.OldOverAsync(servers.North.PathOf("nothing.json"), "kanodes3", "-s", "-M");
        Assert.Equal((1, ""), (none.Status, none.Output));
        Assert.Contains("ka context add NAME --server ADDRESS", none.Errors, StringComparison.Ordinal);
        var file = servers.North.PathOf("down.json");
        new Contexts(null, [new ServerContext("dead", "unix:" + servers.North.PathOf("none.sock"))]).Write(file);
        var down = await InProcess.OldOverAsync(file, "kapower3", "--on", "-m", "north-1", "-M");
        Assert.Equal((1, ""), (down.Status, down.Output));
        Assert.Contains("no server answers", down.Errors, StringComparison.Ordinal);
    }
}
