using System.Collections.Concurrent;
using System.Text.Json;
using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;
using Ka.Tests.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Ka.Tests.Cli;

/// <summary><c>ka deploy --waves</c> against a server that only knows how each operation ends.</summary>
public sealed class DeployingInWaves : IAsyncLifetime
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    readonly TemporaryDirectory _directory = new();
    readonly ConcurrentQueue<string> _begun = new();
    WebApplication _app = null!;

    /// <summary>Nodes that fail, whenever their turn comes.</summary>
    NodeSet _bad = NodeSet.Empty;

    /// <summary>Nodes that have the environment already.</summary>
    NodeSet _there = NodeSet.Empty;

    public async ValueTask InitializeAsync()
    {
        var builder = QuietSite.Builder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenUnixSocket(_directory["kad.sock"]));
        _app = builder.Build();
        _app.MapPost("/api/v1/deployments", async (HttpRequest request) =>
        {
            var body = (await JsonSerializer.DeserializeAsync(request.Body, RestJson.Default.DeployBody, Cancel))!;
            var nodes = NodeSet.Parse(body.Nodes) - (body.IfNeeded ? _there : NodeSet.Empty);
            if (body.DryRun)
                return Results.Json(new PlanReply("debian12:1", new string('0', 64), 1, 1, nodes.ToString(), nodes.Count, [], []) { Skipped = body.IfNeeded ? _there.ToString() : null }, RestJson.Default.PlanReply);
            _begun.Enqueue(nodes.ToString() + (body.ConfirmNodes is { } confirmed ? $" confirmed {confirmed}" : ""));
            return Results.Json(Operation(nodes, "running"), RestJson.Default.OperationReply, statusCode: 201);
        });
        _app.MapGet("/api/v1/operations/{id}/events", (string id) =>
        {
            var happened = new OperationEvent(1, DateTimeOffset.UnixEpoch, "ended", "", 0, null, null, null, 0, [], [], Operation(Of(id), "ended").State);
            return Results.Text($"event: operation\nid: 1\ndata: {JsonSerializer.Serialize(happened, RestJson.Default.OperationEvent)}\n\n", "text/event-stream");
        });
        _app.MapGet("/api/v1/operations/{id}", (string id) => Results.Json(Operation(Of(id), "ended"), RestJson.Default.OperationReply));
        await _app.StartAsync(Cancel);
    }

    static NodeSet Of(string id) => NodeSet.Parse(id["D-".Length..].Replace('_', ','));

    OperationReply Operation(NodeSet nodes, string state)
    {
        var failed = nodes & _bad;
        var ended = failed.IsEmpty ? "done" : failed == nodes ? "failed" : "partial";
        return new OperationReply(
            "D-" + string.Join('_', nodes.Select(n => n.Value)), "deploy", "alice", state == "running" ? state : ended, "debian12:1", nodes.ToString(), nodes.Count,
            (nodes - failed).ToString(), failed.ToString(), DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch, 1, [], []);
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(Cancel);
        await _app.DisposeAsync();
        _directory.Dispose();
    }

    Task<int> DeployAsync(params string[] words) =>
        CommandTree.Build().Parse(["--server", "unix:" + _directory["kad.sock"], "-q", "deploy", "debian12", "-w", "n[1-10]", "--yes", .. words]).InvokeAsync(cancellationToken: Cancel);

    [Fact]
    public async Task Each_wave_begins_when_the_one_before_has_ended_well()
    {
        Assert.Equal(ExitCodes.Done, await DeployAsync("--waves", "1,50%,100%", "--ok-nodes", _directory["ok"], "--write-id", _directory["id"], "--confirm-nodes", "10"));
        Assert.Equal(["n1 confirmed 1", "n[2-5] confirmed 4", "n[6-10] confirmed 5"], _begun);
        Assert.Equal(10, (await File.ReadAllLinesAsync(_directory["ok"], Cancel)).Length);
        Assert.Equal(["D-n1", "D-n2_n3_n4_n5", "D-n6_n7_n8_n9_n10"], await File.ReadAllLinesAsync(_directory["id"], Cancel));
    }

    [Fact]
    public async Task A_wave_that_fails_on_too_many_is_the_last()
    {
        _bad = NodeSet.Parse("n[3-4]");
        Assert.Equal(ExitCodes.SomeFailed, await DeployAsync("--waves", "20%,60%,100%", "--max-failed", "40%", "--ko-nodes", _directory["ko"]));
        Assert.Equal(["n[1-2]", "n[3-6]"], _begun);
        Assert.Equal(["n3", "n4"], await File.ReadAllLinesAsync(_directory["ko"], Cancel));
    }

    [Fact]
    public async Task A_wave_that_fails_on_few_is_followed_by_the_next_and_the_whole_is_partial()
    {
        _bad = NodeSet.Parse("n3");
        Assert.Equal(ExitCodes.SomeFailed, await DeployAsync("--waves", "60%,100%", "--max-failed", "20%"));
        Assert.Equal(["n[1-6]", "n[7-10]"], _begun);
    }

    [Fact]
    public async Task A_first_wave_of_nothing_but_failures_is_a_failure_of_all()
    {
        _bad = NodeSet.Parse("n1");
        Assert.Equal(ExitCodes.AllFailed, await DeployAsync("--waves", "1,100%"));
        Assert.Equal(["n1"], _begun);
    }

    [Fact]
    public async Task Only_nodes_that_need_it_are_cut_into_waves()
    {
        _there = NodeSet.Parse("n[1-8]");
        Assert.Equal(ExitCodes.Done, await DeployAsync("--waves", "50%,100%", "--if-needed"));
        Assert.Equal(["n9", "n10"], _begun);
        _there = NodeSet.Parse("n[1-10]");
        Assert.Equal(ExitCodes.Done, await DeployAsync("--waves", "50%,100%", "--if-needed"));
        Assert.Equal(2, _begun.Count);
    }

    [Theory]
    [InlineData("--waves 50%,10%,100%")]
    [InlineData("--waves 10%,50%")]
    [InlineData("--waves 11,100%")]
    [InlineData("--waves ten,100%")]
    [InlineData("--waves 100% --max-failed 3")]
    [InlineData("--waves 100% --no-wait")]
    [InlineData("--waves 100% --confirm-nodes 9")]
    public async Task Waves_that_make_no_sense_are_refused_before_anything_begins(string words)
    {
        Assert.Equal(ExitCodes.Usage, await DeployAsync(words.Split(' ')));
        Assert.Empty(_begun);
    }

    [Fact]
    public void Of_few_nodes_a_share_may_add_none()
    {
        Assert.True(Waves.TryCut("1%,2%,100%", NodeSet.Parse("n[1-3]"), out var waves, out _));
        Assert.Equal(["n1", "n[2-3]"], waves.Select(w => w.ToString()));
    }
}
