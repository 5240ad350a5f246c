using System.Net;
using System.Text.Json;
using Ka.Core.Environments;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>Deployments that leave nodes alone which have the environment already.</summary>
public sealed class DeployingIfNeeded(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    T Get<T>()
        where T : notnull => server.App.Services.GetRequiredService<T>();

    OsEnvironment Registered => Get<EnvironmentCatalogue>().Find("debian12", 1)!;

    /// <summary>A deployment of the past; the node has been left in this state by it, or by what came after.</summary>
    void Deployed(string node, OsEnvironment environment, string state = "deployed", string? after = null)
    {
        var cluster = SimulatedDeployment.SampleCluster([node]);
        var workflow = new Workflow($"D-{Guid.NewGuid():n}"[..8], WorkflowKind.Deploy, "alice", environment, cluster, [], DateTimeOffset.UnixEpoch);
        var (fence, busy) = Get<WorkflowTable>().Accept(workflow);
        Assert.Empty(busy);
        Get<RunTable>().Add([new NodeRun(workflow.Id, node, "deploy", "sim", "alice", environment.Word, DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch, null, null, null, 0, [])]);
        Assert.True(Get<WorkflowTable>().End(workflow.Id, WorkflowState.Done, fence, DateTimeOffset.UnixEpoch));
        Get<NodeTable>().SetStates([new NodeState(node, state, environment.Word, after ?? workflow.Id, null, DateTimeOffset.UnixEpoch)]);
    }

    async Task<(HttpStatusCode, string)> AskAsync(string nodes, bool dryRun)
    {
        var reply = await server.PostAsync("deployments", $"{{\"environment\":\"debian12\",\"nodes\":\"{nodes}\",\"dryRun\":{(dryRun ? "true" : "false")},\"ifNeeded\":true}}");
        return (reply.StatusCode, await reply.Content.ReadAsStringAsync(Cancel));
    }

    [Fact]
    public async Task Only_nodes_without_this_very_environment_are_deployed()
    {
        Deployed("gris-1", Registered);
        Deployed("gris-2", Registered, after: "R-later");
        Deployed("gris-3", Registered with { Image = Registered.Image with { Sha256 = new string('a', 64) } });
        Deployed("gris-4", Registered with { Version = 2 });
        Deployed("gris-5", Registered, state: "failed");
        var (status, text) = await AskAsync("gris-[1-6]", dryRun: true);
        Assert.Equal(HttpStatusCode.OK, status);
        var plan = JsonSerializer.Deserialize(text, RestJson.Default.PlanReply)!;
        Assert.Equal(("gris-[1-2]", "gris-[3-6]", 4), (plan.Skipped, plan.Nodes, plan.Count));
    }

    [Fact]
    public async Task When_every_node_has_it_nothing_begins_and_that_is_said()
    {
        Deployed("bleu-1", Registered);
        var before = await server.Http.GetStringAsync("operations?limit=1000", Cancel);
        var (status, text) = await AskAsync("bleu-1", dryRun: false);
        Assert.Equal(HttpStatusCode.OK, status);
        var reply = JsonSerializer.Deserialize(text, RestJson.Default.OperationReply)!;
        Assert.Equal(("", "done", "bleu-1", 0), (reply.Id, reply.State, reply.Skipped, reply.Count));
        Assert.Equal(before, await server.Http.GetStringAsync("operations?limit=1000", Cancel));
        (_, text) = await AskAsync("bleu-1", dryRun: true);
        Assert.Equal((0, "bleu-1"), (JsonSerializer.Deserialize(text, RestJson.Default.PlanReply)!.Count, JsonSerializer.Deserialize(text, RestJson.Default.PlanReply)!.Skipped));
    }

    [Fact]
    public async Task Who_may_not_deploy_on_a_node_is_not_told_what_it_has()
    {
        Assert.True((await server.PostAsync("environments/debian12/1/tags", "{\"visibility\":\"shared\"}")).IsSuccessStatusCode);
        Deployed("rouge-1", Registered);
        var alice = await server.AsAsync("alice");
        var reply = await alice.PostAsync("deployments", RunningServer.Json("{\"environment\":\"debian12\",\"nodes\":\"rouge-1\",\"dryRun\":true,\"ifNeeded\":true}"), Cancel);
        Assert.Equal(HttpStatusCode.Forbidden, reply.StatusCode);
    }
}
