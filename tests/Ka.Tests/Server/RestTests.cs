using System.Net;
using System.Net.ServerSentEvents;
using System.Text.Json;
using Ka.Core.BootProfiles;
using Ka.Protocol.Rest;
using Ka.Server.Boot;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

public sealed class RestTests(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_listeners_of_the_nodes_serve_nothing_of_the_people()
    {
        var addresses = server.App.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Where(a => a.Contains("127.0.0.1", StringComparison.Ordinal)).ToArray();
        Assert.Equal(2, addresses.Length);
        using var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator };
        using var client = new HttpClient(handler);
        client.DefaultRequestHeaders.Authorization = server.Http.DefaultRequestHeaders.Authorization;
        foreach (var address in addresses)
            foreach (var path in (string[])["/api/v1/nodes", "/api/v1/version", "/openapi/v1.json"])
                Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync(address.TrimEnd('/') + path, Cancel)).StatusCode);
    }

    [Fact]
    public void Nothing_is_watched_for_a_configuration_that_is_not_the_sites() =>
        Assert.DoesNotContain(((IConfigurationRoot)server.App.Configuration).Providers.OfType<FileConfigurationProvider>(), p => p.Source.ReloadOnChange);

    [Theory]
    [InlineData("-1x00000000000000000000000000000000")]
    [InlineData("x00")]
    [InlineData("99999999999999999999x00")]
    [InlineData("9x00")]
    [InlineData("0x00")]
    public void A_made_up_boot_key_finds_no_node(string key) =>
        Assert.False(server.App.Services.GetRequiredService<BootDirectory>().TryFindByKey(key, out _));

    [Fact]
    public void The_boot_key_of_a_node_finds_that_node()
    {
        var boots = server.App.Services.GetRequiredService<BootDirectory>();
        Assert.True(boots.TryFindByMac(MacAddress.Parse("52:54:00:00:00:03"), out var node));
        Assert.True(boots.TryFindByKey(node.Key, out var found));
        Assert.Equal("gris-3", found.Name.Value);
    }

    [Fact]
    public async Task A_wrong_token_is_no_token()
    {
        var request = new HttpRequestMessage(HttpMethod.Get, "nodes");
        request.Headers.Authorization = new("Bearer", new string('0', 48));
        Assert.Equal("auth.missing", (await RunningServer.ProblemOf(await server.WithoutToken.SendAsync(request, Cancel))).Code);
    }

    [Theory]
    [InlineData("debian13", "gris-5", 404, "environment.unknown")]
    [InlineData("debian12:7", "gris-5", 404, "environment.unknown")]
    [InlineData("debian12:x", "gris-5", 404, "environment.unknown")]
    [InlineData("debian12", "gris-99", 404, "nodes.unknown")]
    [InlineData("debian12", "gris-[1-", 422, "nodes.invalid")]
    [InlineData("debian12", "", 422, "nodes.invalid|nodes.empty")]
    [InlineData("debian12", "gris-1!gris-1", 422, "nodes.empty")]
    [InlineData("debian12", "gris-[1-1000]", 422, "nodes.too_many")]
    [InlineData("debian12", "gris-5,bleu-1", 422, "nodes.mixed_clusters")]
    [InlineData("debian12", "gris-[7-8]", 422, "archive.too_large")]
    public async Task A_deployment_that_cannot_be_is_refused_with_its_cause_and_nothing_changes(string environment, string nodes, int status, string code)
    {
        var reply = await server.DeployAsync(environment, nodes);
        Assert.Equal(status, (int)reply.StatusCode);
        Assert.Contains((await RunningServer.ProblemOf(reply)).Code, code.Split('|'));
        var operations = await server.Http.GetStringAsync("operations", Cancel);
        Assert.DoesNotContain(JsonSerializer.Deserialize(operations, RestJson.Default.OperationReplyArray)!, o => o.Nodes == nodes && nodes.Length > 0);
    }

    [Fact]
    public async Task A_misspelt_environment_is_guessed() =>
        Assert.Contains("did you mean 'debian12'?", (await RunningServer.ProblemOf(await server.DeployAsync("debain12", "gris-5"))).Detail);

    [Fact]
    public async Task All_that_is_wrong_is_said_at_once() =>
        Assert.Equal(2, (await RunningServer.ProblemOf(await server.DeployAsync("nothing", "gris-99"))).Errors?.Length);

    [Theory]
    [InlineData("deployments", "{", "line 1")]
    [InlineData("deployments", "{\"environment\": 7}", "$.environment")]
    [InlineData("deployments", "null", "")]
    [InlineData("deployments", "{}", "/environment")]
    [InlineData("deployments", "{\"environment\":\"debian12\",\"nodes\":null}", "$.nodes")]
    [InlineData("environments", "{}", "/text")]
    [InlineData("environments/files", "{\"file\":\"f\",\"text\":\"name: x\",\"files\":{\"a\":1}}", "$.files")]
    public async Task A_body_that_is_not_what_is_expected_is_refused_with_its_place(string path, string body, string place)
    {
        var reply = await server.PostAsync(path, body);
        Assert.Equal(HttpStatusCode.BadRequest, reply.StatusCode);
        var problem = await RunningServer.ProblemOf(reply);
        Assert.Equal("request.invalid", problem.Code);
        Assert.Contains(problem.Errors!.Value, e => e.Pointer!.Contains(place, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_dry_run_says_what_is_erased_and_takes_no_node()
    {
        var reply = await server.DeployAsync("debian12", "gris-[5-6]", dryRun: true);
        Assert.Equal(HttpStatusCode.OK, reply.StatusCode);
        var plan = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.PlanReply)!;
        Assert.Equal(("gris-[5-6]", 2, 3), (plan.Nodes, plan.Count, plan.Steps.Length));
        Assert.Single(plan.Erases);
    }

    [Fact]
    public async Task Busy_nodes_are_refused_with_their_holder_until_it_is_cancelled_and_its_events_can_be_read_from_anywhere()
    {
        var first = await server.DeployAsync("debian12", "gris-[1-2]");
        Assert.Equal(HttpStatusCode.Created, first.StatusCode);
        var operation = JsonSerializer.Deserialize(await first.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        var second = await server.DeployAsync("debian12", "gris-[2-3]");
        Assert.Equal(HttpStatusCode.Conflict, second.StatusCode);
        Assert.Contains($"gris-2 held by {operation.Id}", (await RunningServer.ProblemOf(second)).Detail);
        Assert.Equal("environment.in_use", (await RunningServer.ProblemOf(await server.Http.DeleteAsync("environments/debian12/1", Cancel))).Code);

        var cancelled = await server.PostAsync($"operations/{operation.Id}/cancel", "{}");
        Assert.Equal(HttpStatusCode.Accepted, cancelled.StatusCode);
        var events = await EventsAsync(operation.Id, 0);
        Assert.Equal(Enumerable.Range(1, events.Count).Select(i => (long)i), events.Select(e => e.Seq));
        Assert.Equal(("started", "ended", "cancelled"), (events[0].Kind, events[^1].Kind, events[^1].State));
        Assert.Equal(events.Skip(1).Select(e => e.Seq), (await EventsAsync(operation.Id, 1)).Select(e => e.Seq));
        Assert.Empty(await EventsAsync(operation.Id, events.Count));
        Assert.Equal("operation.ended", (await RunningServer.ProblemOf(await server.PostAsync($"operations/{operation.Id}/cancel", "{}"))).Code);
    }

    [Fact]
    public async Task Whoever_hears_the_end_of_an_operation_finds_it_ended_and_its_nodes_free()
    {
        for (var i = 0; i < 20; i++)
        {
            var made = await server.PostAsync("power", "{\"nodes\":\"rouge-1\",\"action\":\"cycle\",\"level\":\"hard\",\"dryRun\":false}");
            Assert.Equal(HttpStatusCode.Created, made.StatusCode);
            var id = JsonSerializer.Deserialize(await made.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!.Id;
            Assert.Equal(("ended", "done"), ((await EventsAsync(id, 0))[^1].Kind, (await ShowAsync(id)).State));
        }
    }

    [Fact]
    public async Task A_deployment_that_fails_says_where_and_why()
    {
        var reply = await server.DeployAsync("debian12:1", "gris-[5-6]");
        var operation = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        await EventsAsync(operation.Id, 0);
        var ended = await ShowAsync(operation.Id);
        var failure = Assert.Single(ended.Failures);
        Assert.Equal(("failed", "gris-[5-6]", "reboot", "power.refused"), (ended.State, failure.Nodes, failure.Step, failure.Code));
        var node = JsonSerializer.Deserialize(await server.Http.GetStringAsync("nodes/gris-5", Cancel), RestJson.Default.NodeReply)!;
        Assert.Equal(("failed", null, "power.refused"), (node.State, node.Operation, node.Fault));
    }

    [Fact]
    public async Task What_does_not_exist_is_404_everywhere()
    {
        foreach (var path in (string[])["operations/D-NONE", "operations/D-NONE/events", "operations/D-NONE/logs", "environments/none", "nodes/none", "nodes/gris-[1-2]"])
            Assert.Equal(404, (await RunningServer.ProblemOf(await server.Http.GetAsync(path, Cancel))).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await server.PostAsync("operations/D-NONE/cancel", "{}")).StatusCode);
    }

    [Fact]
    public async Task Applying_again_changes_nothing_and_another_content_is_refused()
    {
        var again = await server.ApplyAsync(RunningServer.Description);
        Assert.Equal(HttpStatusCode.OK, again.StatusCode);
        Assert.Contains("\"unchanged\"", await again.Content.ReadAsStringAsync(Cancel));
        foreach (var change in (string[])["description: another\n", "  loader: systemd-boot\n"])
        {
            var other = await server.ApplyAsync(RunningServer.Description + change);
            Assert.Equal((HttpStatusCode.Conflict, "environment.exists"), (other.StatusCode, (await RunningServer.ProblemOf(other)).Code));
        }
        var shown = JsonSerializer.Deserialize(await server.Http.GetStringAsync("environments/debian12", Cancel), RestJson.Default.EnvironmentReply)!;
        Assert.Equal(("", "/boot/vmlinuz"), (shown.Description, shown.Kernel));
    }

    [Theory]
    [InlineData("name: other\nimage: {file: missing.tar}\n", "archive.invalid", "was not sent")]
    [InlineData("name: other\nimage: {file: debian12.tar}\nboot: {kernel: /boot/none}\n", "archive.kernel_missing", "/boot/none")]
    [InlineData("name: other\nimage: {file: debian12.tar, compression: gzip}\n", "archive.invalid", "gzip")]
    [InlineData("name: other\nimage: {file: debian12.tar, digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000'}\n", "archive.digest_mismatch", "pins")]
    [InlineData("name: other\nimage: {fil: debian12.tar}\n", "environment.invalid", "error(s)")]
    public async Task A_description_that_does_not_hold_is_refused_at_its_place_and_not_registered(string text, string code, string says)
    {
        var problem = await RunningServer.ProblemOf(await server.ApplyAsync(text));
        Assert.Equal((422, code), (problem.Status, problem.Code));
        Assert.Contains(says, problem.Detail);
        Assert.StartsWith("debian12.yaml:", problem.Errors!.Value[0].Pointer);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("environments/other", Cancel)).StatusCode);
    }

    [Fact]
    public async Task A_file_with_other_bytes_than_claimed_leaves_nothing()
    {
        var claimed = new string('a', 64);
        Assert.Equal("archive.digest_mismatch", (await RunningServer.ProblemOf(await server.SendAsync([1, 2, 3], claimed))).Code);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.SendAsync(new HttpRequestMessage(HttpMethod.Head, "files/" + claimed), Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, (await server.SendAsync([1], "..%2fetc")).StatusCode);
    }

    async Task<List<OperationEvent>> EventsAsync(string id, long after)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, $"operations/{id}/events");
        if (after > 0)
            request.Headers.Add("Last-Event-ID", after.ToString());
        var reply = await server.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
        var events = new List<OperationEvent>();
        await foreach (var item in SseParser.Create(await reply.Content.ReadAsStreamAsync(Cancel)).EnumerateAsync(Cancel))
            if (item.EventType == "operation")
                events.Add(JsonSerializer.Deserialize(item.Data, RestJson.Default.OperationEvent)!);
        return events;
    }

    async Task<OperationReply> ShowAsync(string id) => JsonSerializer.Deserialize(await server.Http.GetStringAsync($"operations/{id}", Cancel), RestJson.Default.OperationReply)!;
}
