using System.Net;
using System.Text;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>Files of the store that nothing refers to are removed, and no others.</summary>
public sealed class CollectingFiles(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    T Get<T>()
        where T : notnull => server.App.Services.GetRequiredService<T>();

    async Task<string> StoreAsync(string text, double hoursAgo = 48)
    {
        var file = Encoding.UTF8.GetBytes(text);
        Assert.True((await server.SendAsync(file)).IsSuccessStatusCode);
        Get<FileStore>().Touch(RunningServer.Digest(file), DateTimeOffset.UtcNow.AddHours(-hoursAgo));
        return RunningServer.Digest(file);
    }

    async Task<CollectReply> CollectAsync(bool dryRun = false)
    {
        var reply = await server.PostAsync("store/collect", $"{{\"olderThanSeconds\":86400,\"dryRun\":{(dryRun ? "true" : "false")}}}");
        Assert.Equal(HttpStatusCode.OK, reply.StatusCode);
        return JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.CollectReply)!;
    }

    [Fact]
    public async Task Old_files_without_a_reference_go_and_everything_else_stays()
    {
        var (forgotten, young, retried, profile) = (await StoreAsync("forgotten"), await StoreAsync("young", hoursAgo: 1), await StoreAsync("of an operation"), await StoreAsync("of a boot profile"));
        var cluster = SimulatedDeployment.SampleCluster(["rouge-3"]);
        var sample = SimulatedDeployment.SampleEnvironment;
        var workflow = new Workflow("D-ended", WorkflowKind.Deploy, "root", sample with { Image = sample.Image with { Sha256 = retried } }, cluster, [], DateTimeOffset.UtcNow);
        var (fence, _) = Get<WorkflowTable>().Accept(workflow);
        Get<WorkflowTable>().End(workflow.Id, WorkflowState.Failed, fence, DateTimeOffset.UtcNow);
        Get<NodeTable>().SetBoot("D-ended", ["rouge-3"], [], [new NodeProfile("rouge-3", "D-ended", profile, null, "quiet")]);
        var image = RunningServer.Digest(RunningServer.Image());
        foreach (var used in (string[])[image, FileManifests.Find(Get<FileStore>(), image)!])
            Get<FileStore>().Touch(used, DateTimeOffset.UtcNow.AddHours(-48));
        var before = server.Stored();
        var would = await CollectAsync(dryRun: true);
        Assert.Equal((true, forgotten, 9L), (would.DryRun, Assert.Single(would.Files).Sha256, would.Bytes));
        Assert.Equal(before, server.Stored());
        Assert.Equal(forgotten, Assert.Single((await CollectAsync()).Files).Sha256);
        Assert.Equal(before.Where(f => !f.EndsWith(forgotten, StringComparison.Ordinal)), server.Stored());
        foreach (var kept in (string[])[image, young, retried, profile, FileManifests.Find(Get<FileStore>(), image)!])
            Assert.True(Get<FileStore>().Has(kept));
    }

    [Fact]
    public async Task A_file_that_somebody_is_about_to_register_is_young_again()
    {
        var file = await StoreAsync("about to be used");
        Assert.Equal(HttpStatusCode.NoContent, (await server.Http.SendAsync(new HttpRequestMessage(HttpMethod.Head, "files/" + file), Cancel)).StatusCode);
        Assert.DoesNotContain((await CollectAsync(dryRun: true)).Files, f => f.Sha256 == file);
    }

    [Theory]
    [InlineData("{\"olderThanSeconds\":0,\"dryRun\":false}")]
    [InlineData("{\"olderThanSeconds\":1e300,\"dryRun\":false}")]
    public async Task Files_that_just_came_are_never_collected(string body) =>
        Assert.Equal("request.invalid", (await RunningServer.ProblemOf(await server.PostAsync("store/collect", body))).Code);
}
