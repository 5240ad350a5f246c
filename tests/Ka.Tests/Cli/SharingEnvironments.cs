using System.Collections.Concurrent;
using System.Text.Json;
using Ka.Cli;
using Ka.Protocol.Rest;
using Ka.Tests.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Ka.Tests.Cli;

/// <summary><c>ka env share</c> against a server that only knows how the test ends.</summary>
public sealed class SharingEnvironments : IAsyncLifetime
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    readonly TemporaryDirectory _directory = new();
    readonly ConcurrentQueue<string> _did = new();
    WebApplication _app = null!;
    EnvironmentReply _environment = null!;

    /// <summary>How the deployment ends.</summary>
    string _ends = "done";

    /// <summary>Only its owner may share it.</summary>
    bool _isMine = true;

    /// <summary>Somebody registers other bytes while the test runs.</summary>
    bool _changes;

    public async ValueTask InitializeAsync()
    {
        _environment = new EnvironmentReply(
            "debian12", 3, "alice", "", "private", "amd64", "linux", new string('a', 64), 1, 1, "tar", "none", "ext4", "/vmlinuz", null, [], [], DateTimeOffset.UnixEpoch);
        var builder = QuietSite.Builder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(_directory["kad.sock"]));
        _app = builder.Build();
        _app.MapGet("/api/v1/environments/debian12", () => Results.Json(_environment, RestJson.Default.EnvironmentReply));
        _app.MapPost("/api/v1/environments/debian12/3/tags", async (HttpRequest request) =>
        {
            var body = (await JsonSerializer.DeserializeAsync(request.Body, RestJson.Default.TagsBody, Cancel))!;
            if (!_isMine)
                return Results.Text(
                    JsonSerializer.Serialize(new Problem(null, null, 403, "debian12:3 belongs to bob", "rights.missing", null, null, null), RestJson.Default.Problem), "application/problem+json", statusCode: 403);
            if (!body.DryRun)
                _did.Enqueue("share " + (_environment = _environment with { Visibility = body.Visibility! }).Visibility);
            return Results.Json(_environment, RestJson.Default.EnvironmentReply);
        });
        _app.MapPost("/api/v1/deployments", async (HttpRequest request) =>
        {
            var body = (await JsonSerializer.DeserializeAsync(request.Body, RestJson.Default.DeployBody, Cancel))!;
            _did.Enqueue($"deploy {body.Environment} {body.Nodes}");
            if (_changes)
                _environment = _environment with { Sha256 = new string('b', 64) };
            return Results.Json(Operation("running"), RestJson.Default.OperationReply, statusCode: 201);
        });
        _app.MapGet("/api/v1/operations/D-T/events", () =>
        {
            var happened = new OperationEvent(1, DateTimeOffset.UnixEpoch, "ended", "", 0, null, null, null, 0, [], [], _ends);
            return Results.Text($"event: operation\nid: 1\ndata: {JsonSerializer.Serialize(happened, RestJson.Default.OperationEvent)}\n\n", "text/event-stream");
        });
        _app.MapGet("/api/v1/operations/D-T", () => Results.Json(Operation(_ends), RestJson.Default.OperationReply));
        await _app.StartAsync(Cancel);
    }

    static OperationReply Operation(string state) => new(
        "D-T", "deploy", "alice", state, "debian12:3", "n1", 1, state == "done" ? "n1" : "", state == "failed" ? "n1" : "", DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch, 1, [], []);

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(Cancel);
        await _app.DisposeAsync();
        _directory.Dispose();
    }

    Task<Told> ShareAsync(params string[] words) => InProcess.RunAsync(["--server", "unix:" + _directory["kad.sock"], "--contexts", _directory["none.json"], "env", "share", "debian12", .. words]);

    [Fact]
    public async Task Without_a_test_it_is_shared_at_once()
    {
        Assert.Equal(ExitCodes.Done, (await ShareAsync()).Status);
        Assert.Equal(ExitCodes.Done, (await ShareAsync("--visibility", "public")).Status);
        Assert.Equal(["share shared", "share public"], _did);
        Assert.Equal(ExitCodes.Usage, (await ShareAsync("--visibility", "secret")).Status);
    }

    [Fact]
    public async Task After_a_test_it_is_shared_when_exactly_this_version_was_deployed_well()
    {
        Assert.Equal(ExitCodes.Done, (await ShareAsync("--after-test", "n1", "--yes")).Status);
        Assert.Equal(["deploy debian12:3 n1", "share shared"], _did);
    }

    [Theory]
    [InlineData("failed", ExitCodes.AllFailed)]
    [InlineData("partial", ExitCodes.SomeFailed)]
    [InlineData("cancelled", ExitCodes.Cancelled)]
    public async Task A_test_that_does_not_succeed_changes_nothing_and_says_what_next(string ends, int status)
    {
        _ends = ends;
        var told = await ShareAsync("--after-test", "n1", "--yes");
        Assert.Equal(status, told.Status);
        Assert.Contains("debian12:3 is not shared, it stays private", told.Errors, StringComparison.Ordinal);
        Assert.Contains("next: ka ops show D-T", told.Errors, StringComparison.Ordinal);
        Assert.Equal(["deploy debian12:3 n1"], _did);
    }

    [Fact]
    public async Task No_node_is_erased_for_what_the_caller_may_not_share()
    {
        _isMine = false;
        Assert.Equal(ExitCodes.NoRight, (await ShareAsync("--after-test", "n1", "--yes")).Status);
        Assert.Empty(_did);
    }

    [Fact]
    public async Task What_was_registered_anew_under_the_same_version_meanwhile_is_not_shared()
    {
        _changes = true;
        Assert.Equal(ExitCodes.BadData, (await ShareAsync("--after-test", "n1", "--yes")).Status);
        Assert.Equal(["deploy debian12:3 n1"], _did);
    }
}
