using System.Net;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Protocol.Rest;
using Ka.Server.Api;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>A server of a large site.</summary>
public sealed class LargeServer : RunningServer
{
    public const int Count = 5000;

    protected override IEnumerable<Cluster> MoreClusters
    {
        get
        {
            var sample = SimulatedDeployment.SampleCluster([.. Enumerable.Range(1, Count).Select(i => $"graphene-{i}")]);
            yield return sample with
            {
                Name = "graphene",
                Nodes = [.. sample.Nodes.Select((n, i) => n with { Mac = $"52:54:01:00:{i / 256:x2}:{i % 256:x2}", Address = $"10.1.{i / 250}.{i % 250 + 1}", Rack = $"rack-{i / 40}" })],
            };
        }
    }
}

public sealed class BigList(LargeServer server) : IClassFixture<LargeServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_a_server_asks_itself_when_it_starts_is_answered() =>
        Assert.Equal(HttpStatusCode.OK, await FirstAnswer.PrepareAsync(server.App.Services.GetRequiredService<Ka.Server.Hosting.Site>().Configuration, Cancel));

    [Fact]
    public async Task Five_thousand_deployed_nodes_are_listed_in_less_than_a_megabyte()
    {
        server.App.Services.GetRequiredService<NodeTable>().SetStates(Enumerable.Range(1, LargeServer.Count).Select(i => new NodeState($"graphene-{i}", "deployed", "debian12:8", null, null, DateTimeOffset.UnixEpoch.AddSeconds(i))));
        var request = new HttpRequestMessage(HttpMethod.Get, "nodes?cluster=graphene");
        request.Headers.AcceptEncoding.ParseAdd("gzip");
        var reply = await server.Http.SendAsync(request, Cancel);
        Assert.Equal((HttpStatusCode.OK, "gzip"), (reply.StatusCode, reply.Content.Headers.ContentEncoding.Single()));
        Assert.InRange(reply.Content.Headers.ContentLength!.Value, 10_000, 1_000_000);
        await using var plain = new System.IO.Compression.GZipStream(await reply.Content.ReadAsStreamAsync(Cancel), System.IO.Compression.CompressionMode.Decompress);
        var nodes = await JsonSerializer.DeserializeAsync(plain, RestJson.Default.NodeReplyArray, Cancel);
        Assert.Equal((LargeServer.Count, "deployed"), (nodes!.Length, nodes[^1].State));
        var few = await server.Http.GetByteArrayAsync("nodes?cluster=graphene&fields=name,state,environment,operation,fault", Cancel);
        Assert.InRange(few.Length, 100_000, 1_000_000);
    }
}
