using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using Ka.Protocol.Rest;

namespace Ka.Tests.Server;

/// <summary>Nodes in and out of use, retries, the stop of everything, statistics and metrics over the API.</summary>
public sealed partial class UsingNodes(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    async Task<OperationReply> OperationAsync(string id) => JsonSerializer.Deserialize(await server.Http.GetStringAsync("operations/" + id, Cancel), RestJson.Default.OperationReply)!;

    async Task<OperationReply> EndedAsync(HttpResponseMessage accepted)
    {
        Assert.Equal(HttpStatusCode.Created, accepted.StatusCode);
        var operation = JsonSerializer.Deserialize(await accepted.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        while (operation.State == "running")
        {
            operation = await OperationAsync(operation.Id);
            await Task.Yield();
        }
        return operation;
    }

    Task<HttpResponseMessage> PowerAsync(string nodes, string action, string more = "") => server.PostAsync("power", $"{{\"nodes\":\"{nodes}\",\"action\":\"{action}\",\"level\":\"hard\",\"dryRun\":false{more}}}");

    [Fact]
    public async Task A_drained_node_is_refused_with_the_reason_until_it_is_put_back()
    {
        Assert.Equal(HttpStatusCode.OK, (await server.PostAsync("nodes/drain", "{\"nodes\":\"rouge-2\",\"reason\":\"disk sda\"}")).StatusCode);
        var problem = await RunningServer.ProblemOf(await PowerAsync("rouge-[1-2]", "on"));
        Assert.Equal((409, "nodes.drained", "rouge-2 out of use"), (problem.Status, problem.Code, problem.Detail));
        Assert.Contains("disk sda (root)", problem.Evidence!, StringComparison.Ordinal);
        Assert.Equal("nodes.drained", (await RunningServer.ProblemOf(await server.PostAsync("reboots", "{\"nodes\":\"rouge-2\",\"dryRun\":true}"))).Code);
        Assert.Equal("done", (await EndedAsync(await PowerAsync("rouge-2", "on", ",\"drained\":true"))).State);
        var node = JsonSerializer.Deserialize(await server.Http.GetStringAsync("nodes/rouge-2", Cancel), RestJson.Default.NodeReply)!;
        Assert.Equal(("disk sda", "root"), (node.Drained!.Reason, node.Drained.By));
        Assert.Contains("\"count\":1", await (await server.Http.DeleteAsync("nodes/drain?nodes=rouge-[1-3]", Cancel)).Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        Assert.Equal("done", (await EndedAsync(await PowerAsync("rouge-2", "on"))).State);
    }

    [Theory]
    [InlineData("{\"nodes\":\"rouge-2\",\"reason\":\" \"}", "request.invalid")]
    [InlineData("{\"nodes\":\"rouge-2\",\"reason\":\"a\\nb\"}", "request.invalid")]
    [InlineData("{\"nodes\":\"rouge-77\",\"reason\":\"x\"}", "nodes.unknown")]
    [InlineData("{\"nodes\":\"rouge-1!rouge-1\",\"reason\":\"x\"}", "nodes.empty")]
    public async Task A_drain_that_makes_no_sense_is_refused(string body, string code) => Assert.Equal(code, (await RunningServer.ProblemOf(await server.PostAsync("nodes/drain", body))).Code);

    [Fact]
    public async Task An_operation_is_begun_again_on_the_nodes_that_failed()
    {
        var first = await EndedAsync(await PowerAsync("rouge-[1,3]", "off"));
        Assert.Equal(("partial", "rouge-3"), (first.State, first.Failed));
        var again = await EndedAsync(await server.PostAsync($"operations/{first.Id}/retry", "{\"failed\":true,\"dryRun\":false}"));
        Assert.Equal(("rouge-3", "failed", "power off"), (again.Nodes, again.State, again.Wish));
        Assert.Equal("rouge-[1,3]", (await EndedAsync(await server.PostAsync($"operations/{first.Id}/retry", "{\"failed\":false,\"dryRun\":false}"))).Nodes);
        var well = await EndedAsync(await PowerAsync("rouge-1", "on"));
        Assert.Equal("nodes.empty", (await RunningServer.ProblemOf(await server.PostAsync($"operations/{well.Id}/retry", "{\"failed\":true,\"dryRun\":false}"))).Code);
        var alice = await server.AsAsync("alice");
        Assert.Equal(HttpStatusCode.Forbidden, (await alice.PostAsync($"operations/{first.Id}/retry", RunningServer.Json("{\"failed\":true,\"dryRun\":false}"), Cancel)).StatusCode);
    }

    [Fact]
    public async Task What_ended_is_in_the_history_of_its_nodes_in_the_statistics_and_in_the_metrics()
    {
        var ended = await EndedAsync(await PowerAsync("rouge-[2-3]", "cycle"));
        var history = JsonSerializer.Deserialize(await server.Http.GetStringAsync("nodes/rouge-3/history", Cancel), RestJson.Default.RunRowArray)!;
        var run = Assert.Single(history, r => r.Operation == ended.Id);
        Assert.Equal(("power", "failed", "power.refused", "Power", "power_cycle", "rouge"), (run.Kind, run.Result, run.Code, run.Macro, run.Step, run.Cluster));
        var runs = JsonSerializer.Deserialize(await server.Http.GetStringAsync($"stats/deploys?kind=power&operation={ended.Id}", Cancel), RestJson.Default.RunRowArray)!;
        Assert.Equal(["rouge-2", "rouge-3"], runs.Select(r => r.Node).Order());
        foreach (var report in (string[])["summary", "failing?minRuns=1", "slow?minRuns=1", "durations", "causes"])
            Assert.Contains("rouge", await server.Http.GetStringAsync("stats/" + report + (report == "causes" ? "?nodes=rouge-3" : ""), Cancel).ContinueWith(t => report == "causes" ? t.Result.Replace("power.refused", "rouge", StringComparison.Ordinal) : t.Result, Cancel), StringComparison.Ordinal);
        var metrics = await server.Http.GetStringAsync("/metrics", Cancel);
        Assert.Matches("ka_node_operations_total\\{kind=\"power\",cluster=\"rouge\",result=\"failed\",cause=\"power.refused\"\\} [1-9]", metrics);
        Assert.Matches("ka_step_duration_seconds_bucket\\{kind=\"power\",cluster=\"rouge\",macro=\"Power\",le=\"\\+Inf\"\\} [1-9]", metrics);
        Assert.Contains("ka_stopped 0\n", metrics, StringComparison.Ordinal);
        Assert.All(metrics.Split('\n').Where(l => l.Length > 0), line => Assert.Matches(Line(), line));
        Assert.All(metrics.Split('\n').Where(l => l.Length > 0 && l[0] != '#').CountBy(l => l.Split(' ')[0]), series => Assert.Equal(1, series.Value));
    }

    [Theory]
    [InlineData("stats/summary?kind=dance")]
    [InlineData("stats/failing?minRuns=0")]
    [InlineData("stats/deploys?limit=0")]
    [InlineData("stats/deploys?limit=99999999")]
    public async Task A_report_that_cannot_be_is_refused(string path) => Assert.Equal((422, "request.invalid"), await CodeAsync(path));

    [Theory]
    [InlineData("stats/summary?since=yesterday")]
    [InlineData("stats/failing?minRuns=many")]
    public async Task A_query_that_cannot_be_read_is_refused(string path) => Assert.Equal(400, (await CodeAsync(path)).Item1);

    async Task<(int, string)> CodeAsync(string path)
    {
        var problem = await RunningServer.ProblemOf(await server.Http.GetAsync(path, Cancel));
        return (problem.Status, problem.Code);
    }

    [GeneratedRegex("^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\\{[a-z_]+=\"[^\"]*\"(,[a-z_]+=\"[^\"]*\")*\\})? [-+0-9.e]+)$")]
    private static partial Regex Line();
}

/// <summary>The stop of everything, on servers of its own: it touches all.</summary>
public sealed class StoppingEverything
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_stop_ends_what_runs_refuses_what_comes_and_survives_a_restart_until_it_is_released()
    {
        var server = new RunningServer();
        await server.InitializeAsync();
        var running = JsonSerializer.Deserialize(await (await server.DeployAsync("debian12", "gris-[1-2]")).Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        var stop = await server.PostAsync("stop", "{\"reason\":\"smoke in the room\"}");
        Assert.Contains(running.Id, await stop.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        var ended = running;
        while (ended.State == "running")
        {
            ended = JsonSerializer.Deserialize(await server.Http.GetStringAsync("operations/" + running.Id, Cancel), RestJson.Default.OperationReply)!;
            await Task.Yield();
        }
        Assert.Equal(("cancelled", "server.stopped"), (ended.State, Assert.Single(ended.Failures).Code));
        await RefusedAsync(server);
        await server.RestartAsync();
        await RefusedAsync(server);
        Assert.Contains("smoke in the room", await server.Http.GetStringAsync("stop", Cancel), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.DeleteAsync("stop", Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.Created, (await server.DeployAsync("debian12", "gris-[1-2]")).StatusCode);
        await server.DisposeAsync();
    }

    static async Task RefusedAsync(RunningServer server)
    {
        foreach (var (path, body) in ((string, string)[])[("power", "{\"nodes\":\"rouge-1\",\"action\":\"on\",\"dryRun\":false}"), ("reboots", "{\"nodes\":\"rouge-1\",\"dryRun\":false}")])
            Assert.Equal("server.stopped", (await RunningServer.ProblemOf(await server.PostAsync(path, body))).Code);
        var problem = await RunningServer.ProblemOf(await server.DeployAsync("debian12", "gris-5"));
        Assert.Equal((503, "server.stopped"), (problem.Status, problem.Code));
        Assert.Contains("smoke in the room", problem.Detail!, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_operation_that_the_last_process_left_is_ended_without_a_step_when_everything_is_stopped()
    {
        var server = new RunningServer();
        await server.InitializeAsync();
        var running = JsonSerializer.Deserialize(await (await server.DeployAsync("debian12", "gris-[1-2]")).Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        await server.RestartAsync(whileDown: directory =>
        {
            using var database = new Ka.Store.Database(Path.Combine(directory, "ka.db"));
            new Ka.Store.OutOfUseTable(database).Stop(new Ka.Store.OutOfUse("fire", "olga", DateTimeOffset.UnixEpoch));
        });
        var ended = JsonSerializer.Deserialize(await server.Http.GetStringAsync("operations/" + running.Id, Cancel), RestJson.Default.OperationReply)!;
        Assert.Equal(("cancelled", "server.stopped", "gris-[1-2]"), (ended.State, Assert.Single(ended.Failures).Code, ended.Failed));
        Assert.Contains(running.Id, await server.Http.GetStringAsync("nodes/gris-1/history", Cancel), StringComparison.Ordinal);
        await server.DisposeAsync();
    }
}
