using System.Net;
using System.Text.Json;
using Ka.Core.Rights;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Ka.Tests.Server;

/// <summary>Rights over the API, as a person and a batch scheduler give and take them.</summary>
public sealed class GivingRights(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    Task<HttpResponseMessage> GrantAsync(string subject, string nodes, string more = "") => server.PostAsync("rights", $"{{\"subject\":\"{subject}\",\"nodes\":\"{nodes}\",\"partitions\":[]{more}}}");

    static Task<HttpResponseMessage> DeployAsync(HttpClient who, string nodes, string environment = "shared") =>
        who.PostAsync("deployments", RunningServer.Json(JsonSerializer.Serialize(new DeployBody(environment, nodes, [], DryRun: false), RestJson.Default.DeployBody)), Cancel);

    async Task ShareAsync() => Assert.True((await server.ApplyAsync(RunningServer.Description.Replace("name: debian12", "name: shared\nvisibility: shared", StringComparison.Ordinal))).IsSuccessStatusCode);

    [Fact]
    public async Task A_user_works_where_a_rule_says_and_is_ended_when_it_is_taken_back()
    {
        await ShareAsync();
        var alice = await server.AsAsync("alice");
        var refused = await RunningServer.ProblemOf(await DeployAsync(alice, "gris-[1-2]"));
        Assert.Equal((403, "rights.missing", "not allowed on gris-[1-2]"), (refused.Status, refused.Code, refused.Detail));
        var granted = JsonSerializer.Deserialize(await (await GrantAsync("alice", "gris-[1-2]", ",\"source\":\"job:17\"")).Content.ReadAsStringAsync(Cancel), RestJson.Default.GrantedReply)!;
        Assert.Equal("created", granted.Change);

        refused = await RunningServer.ProblemOf(await DeployAsync(alice, "gris-[1-3]"));
        Assert.Equal("not allowed on gris-3", refused.Detail);
        Assert.Contains($"gris-[1-2]: yours by {granted.Grant.Id}", refused.Evidence!, StringComparison.Ordinal);

        var reply = await DeployAsync(alice, "gris-[1-2]");
        Assert.Equal(HttpStatusCode.Created, reply.StatusCode);
        var operation = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        Assert.Equal("alice", operation.Owner);
        var bob = await server.AsAsync("bob");
        foreach (var look in (string[])["logs", "events"])
            Assert.Equal(HttpStatusCode.Forbidden, (await bob.GetAsync($"operations/{operation.Id}/{look}", Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await bob.PostAsync($"operations/{operation.Id}/cancel", RunningServer.Json("{}"), Cancel)).StatusCode);
        Assert.Empty(JsonSerializer.Deserialize(await bob.GetStringAsync($"operations/{operation.Id}", Cancel), RestJson.Default.OperationReply)!.PerNode);

        var revoked = await server.Http.DeleteAsync("rights?source=job:17", Cancel);
        Assert.Equal(HttpStatusCode.OK, revoked.StatusCode);
        Assert.Equal([operation.Id], JsonSerializer.Deserialize(await revoked.Content.ReadAsStringAsync(Cancel), RestJson.Default.RevokedReply)!.Operations);
        OperationReply ended;
        do
        {
            ended = JsonSerializer.Deserialize(await alice.GetStringAsync($"operations/{operation.Id}", Cancel), RestJson.Default.OperationReply)!;
            await Task.Yield();
        }
        while (ended.State == "running");
        Assert.Equal(("cancelled", "rights.ended"), (ended.State, Assert.Single(ended.Failures).Code));
    }

    [Fact]
    public async Task What_is_private_is_not_there_for_others_and_what_is_public_needs_an_operator()
    {
        // Who sees an environment of the image need not send it.
        await ShareAsync();
        var alice = await server.AsAsync("alice");
        Assert.Equal(HttpStatusCode.NotFound, (await alice.GetAsync("environments/debian12", Cancel)).StatusCode);
        Assert.DoesNotContain("debian12", await alice.GetStringAsync("environments", Cancel), StringComparison.Ordinal);
        Assert.Equal("environment.unknown", (await RunningServer.ProblemOf(await DeployAsync(alice, "gris-5", "debian12"))).Code);
        var image = RunningServer.Digest(RunningServer.Image());
        async Task<(int, string?)> ApplyAsync(string text)
        {
            var reply = await alice.PostAsync("environments", RunningServer.Json(JsonSerializer.Serialize(new ApplyBody("e.yaml", text, System.Collections.Immutable.ImmutableDictionary<string, string>.Empty.Add("debian12.tar", image)), RestJson.Default.ApplyBody)), Cancel);
            return ((int)reply.StatusCode, reply.IsSuccessStatusCode ? null : (await RunningServer.ProblemOf(reply)).Code);
        }
        Assert.Equal((403, "rights.missing"), await ApplyAsync(RunningServer.Description + "version: 99\n"));
        Assert.Equal((403, "rights.role"), await ApplyAsync(RunningServer.Description.Replace("debian12\n", "alices\nvisibility: public\n", StringComparison.Ordinal)));
        Assert.Equal((201, null), await ApplyAsync(RunningServer.Description.Replace("name: debian12", "name: alices", StringComparison.Ordinal)));
        Assert.Contains("\"owner\":\"alice\"", await alice.GetStringAsync("environments/alices", Cancel), StringComparison.Ordinal);
        var bob = await server.AsAsync("bob");
        Assert.Equal(HttpStatusCode.NotFound, (await bob.DeleteAsync("environments/alices/1", Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await alice.DeleteAsync("environments/alices/1", Cancel)).StatusCode);
    }

    [Fact]
    public async Task The_check_names_the_rule_that_decides()
    {
        await GrantAsync("carl", "gris-5", ",\"until\":\"2199-01-01T00:00:00Z\"");
        var check = JsonSerializer.Deserialize(await server.Http.GetStringAsync("rights/check?subject=carl&action=deploy&nodes=gris-[5-6]", Cancel), RestJson.Default.CheckReply)!;
        Assert.Equal((false, "gris-6", 2), (check.Allowed, check.Denied, check.Parts.Length));
        Assert.Matches("^G-.{6} \\(carl on gris-5 until 2199-01-01 00:00:00Z\\)$", check.Parts[0].Reason);
        var carl = await server.AsAsync("carl");
        Assert.Contains("\"allowed\":true", await carl.GetStringAsync("rights/check?nodes=gris-5", Cancel), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.Forbidden, (await carl.GetAsync("rights/check?subject=alice&nodes=gris-5", Cancel)).StatusCode);
        var own = JsonSerializer.Deserialize(await carl.GetStringAsync("rights", Cancel), RestJson.Default.GrantReplyArray)!;
        Assert.All(own, g => Assert.Contains(g.Subject, (string[])["carl", "*"]));
    }

    [Fact]
    public async Task Granting_again_changes_nothing_and_who_wants_to_be_alone_is_refused_or_takes_over()
    {
        Assert.Equal(HttpStatusCode.Created, (await GrantAsync("dora", "gris-[6-8]")).StatusCode);
        Assert.Contains("\"unchanged\"", await (await GrantAsync("dora", "gris-[6-8]")).Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        var refused = await GrantAsync("emil", "gris-8", ",\"others\":\"refuse\"");
        Assert.Equal((409, "rights.conflict"), ((int)refused.StatusCode, (await RunningServer.ProblemOf(refused)).Code));
        Assert.Equal(HttpStatusCode.Created, (await GrantAsync("emil", "gris-8", ",\"others\":\"overwrite\"")).StatusCode);
        var rules = JsonSerializer.Deserialize(await server.Http.GetStringAsync("rights?subject=dora", Cancel), RestJson.Default.GrantReplyArray)!;
        Assert.Equal("gris-[6-7]", Assert.Single(rules).Nodes);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.DeleteAsync("rights?subject=dora&nodes=gris-6", Cancel)).StatusCode);
        Assert.Equal("gris-7", Assert.Single(JsonSerializer.Deserialize(await server.Http.GetStringAsync("rights?subject=dora", Cancel), RestJson.Default.GrantReplyArray)!).Nodes);
    }

    [Fact]
    public async Task A_node_cannot_be_taken_out_of_a_rule_for_every_node()
    {
        Assert.Equal(HttpStatusCode.Created, (await GrantAsync("fred", "*")).StatusCode);
        var refused = await server.Http.DeleteAsync("rights?subject=fred&nodes=gris-1", Cancel);
        Assert.Equal((409, "rights.conflict"), ((int)refused.StatusCode, (await RunningServer.ProblemOf(refused)).Code));
        Assert.Equal(HttpStatusCode.OK, (await server.Http.DeleteAsync("rights?subject=fred", Cancel)).StatusCode);
    }

    [Theory]
    [InlineData("\"a b\"", "gris-1", "", "rights.invalid")]
    [InlineData("\"\"", "gris-1", "", "rights.invalid")]
    [InlineData("\"alice\\u0000\"", "gris-1", "", "rights.invalid")]
    [InlineData("\"alice\"", "gris-[", "", "nodes.invalid")]
    [InlineData("\"alice\"", "gris-99", "", "nodes.unknown")]
    [InlineData("\"alice\"", "gris-1!gris-1", "", "nodes.empty")]
    [InlineData("\"alice\"", "gris-1", ",\"source\":\"job\"", "rights.invalid")]
    [InlineData("\"alice\"", "gris-1", ",\"until\":\"2001-01-01T00:00:00Z\"", "rights.invalid")]
    [InlineData("\"alice\"", "gris-1", ",\"from\":\"2199-01-02T00:00:00Z\",\"until\":\"2199-01-01T00:00:00Z\"", "rights.invalid")]
    [InlineData("\"alice\"", "gris-1", ",\"others\":\"maybe\"", "rights.invalid")]
    public async Task A_rule_that_makes_no_sense_is_refused_and_nothing_changes(string subject, string nodes, string more, string code)
    {
        var before = await server.Http.GetStringAsync("rights?ended=true", Cancel);
        var reply = await server.PostAsync("rights", $"{{\"subject\":{subject},\"nodes\":\"{nodes}\",\"partitions\":[]{more}}}");
        Assert.Equal(code, (await RunningServer.ProblemOf(reply)).Code);
        Assert.Equal(before, await server.Http.GetStringAsync("rights?ended=true", Cancel));
    }

    [Fact]
    public async Task Nobody_takes_back_everything_by_leaving_out_what() =>
        Assert.Equal("rights.invalid", (await RunningServer.ProblemOf(await server.Http.DeleteAsync("rights", Cancel))).Code);

    [Theory]
    [InlineData(60, null, 60)]
    [InlineData(null, 100, 100)]
    public void An_operation_ends_within_five_seconds_of_its_right(int? untilSeconds, int? revokedSeconds, int lost)
    {
        using var directory = new TemporaryDirectory();
        using var database = new Database(directory["ka.db"]);
        var (ended, _) = VirtualStrand.Run(async clock =>
        {
            var begin = clock.GetUtcNow();
            var grants = new GrantTable(database);
            var grant = new Grant("G-1", "alice", null, [], null, untilSeconds is { } until ? begin.AddSeconds(until) : null, null, "root", begin);
            grants.Add(grant);
            using var people = new Authentication(AuthSettings.Default, ServerSecrets.Open(directory["state"]), new TokenTable(database), new SignInTable(database), new Accounts(clock), clock);
            List<Workflow> running = [Workflow("D-1", "alice"), Workflow("D-2", "root")];
            var ends = new List<(string, double)>();
            using var stop = new CancellationTokenSource();
            var watch = new RightsWatch(
                new NodeRights(grants, clock), people, () => [.. running],
                (id, _, why) =>
                {
                    Assert.Equal("rights.ended", why.Code.Text);
                    ends.Add((id, (clock.GetUtcNow() - begin).TotalSeconds));
                    return running.RemoveAll(w => w.Id == id) > 0;
                },
                clock, NullLogger<RightsWatch>.Instance).RunAsync(stop.Token);
            if (revokedSeconds is { } seconds)
            {
                await Task.Delay(TimeSpan.FromSeconds(seconds), clock, Cancel);
                grants.Revoke([(grant, null)], "root", clock.GetUtcNow());
            }
            await Task.Delay(TimeSpan.FromSeconds(200), clock, Cancel);
            stop.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watch);
            return ends;
        });
        var (id, at) = Assert.Single(ended);
        Assert.Equal("D-1", id);
        Assert.InRange(at, lost, lost + 5);
    }

    static Workflow Workflow(string id, string owner) => new(
        id, WorkflowKind.Deploy, owner, SimulatedDeployment.SampleEnvironment, SimulatedDeployment.SampleCluster(["gris-1", "gris-2"]), [], DateTimeOffset.UnixEpoch);
}
