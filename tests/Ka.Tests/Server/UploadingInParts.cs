using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>Files that come in parts: each attempt goes on where the one before stopped.</summary>
public sealed class UploadingInParts : IClassFixture<SmallStore>
{
    readonly SmallStore _server;

    public UploadingInParts(SmallStore server)
    {
        _server = server;
        server.Clear();
    }

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static readonly byte[] File = [.. Enumerable.Range(0, 1000).Select(i => (byte)i)];

    static readonly string Digest = RunningServer.Digest(File);

    FileStore Files => _server.App.Services.GetRequiredService<FileStore>();

    FileParts Parts => _server.App.Services.GetRequiredService<FileParts>();

    async Task<HttpResponseMessage> AppendAsync(int from, int to, bool complete, HttpClient? who = null, string query = "", byte[]? file = null, string? digest = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Patch, $"files/{digest ?? Digest}{query}") { Content = new ByteArrayContent((file ?? File)[from..to]) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/partial-upload");
        request.Headers.Add("Upload-Offset", from.ToString(CultureInfo.InvariantCulture));
        request.Headers.Add("Upload-Complete", complete ? "?1" : "?0");
        return await (who ?? _server.Http).SendAsync(request, Cancel);
    }

    /// <summary>Status, offset and whether it is whole.</summary>
    static (HttpStatusCode, string?, string?) Stand(HttpResponseMessage reply) => (reply.StatusCode, Header(reply, "Upload-Offset"), Header(reply, "Upload-Complete"));

    static string? Header(HttpResponseMessage reply, string name) => reply.Headers.TryGetValues(name, out var values) ? values.Single() : null;

    async Task<(HttpStatusCode, string?, string?)> HeadAsync(HttpClient? who = null, string query = "") =>
        Stand(await (who ?? _server.Http).SendAsync(new HttpRequestMessage(HttpMethod.Head, $"files/{Digest}{query}"), Cancel));

    /// <summary>Begins to send 1000 bytes, and after 600 of them nothing more comes.</summary>
    async Task<Socket> StallAsync()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(_server.PathOf("kad.sock")), Cancel);
        var head = $"PATCH /api/v1/files/{Digest} HTTP/1.1\r\nHost: ka\r\nContent-Type: application/partial-upload\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\nContent-Length: 1000\r\n\r\n";
        await socket.SendAsync((byte[])[.. Encoding.ASCII.GetBytes(head), .. File[..600]], Cancel);
        while (Parts.Offset(Digest, Environment.UserName) is not 600)
            await Task.Delay(1, Cancel);
        return socket;
    }

    [Fact]
    public async Task An_upload_goes_on_where_it_stopped_and_is_taken_when_it_is_whole()
    {
        Assert.Equal((HttpStatusCode.NotFound, null, null), await HeadAsync());
        Assert.Equal((HttpStatusCode.NoContent, "400", "?0"), Stand(await AppendAsync(0, 400, complete: false)));
        Assert.Equal((HttpStatusCode.NoContent, "400", "?0"), await HeadAsync());
        Assert.False(Files.Has(Digest));
        Assert.Equal((HttpStatusCode.NoContent, "1000", "?1"), Stand(await AppendAsync(400, 1000, complete: true)));
        Assert.Equal((HttpStatusCode.NoContent, "1000", "?1"), await HeadAsync());
        Assert.Equal(File, await System.IO.File.ReadAllBytesAsync(Files.PathOf(Digest), Cancel));
        Assert.Empty(Parts.All());
    }

    [Fact]
    public async Task A_wrong_offset_is_refused_with_the_right_one()
    {
        await AppendAsync(0, 400, complete: false);
        foreach (var from in (int[])[0, 300, 500])
        {
            var reply = await AppendAsync(from, 1000, complete: true);
            Assert.Equal((HttpStatusCode.Conflict, "400", "?0"), Stand(reply));
            Assert.Equal("upload.offset", (await RunningServer.ProblemOf(reply)).Code);
        }
        Assert.Equal((HttpStatusCode.NoContent, "1000", "?1"), Stand(await AppendAsync(400, 1000, complete: true)));
    }

    [Theory]
    [InlineData("application/octet-stream", "0", "?1", "request.media_type")]
    [InlineData("application/partial-upload", "-1", "?1", "request.invalid")]
    [InlineData("application/partial-upload", "0", "yes", "request.invalid")]
    public async Task What_is_no_attempt_to_go_on_is_refused(string type, string offset, string complete, string code)
    {
        var request = new HttpRequestMessage(HttpMethod.Patch, "files/" + Digest) { Content = new ByteArrayContent(File) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(type);
        request.Headers.TryAddWithoutValidation("Upload-Offset", offset);
        request.Headers.TryAddWithoutValidation("Upload-Complete", complete);
        Assert.Equal(code, (await RunningServer.ProblemOf(await _server.Http.SendAsync(request, Cancel))).Code);
        Assert.Empty(Parts.All());
    }

    [Fact]
    public async Task What_came_before_the_connection_broke_stays_also_when_the_server_is_started_again()
    {
        (await StallAsync()).Dispose();
        await _server.RestartAsync();
        Assert.Equal((HttpStatusCode.NoContent, "600", "?0"), await HeadAsync(_server.Local));
        Assert.Equal((HttpStatusCode.NoContent, "1000", "?1"), Stand(await AppendAsync(600, 1000, complete: true, _server.Local)));
    }

    [Fact]
    public async Task Who_comes_again_takes_over_from_a_connection_that_is_dead_and_not_known_to_be()
    {
        using var dead = await StallAsync();
        Assert.Equal((HttpStatusCode.NoContent, "1000", "?1"), Stand(await AppendAsync(600, 1000, complete: true, _server.Local)));
        Assert.Equal(File, await System.IO.File.ReadAllBytesAsync(Files.PathOf(Digest), Cancel));
    }

    [Fact]
    public async Task Other_bytes_than_those_of_the_digest_leave_nothing_behind()
    {
        var used = Files.Room.Used();
        await AppendAsync(0, 400, complete: false);
        var wrong = await AppendAsync(400, 1000, complete: true, file: new byte[1000]);
        Assert.Equal("archive.digest_mismatch", (await RunningServer.ProblemOf(wrong)).Code);
        Assert.Equal((HttpStatusCode.NotFound, null, null), await HeadAsync());
        Assert.Equal(used, Files.Room.Used());
    }

    [Fact]
    public async Task Two_people_who_send_the_same_digest_do_not_spoil_it_for_each_other()
    {
        var (alice, bob) = (await _server.AsAsync("alice"), await _server.AsAsync("bob"));
        await AppendAsync(0, 400, complete: false, alice);
        Assert.Equal((HttpStatusCode.NotFound, null, null), await HeadAsync(bob));
        Assert.Equal((HttpStatusCode.NoContent, "700", "?0"), Stand(await AppendAsync(0, 700, complete: false, bob, file: new byte[1000])));
        Assert.Equal((HttpStatusCode.NoContent, "1000", "?1"), Stand(await AppendAsync(400, 1000, complete: true, alice)));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await AppendAsync(700, 1000, complete: true, bob, file: new byte[1000])).StatusCode);
        Assert.Equal(File, await System.IO.File.ReadAllBytesAsync(Files.PathOf(Digest), Cancel));
    }

    [Fact]
    public async Task Only_who_began_an_upload_or_an_administrator_goes_on_with_it()
    {
        var (alice, bob, olga) = (await _server.AsAsync("alice"), await _server.AsAsync("bob"), await _server.AsAsync("olga"));
        await AppendAsync(0, 400, complete: false, alice);
        foreach (var other in (HttpClient[])[bob, olga])
        {
            Assert.Equal(HttpStatusCode.NotFound, (await HeadAsync(other, "?owner=alice")).Item1);
            Assert.Equal("rights.role", (await RunningServer.ProblemOf(await AppendAsync(400, 1000, complete: true, other, "?owner=alice"))).Code);
        }
        Assert.Equal((HttpStatusCode.NoContent, "400", "?0"), await HeadAsync(query: "?owner=alice"));
        Assert.Equal((HttpStatusCode.NoContent, "1000", "?1"), Stand(await AppendAsync(400, 1000, complete: true, query: "?owner=alice")));
        Assert.Equal((HttpStatusCode.NoContent, "1000", "?1"), await HeadAsync(alice));
    }

    [Fact]
    public async Task Parts_that_nobody_goes_on_with_are_collected_by_age()
    {
        await AppendAsync(0, 400, complete: false);
        Age(48);
        var reply = await _server.PostAsync("store/collect", "{\"olderThanSeconds\":86400,\"dryRun\":true}");
        Assert.Equal((Digest, 400L), Assert.Single(JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.CollectReply)!.Files) is var f ? (f.Sha256, f.Bytes) : default);
        Assert.Single(Parts.All());
        await _server.PostAsync("store/collect", "{\"olderThanSeconds\":86400,\"dryRun\":false}");
        Assert.Empty(Parts.All());
        await AppendAsync(0, 400, complete: false);
        Age(48);
        await _server.RestartAsync();
        Assert.Empty(Parts.All());
    }

    [Fact]
    public async Task Parts_count_in_the_quota_and_go_first_when_it_is_full()
    {
        var large = new byte[4 << 20];
        var digest = RunningServer.Digest(large);
        Assert.Equal(HttpStatusCode.NoContent, (await AppendAsync(0, 3 << 20, complete: false, file: large, digest: digest)).StatusCode);
        var full = await RunningServer.ProblemOf(await _server.SendAsync([.. Enumerable.Repeat((byte)7, 4 << 20)]));
        Assert.Equal("store.full", full.Code);
        Assert.Contains("uploads that are not whole: 3145728 bytes", full.Evidence, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NoContent, (await AppendAsync(3 << 20, 4 << 20, complete: true, file: large, digest: digest)).StatusCode);
        await AppendAsync(0, 400, complete: false);
        Age(2);
        Files.Touch(digest, DateTimeOffset.UtcNow.AddHours(-2));
        Assert.True((await _server.SendAsync([.. Enumerable.Repeat((byte)8, 3 << 20)])).IsSuccessStatusCode);
        Assert.Equal((false, 0), (Files.Has(digest), Parts.All().Length));
    }

    void Age(double hours)
    {
        foreach (var part in Parts.All())
            System.IO.File.SetLastWriteTimeUtc(Path.Combine(_server.PathOf("state/files/parts"), part.Sha256), DateTime.UtcNow.AddHours(-hours));
    }
}
