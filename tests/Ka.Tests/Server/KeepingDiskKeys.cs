using System.Net;
using System.Text.Json;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>The keys of encrypted disks: one for each node, the same for ever, for the server's user only.</summary>
public sealed class KeepingDiskKeys(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public void A_node_s_key_is_made_once_and_only_the_server_s_user_reads_it()
    {
        using var directory = new TemporaryDirectory();
        var keys = new DiskKeys(directory["keys"]);
        Assert.Null(keys.Find("gris-1"));
        var key = keys.Of("gris-1");
        Assert.Equal(32, key.Length);
        Assert.All(key, c => Assert.True(char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c)));
        Assert.NotEqual(key, keys.Of("gris-2"));
        Assert.Equal(key, new DiskKeys(directory["keys"]).Of("gris-1"));
        Assert.Equal(key, keys.Find("gris-1"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(directory["keys"], "gris-1.key")));
    }

    [Fact]
    public async Task The_key_is_told_to_whom_may_ask_and_never_kept_on_the_way()
    {
        var cancel = TestContext.Current.CancellationToken;
        Assert.Equal("nodes.no_key", (await RunningServer.ProblemOf(await server.Http.GetAsync("nodes/gris-6/key", cancel))).Code);
        Assert.Equal("nodes.unknown", (await RunningServer.ProblemOf(await server.Http.GetAsync("nodes/gris-99/key", cancel))).Code);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.WithoutToken.GetAsync("nodes/gris-5/key", cancel)).StatusCode);
        var key = server.App.Services.GetRequiredService<ServerSecrets>().DiskKeys.Of("gris-5");
        var reply = await server.Http.GetAsync("nodes/gris-5/key", cancel);
        Assert.True(reply.Headers.CacheControl!.NoStore);
        Assert.Equal(new NodeKeyReply("gris-5", key), JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(cancel), RestJson.Default.NodeKeyReply));
    }
}
