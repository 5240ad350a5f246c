using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>The torrent of a public environment, and the tracker behind it.</summary>
public sealed partial class PublicTorrents(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Only_what_is_public_has_a_torrent()
    {
        var problem = await RunningServer.ProblemOf(await server.Http.GetAsync("environments/debian12/torrent", Cancel));
        Assert.Equal((403, "broadcast.unavailable"), (problem.Status, problem.Code));
    }

    [Fact]
    public async Task A_public_torrent_names_a_tracker_that_answers_until_the_environment_is_removed()
    {
        Assert.Equal(HttpStatusCode.Created, (await server.ApplyAsync(RunningServer.Description.Replace("name: debian12", "name: open\nvisibility: public", StringComparison.Ordinal))).StatusCode);
        var torrent = await server.Http.GetByteArrayAsync("environments/open/torrent", Cancel);
        var text = Encoding.Latin1.GetString(torrent);
        Assert.Contains("4:name12:open-1.image", text, StringComparison.Ordinal);
        var path = new Uri(Announce().Match(text).Groups[1].Value).AbsolutePath;
        var hash = Info().Match(text).Groups[1].Value;
#pragma warning disable CA5350
        var id = System.Security.Cryptography.SHA1.HashData(Encoding.Latin1.GetBytes(hash));
#pragma warning restore CA5350
        var query = $"?info_hash={string.Concat(id.Select(b => $"%{b:x2}"))}&peer_id=-XX0000-123456789012&port=6881&left=1";
        var nodes = server.App.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single(a => a.StartsWith("http://127.0.0.1", StringComparison.Ordinal));
        using var client = new HttpClient();
        Assert.Contains("5:peers6:", Encoding.Latin1.GetString(await client.GetByteArrayAsync(nodes.TrimEnd('/') + path + query, Cancel)), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync(nodes.TrimEnd('/') + path[..^1] + (path[^1] == '0' ? '1' : '0') + query, Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await server.Http.DeleteAsync("environments/open/1", Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync(nodes.TrimEnd('/') + path + query, Cancel)).StatusCode);
    }

    [GeneratedRegex(@"8:announce\d+:(http://[0-9.]+:\d+/announce/[0-9a-f]{64})")]
    private static partial Regex Announce();

    [GeneratedRegex("4:info(d.*e)e$", RegexOptions.Singleline)]
    private static partial Regex Info();
}
