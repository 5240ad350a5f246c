using System.Net;
using System.Text.Json;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>Reboots and power over the API, with power commands that really do something.</summary>
public sealed class RebootsAndPower(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    async Task<OperationReply> EndedAsync(HttpResponseMessage accepted)
    {
        Assert.Equal(HttpStatusCode.Created, accepted.StatusCode);
        var operation = JsonSerializer.Deserialize(await accepted.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        while (operation.State == "running")
        {
            operation = JsonSerializer.Deserialize(await server.Http.GetStringAsync("operations/" + operation.Id, Cancel), RestJson.Default.OperationReply)!;
            await Task.Yield();
        }
        return operation;
    }

    Task<HttpResponseMessage> PowerAsync(string nodes, string action, string more = "") => server.PostAsync("power", $"{{\"nodes\":\"{nodes}\",\"action\":\"{action}\",\"level\":\"hard\",\"dryRun\":false{more}}}");

    async Task<string> StatusAsync(string nodes) => string.Join(' ', JsonSerializer.Deserialize(await server.Http.GetStringAsync("power?nodes=" + nodes, Cancel), RestJson.Default.PowerReplyArray)!.Select(p => p.Power));

    [Fact]
    public async Task Power_is_changed_by_an_operation_that_looks_whether_it_came_about()
    {
        var off = await EndedAsync(await PowerAsync("rouge-[1-2]", "off"));
        Assert.Equal(("power", "done", "power off", "rouge-[1-2]"), (off.Kind, off.State, off.Wish, off.Ok));
        Assert.StartsWith("P-", off.Id);
        Assert.Equal("off off on", await StatusAsync("rouge-[1-3]"));
        Assert.Equal("done", (await EndedAsync(await PowerAsync("rouge-1", "on"))).State);
        Assert.Equal("on off on", await StatusAsync("rouge-[1-3]"));
        Assert.Equal("done", (await EndedAsync(await PowerAsync("rouge-[1-2]", "cycle"))).State);
        Assert.Equal("on on on", await StatusAsync("rouge-[1-3]"));
        var partial = await EndedAsync(await PowerAsync("rouge-[1-3]", "off"));
        Assert.Equal(("partial", "rouge-[1-2]", "rouge-3", "power.refused"), (partial.State, partial.Ok, partial.Failed, Assert.Single(partial.Failures).Code));
        Assert.Equal("done", (await EndedAsync(await PowerAsync("rouge-[1-2]", "on"))).State);
    }

    [Fact]
    public async Task The_power_of_a_node_without_a_driver_is_unknown_with_its_reason()
    {
        var reply = JsonSerializer.Deserialize(await server.Http.GetStringAsync("power?nodes=gris-5", Cancel), RestJson.Default.PowerReplyArray)!;
        Assert.Equal(("unknown", "power.refused"), (Assert.Single(reply).Power, reply[0].Code));
    }

    [Theory]
    [InlineData("power", "{\"nodes\":\"rouge-1\",\"action\":\"explode\",\"dryRun\":false}", 422, "request.invalid")]
    [InlineData("power", "{\"nodes\":\"rouge-1\",\"action\":\"off\",\"level\":\"gentle\",\"dryRun\":false}", 422, "request.invalid")]
    [InlineData("power", "{\"nodes\":\"rouge-9\",\"action\":\"off\",\"dryRun\":false}", 404, "nodes.unknown")]
    [InlineData("power", "{\"nodes\":\"rouge-1!rouge-1\",\"action\":\"off\",\"dryRun\":false}", 422, "nodes.empty")]
    [InlineData("power", "{\"nodes\":\"rouge-1,gris-5\",\"action\":\"off\",\"dryRun\":false}", 422, "nodes.mixed_clusters")]
    [InlineData("reboots", "{\"nodes\":\"rouge-1\",\"dryRun\":false,\"to\":\"moon\"}", 422, "request.invalid")]
    [InlineData("reboots", "{\"nodes\":\"rouge-1\",\"dryRun\":false,\"to\":\"environment\"}", 422, "request.invalid")]
    [InlineData("reboots", "{\"nodes\":\"rouge-1\",\"dryRun\":false,\"to\":\"profile\"}", 422, "request.invalid")]
    [InlineData("reboots", "{\"nodes\":\"rouge-1\",\"dryRun\":false,\"environment\":\"nothing\"}", 404, "environment.unknown")]
    [InlineData("reboots", "{\"nodes\":\"rouge-1\",\"dryRun\":false,\"environment\":\"debian12\"}", 409, "reboot.not_deployed")]
    [InlineData("reboots", "{\"nodes\":\"rouge-1\",\"dryRun\":false,\"authorizedKeys\":[\"ssh-ed25519 AAAA me\"]}", 422, "request.invalid")]
    public async Task What_cannot_be_is_refused_with_its_cause_and_nothing_begins(string path, string body, int status, string code)
    {
        var before = await server.Http.GetStringAsync("operations?limit=1000", Cancel);
        var problem = await RunningServer.ProblemOf(await server.PostAsync(path, body));
        Assert.Equal((status, code), (problem.Status, problem.Code));
        Assert.Equal(before, await server.Http.GetStringAsync("operations?limit=1000", Cancel));
    }

    [Fact]
    public async Task A_dry_run_of_a_reboot_names_its_nodes_and_takes_none()
    {
        var reply = await server.PostAsync("reboots", "{\"nodes\":\"rouge-[1-2]\",\"dryRun\":true,\"to\":\"minimal\"}");
        Assert.Equal(HttpStatusCode.OK, reply.StatusCode);
        var would = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        Assert.Equal(("rouge-[1-2]", "reboot to minimal"), (would.Nodes, would.Wish));
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("operations/" + would.Id, Cancel)).StatusCode);
    }

    [Fact]
    public async Task A_reboot_is_refused_where_the_last_environment_is_destructive_or_unknown()
    {
        Assert.True((await server.ApplyAsync(RunningServer.Description.Replace("name: debian12", "name: wipes\ndestructive: true", StringComparison.Ordinal))).IsSuccessStatusCode);
        var nodes = server.App.Services.GetRequiredService<NodeTable>();
        var now = DateTimeOffset.UnixEpoch;
        nodes.SetStates([new NodeState("gris-5", "deployed", "debian12:1", null, null, now), new NodeState("gris-6", "deployed", "wipes:1", null, null, now), new NodeState("gris-7", "deployed", "gone:1", null, null, now)]);
        var problem = await RunningServer.ProblemOf(await server.PostAsync("reboots", "{\"nodes\":\"gris-[5-7]\",\"dryRun\":true,\"checkDestructive\":true}"));
        Assert.Equal((409, "reboot.destructive"), (problem.Status, problem.Code));
        Assert.Contains("gris-[6-7]", problem.Detail!, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, (await server.PostAsync("reboots", "{\"nodes\":\"gris-5\",\"dryRun\":true,\"checkDestructive\":true,\"environment\":\"debian12\"}")).StatusCode);
        Assert.Equal("reboot.not_deployed", (await RunningServer.ProblemOf(await server.PostAsync("reboots", "{\"nodes\":\"gris-[5-6]\",\"dryRun\":true,\"environment\":\"debian12\"}"))).Code);
    }

    [Fact]
    public async Task A_failed_reboot_leaves_the_environment_on_record_and_names_the_cause()
    {
        var nodes = server.App.Services.GetRequiredService<NodeTable>();
        nodes.SetStates([new NodeState("rouge-3", "deployed", "debian12:1", null, null, DateTimeOffset.UnixEpoch)]);
        var ended = await EndedAsync(await server.PostAsync("reboots", "{\"nodes\":\"rouge-3\",\"dryRun\":false,\"environment\":\"debian12\"}"));
        Assert.Equal(("failed", "reboot to debian12:1", "power.refused"), (ended.State, ended.Wish, Assert.Single(ended.Failures).Code));
        var node = nodes.States()["rouge-3"];
        Assert.Equal(("failed", "debian12:1", FaultCodes.PowerRefused), (node.State, node.Environment, node.Fault!.Code));
    }

    [Fact]
    public async Task Nobody_switches_or_reboots_nodes_without_a_right()
    {
        var alice = await server.AsAsync("alice");
        Assert.Equal(HttpStatusCode.Forbidden, (await alice.GetAsync("power?nodes=rouge-1", Cancel)).StatusCode);
        foreach (var (path, body) in ((string, string)[])[("power", "{\"nodes\":\"rouge-1\",\"action\":\"off\",\"dryRun\":false}"), ("reboots", "{\"nodes\":\"rouge-1\",\"dryRun\":false}")])
            Assert.Equal((403, "rights.missing"), ((int)(await alice.PostAsync(path, RunningServer.Json(body), Cancel)).StatusCode, (await RunningServer.ProblemOf(await alice.PostAsync(path, RunningServer.Json(body), Cancel))).Code));
    }
}
