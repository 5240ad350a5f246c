using System.Net;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>A store that may hold 8 MiB, of which the one registered image takes 2.</summary>
public sealed class SmallStore : RunningServer
{
    protected override long? StoreLimit => 8 << 20;

    /// <summary>Leaves nothing in the store but the registered image.</summary>
    public void Clear()
    {
        var files = App.Services.GetRequiredService<FileStore>();
        var image = Digest(Image());
        foreach (var part in Directory.EnumerateFiles(PathOf("state/files/parts")))
            File.Delete(part);
        var gone = files.All().Select(f => f.Sha256).Where(f => f != image && f != FileManifests.Find(files, image)).ToArray();
        foreach (var file in gone)
            files.Remove(file);
        App.Services.GetRequiredService<FileOrigins>().Forget(gone);
    }
}

/// <summary>A store that may hold only so much: what goes by itself, in which order, and what is refused.</summary>
public sealed class FillingTheStore : IClassFixture<SmallStore>
{
    const int MiB = 1 << 20;

    readonly SmallStore _server;

    public FillingTheStore(SmallStore server)
    {
        _server = server;
        server.Clear();
    }

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    FileStore Files => Get<FileStore>();

    T Get<T>()
        where T : notnull => _server.App.Services.GetRequiredService<T>();

    static byte[] File(char kind, int bytes = MiB) => [.. Enumerable.Repeat((byte)kind, bytes)];

    async Task<string> StoreAsync(char kind, double hoursAgo, int bytes = MiB)
    {
        var reply = await _server.SendAsync(File(kind, bytes));
        Assert.True(reply.IsSuccessStatusCode, await reply.Content.ReadAsStringAsync(Cancel));
        var digest = RunningServer.Digest(File(kind, bytes));
        Files.Touch(digest, DateTimeOffset.UtcNow.AddHours(-hoursAgo));
        return digest;
    }

    /// <summary>A body of a length that nobody announces.</summary>
    sealed class Unannounced(byte[] bytes) : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => stream.WriteAsync(bytes, Cancel).AsTask();

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }

    [Fact]
    public async Task A_full_store_lets_the_files_go_that_were_not_used_for_the_longest()
    {
        var (oldest, older, old) = (await StoreAsync('o', 72), await StoreAsync('p', 48), await StoreAsync('q', 24));
        await StoreAsync('n', hoursAgo: 0, 4 * MiB);
        Assert.Equal((false, false, true), (Files.Has(oldest), Files.Has(older), Files.Has(old)));
        Assert.True(Files.Room.Used() <= 8 * MiB);
    }

    [Fact]
    public async Task Uploads_go_before_what_can_be_fetched_again_and_that_before_what_a_repetition_would_need()
    {
        var (retried, fetched, sent) = (await StoreAsync('r', 99), await StoreAsync('f', 72), await StoreAsync('s', 2));
        Get<FileOrigins>().Add(fetched, "root", "https://images.example/f", DateTimeOffset.UtcNow);
        var sample = SimulatedDeployment.SampleEnvironment;
        var workflow = new Workflow("D-ended", WorkflowKind.Deploy, "root", sample with { Image = sample.Image with { Sha256 = retried } }, SimulatedDeployment.SampleCluster(["rouge-3"]), [], DateTimeOffset.UtcNow);
        var (fence, _) = Get<WorkflowTable>().Accept(workflow);
        Get<WorkflowTable>().End(workflow.Id, WorkflowState.Failed, fence, DateTimeOffset.UtcNow);
        var left = new List<string>();
        for (var i = 0; i < 3; i++)
        {
            await StoreAsync((char)('1' + i), hoursAgo: 0, i == 0 ? (2 * MiB) + (MiB * 3 / 4) : MiB);
            left.Add(string.Concat(new[] { (sent, "s"), (fetched, "f"), (retried, "r") }.Where(f => Files.Has(f.Item1)).Select(f => f.Item2)));
        }
        Assert.Equal(["sfr", "fr", "r"], left);
    }

    [Fact]
    public async Task What_is_used_or_young_never_goes_and_the_refusal_says_what_holds_the_room()
    {
        var (young, profile) = (await StoreAsync('y', 0.5), await StoreAsync('b', 99));
        var workflow = new Workflow("D-runs", WorkflowKind.Deploy, "root", SimulatedDeployment.SampleEnvironment, SimulatedDeployment.SampleCluster(["rouge-3"]), [], DateTimeOffset.UtcNow);
        var (fence, _) = Get<WorkflowTable>().Accept(workflow);
        Get<NodeTable>().SetBoot("D-runs", ["rouge-3"], [], [new NodeProfile("rouge-3", "D-runs", profile, null, "quiet")]);
        var image = RunningServer.Digest(RunningServer.Image());
        Files.Touch(image, DateTimeOffset.UtcNow.AddHours(-99));
        var before = _server.Stored();
        var full = await RunningServer.ProblemOf(await _server.SendAsync(File('x', 5 * MiB)));
        Assert.Equal((507, "store.full"), (full.Status, full.Code));
        Assert.Contains("ka env rm", full.Next, StringComparison.Ordinal);
        foreach (var holder in (string[])["registered environments", "boot profiles of nodes", "within 60 minutes"])
            Assert.Contains(holder, full.Evidence, StringComparison.Ordinal);
        Assert.Equal(before, _server.Stored());
        Assert.True(Files.Has(young) && Files.Has(profile) && Files.Has(image));
        Get<WorkflowTable>().End(workflow.Id, WorkflowState.Failed, fence, DateTimeOffset.UtcNow);
    }

    [Fact]
    public async Task An_upload_that_is_announced_too_large_is_refused_before_its_bytes_are_read()
    {
        var announced = new HttpRequestMessage(HttpMethod.Put, "files/" + new string('a', 64)) { Content = new Unannounced([]) };
        announced.Content.Headers.ContentLength = 7 * MiB;
        announced.Headers.ExpectContinue = true;
        Assert.Equal("store.full", (await RunningServer.ProblemOf(await _server.Http.SendAsync(announced, Cancel))).Code);
        var whole = new HttpRequestMessage(HttpMethod.Put, "files/" + new string('a', 64)) { Content = new Unannounced([]) };
        whole.Content.Headers.ContentLength = 9 * MiB;
        whole.Headers.ExpectContinue = true;
        Assert.Equal("request.too_large", (await RunningServer.ProblemOf(await _server.Http.SendAsync(whole, Cancel))).Code);
    }

    [Fact]
    public async Task An_upload_of_unknown_length_is_refused_on_its_way_and_leaves_nothing_behind()
    {
        var (used, file) = (Files.Room.Used(), File('u', 7 * MiB));
        var full = await RunningServer.ProblemOf(await _server.Http.PutAsync("files/" + RunningServer.Digest(file), new Unannounced(file), Cancel));
        Assert.Equal("store.full", full.Code);
        Assert.Equal(used, Files.Room.Used());
        Assert.Empty(Directory.EnumerateFiles(_server.PathOf("state/files/incoming")));
        Assert.True((await _server.SendAsync(File('v', 5 * MiB))).IsSuccessStatusCode);
    }

    [Fact]
    public void Who_writes_at_the_same_time_is_not_given_the_same_room()
    {
        using (var first = Files.Room.Open())
        {
            Assert.Null(first.Announce(4 * MiB));
            using var second = Files.Room.Open();
            Assert.Equal("store.full", second.Announce(4 * MiB)!.Code.Text);
        }
        using var third = Files.Room.Open();
        Assert.Null(third.Announce(4 * MiB));
    }

    [Fact]
    public async Task When_a_file_was_last_used_is_known_after_a_restart()
    {
        var (used, forgotten) = (await StoreAsync('k', 72), await StoreAsync('l', 48));
        Assert.Equal(HttpStatusCode.NoContent, (await _server.Http.SendAsync(new HttpRequestMessage(HttpMethod.Head, "files/" + used), Cancel)).StatusCode);
        await _server.RestartAsync();
        await StoreAsync('m', hoursAgo: 0, 4 * MiB);
        Assert.Equal((true, false), (Files.Has(used), Files.Has(forgotten)));
    }

    [Fact]
    public async Task Collecting_and_the_metrics_say_how_much_of_the_limit_is_used()
    {
        await StoreAsync('c', 48);
        var reply = await _server.PostAsync("store/collect", "{\"olderThanSeconds\":86400,\"dryRun\":false}");
        var found = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.CollectReply)!;
        Assert.Equal((Files.Room.Used(), 8L * MiB, (long)MiB), (found.StoreBytes, found.LimitBytes, found.Bytes));
        var metrics = await _server.Http.GetStringAsync("/metrics", Cancel);
        Assert.Contains($"ka_store_bytes {Files.Room.Used()}\n", metrics, StringComparison.Ordinal);
        Assert.Contains($"ka_store_limit_bytes {8 * MiB}\n", metrics, StringComparison.Ordinal);
    }
}
