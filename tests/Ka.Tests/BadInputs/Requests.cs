using System.Net;
using System.Net.Sockets;
using System.Text;
using Ka.Protocol.Rest;
using Ka.Tests.Server;

namespace Ka.Tests.BadInputs;

/// <summary>Requests that are not as they should be: each is refused with its code and place, none is an error of the server, and nothing changes.</summary>
public sealed class Requests(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    const string Power = """{"nodes":"rouge-1","action":"off","level":"hard","dryRun":false}""";

    /// <summary>All that a refusal must leave as it was.</summary>
    async Task<string> StateAsync() => string.Join(
        '\n', await Task.WhenAll(((string[])["operations", "nodes?fields=name,state,drained", "environments", "rights?ended=true", "tokens", "stop"]).Select(path => server.Http.GetStringAsync(path, Cancel)))) + string.Join('\n', server.Stored());

    [Theory]
    [InlineData("", 400, "line 1")]
    [InlineData("null", 400, "")]
    [InlineData("[]", 400, "$")]
    [InlineData("{", 400, "line 1")]
    [InlineData("""{"nodes":"rouge-1","action":"off" """, 400, "line 1")]
    [InlineData("""{"nodes":"rouge-1","action":"off","dryRun":false}x""", 400, "line 1")]
    [InlineData("""{"nodes":"rouge-1","action":"off","dryRun":false}{}""", 400, "line 1")]
    [InlineData("""{"nodes":"rouge-1",/* c */"action":"off","dryRun":false}""", 400, "line 1")]
    [InlineData("""{"nodes":"rouge-1","action":"off","dryRun":false,}""", 400, "line 1")]
    [InlineData("""{"nodes":"rouge-1","nodes":"rouge-2","action":"off","dryRun":false}""", 400, "nodes")]
    [InlineData("""{"nodes":"rouge-1","action":"off","dryRun":false,"levle":"hard"}""", 400, "levle")]
    [InlineData("""{"nodes":"rouge-1","action":"off","dryRun":"false"}""", 400, "$.dryRun")]
    [InlineData("""{"nodes":"rouge-1","action":"off","dryRun":0}""", 400, "$.dryRun")]
    [InlineData("""{"nodes":["rouge-1"],"action":"off","dryRun":false}""", 400, "$.nodes")]
    [InlineData("""{"nodes":7,"action":"off","dryRun":false}""", 400, "$.nodes")]
    [InlineData("""{"nodes":null,"action":"off","dryRun":false}""", 400, "$.nodes")]
    [InlineData("""{"action":"off","dryRun":false}""", 400, "/nodes")]
    [InlineData("""{"nodes":"\ud800","action":"off","dryRun":false}""", 400, "$.nodes")]
    [InlineData("{'nodes':'rouge-1'}", 400, "line 1")]
    [InlineData("nodes=rouge-1&action=off", 400, "line 1")]
    [InlineData("""{"nodes":"rouge-1","action":"OFF","dryRun":false}""", 422, "")]
    [InlineData("""{"nodes":"rouge-1","action":"off; reboot","dryRun":false}""", 422, "")]
    [InlineData("""{"nodes":"rouge-1","action":"off","level":"Hard","dryRun":false}""", 422, "")]
    public async Task A_body_that_is_none_is_refused_at_its_place(string body, int status, string place)
    {
        var before = await StateAsync();
        var reply = await server.PostAsync("power", body);
        var problem = await RunningServer.ProblemOf(reply);
        Assert.Equal((status, "request.invalid"), (problem.Status, problem.Code));
        if (place.Length > 0)
            Assert.Contains(problem.Errors!.Value, e => (e.Pointer + e.Message).Contains(place, StringComparison.Ordinal));
        Assert.Equal(before, await StateAsync());
    }

    [Theory]
    [InlineData("tokens", """{"note":"","seconds":1e400}""", "$.seconds")]
    [InlineData("tokens", """{"note":"","seconds":1.5}""", "$.seconds")]
    [InlineData("tokens", """{"note":"","seconds":NaN}""", "$.seconds")]
    [InlineData("tokens", """{"note":"","seconds":99999999999999999999}""", "$.seconds")]
    [InlineData("tokens", """{"note":"","seconds":"60"}""", "$.seconds")]
    [InlineData("rights", """{"subject":"alice","nodes":"gris-1","partitions":[],"until":"yesterday"}""", "$.until")]
    [InlineData("rights", """{"subject":"alice","nodes":"gris-1","partitions":[],"until":"2026-06-30T23:59:60Z"}""", "$.until")]
    [InlineData("rights", """{"subject":"alice","nodes":"gris-1","partitions":[],"until":"0000-01-01T00:00:00Z"}""", "$.until")]
    [InlineData("rights", """{"subject":"alice","nodes":"gris-1","partitions":[],"until":1893456000}""", "$.until")]
    [InlineData("rights", """{"subject":"alice","nodes":"gris-1","partitions":{}}""", "$.partitions")]
    [InlineData("rights", """{"subject":"alice","nodes":"gris-1","partitions":[null,7]}""", "$.partitions")]
    public async Task A_number_or_a_time_that_is_none_is_refused_at_its_place(string path, string body, string place)
    {
        var before = await StateAsync();
        var problem = await RunningServer.ProblemOf(await server.PostAsync(path, body));
        Assert.Equal((400, "request.invalid"), (problem.Status, problem.Code));
        Assert.Contains(problem.Errors!.Value, e => e.Pointer!.Contains(place, StringComparison.Ordinal));
        Assert.Equal(before, await StateAsync());
    }

    [Theory]
    [InlineData("text/plain", null)]
    [InlineData("application/x-www-form-urlencoded", null)]
    [InlineData("application/json; charset=utf-7", null)]
    [InlineData("application/json; charset=utf-16", null)]
    [InlineData("application/json", "gzip")]
    [InlineData("application/json", "gzip, gzip")]
    [InlineData("application/json", "identity2")]
    public async Task A_body_in_another_dress_is_not_read(string type, string? encoding)
    {
        var before = await StateAsync();
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(Power));
        content.Headers.TryAddWithoutValidation("Content-Type", type);
        if (encoding is not null)
            content.Headers.TryAddWithoutValidation("Content-Encoding", encoding);
        var problem = await RunningServer.ProblemOf(await server.Http.PostAsync("power", content, Cancel));
        Assert.Equal((415, "request.media_type"), (problem.Status, problem.Code));
        Assert.Equal(before, await StateAsync());
    }

    [Fact]
    public async Task A_body_that_is_too_large_too_deep_or_too_long_is_refused_within_its_limits()
    {
        var before = await StateAsync();
        foreach (var (body, status) in ((string, int)[])
            [
                ($$"""{"nodes":"{{new string('a', 5 << 20)}}","action":"off","dryRun":false}""", 413),
                ($$"""{"nodes":"{{string.Join(',', Enumerable.Range(0, 200_000).Select(i => $"x{i}"))}}","action":"off","dryRun":false}""", 422),
                ($$"""{"nodes":{{new string('[', 100_000)}},"action":"off","dryRun":false}""", 400),
            ])
        {
            var reply = await server.PostAsync("power", body);
            Assert.Equal(status, (int)reply.StatusCode);
            Assert.True((await reply.Content.ReadAsStringAsync(Cancel)).Length < 4000);
        }
        var keys = string.Join(',', Enumerable.Repeat("\"x\"", 500_000));
        foreach (var many in (string[])[keys, string.Join(',', Enumerable.Repeat("\"x\"", 900))])
        {
            var reply = await server.PostAsync("deployments", $$"""{"environment":"debian12","nodes":"gris-5","authorizedKeys":[{{many}}],"dryRun":true}""");
            Assert.Equal(422, (int)reply.StatusCode);
            Assert.True((await reply.Content.ReadAsStringAsync(Cancel)).Length < 10_000);
        }
        Assert.Equal(before, await StateAsync());
    }

    [Theory]
    [InlineData("GET", "operations/D-1%2f..%2f..%2fetc")]
    [InlineData("GET", "operations/G-ABCDEF")]
    [InlineData("GET", "operations/0b0b0b0b-0b0b-0b0b-0b0b-0b0b0b0b0b0b")]
    [InlineData("GET", "operations/D-1;params")]
    [InlineData("GET", "operations//")]
    [InlineData("GET", "OPERATIONS/D-1/logs?node=%ff%fe")]
    [InlineData("GET", "environments/..%2f..%2fetc%2fpasswd")]
    [InlineData("GET", "environments/x?version=99999999999")]
    [InlineData("GET", "environments/debian12/99999999999999999999/files")]
    [InlineData("GET", "nodes/$(reboot)")]
    [InlineData("GET", "nodes/gris-1/history?limit=x")]
    [InlineData("GET", "power?nodes=gris-[")]
    [InlineData("GET", "power")]
    [InlineData("GET", "stats/nothing")]
    [InlineData("GET", "stats/failing?since=soon")]
    [InlineData("DELETE", "rights/D-1")]
    [InlineData("DELETE", "environments/debian12/x")]
    [InlineData("DELETE", "tokens/x")]
    [InlineData("DELETE", "operations/x")]
    [InlineData("DELETE", "rights")]
    [InlineData("PATCH", "nodes/gris-1")]
    [InlineData("TRACE", "nodes")]
    [InlineData("POST", "nodes")]
    [InlineData("PUT", "files/..%2f..%2fx")]
    [InlineData("PUT", "files/ABCDEF")]
    public async Task An_address_of_nothing_is_a_problem_and_not_an_error(string method, string path)
    {
        var before = await StateAsync();
        var reply = await server.Http.SendAsync(new HttpRequestMessage(new HttpMethod(method), path) { Content = method is "GET" or "TRACE" ? null : RunningServer.Json("{}") }, Cancel);
        var problem = await RunningServer.ProblemOf(reply);
        Assert.InRange(problem.Status, 400, 422);
        Assert.True(problem is { Code.Length: > 0, Detail.Length: > 0 and < 600 }, problem.Detail);
        Assert.DoesNotContain("Exception", problem.Detail!, StringComparison.Ordinal);
        Assert.Equal(before, await StateAsync());
    }

    [Fact]
    public async Task Headers_that_try_to_be_somebody_or_something_else_are_not_followed()
    {
        var alice = await server.AsAsync("alice");
        foreach (var header in (string[])["X-Forwarded-User", "X-Remote-User", "X-Forwarded-For", "X-HTTP-Method-Override", "Authorization2", "Forwarded"])
        {
            var request = new HttpRequestMessage(HttpMethod.Get, "whoami");
            request.Headers.TryAddWithoutValidation(header, header.Contains("Method", StringComparison.Ordinal) ? "DELETE" : "root");
            Assert.Contains("\"alice\"", await (await alice.SendAsync(request, Cancel)).Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        }
        foreach (var proof in (string[])["Bearer", "Bearer ", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.", "Basic !!!", "Basic cm9vdA==", "Digest x", "Negotiate x", "Bearer " + new string('a', 20_000)])
        {
            var request = new HttpRequestMessage(HttpMethod.Get, "nodes");
            request.Headers.TryAddWithoutValidation("Authorization", proof);
            Assert.Equal("auth.missing", (await RunningServer.ProblemOf(await server.WithoutToken.SendAsync(request, Cancel))).Code);
        }
    }

    [Fact]
    public async Task Events_after_nonsense_are_all_events_and_a_range_changes_nothing()
    {
        var made = System.Text.Json.JsonSerializer.Deserialize(await (await server.PostAsync("power", Power.Replace("off", "cycle", StringComparison.Ordinal))).Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        foreach (var last in (string[])["x", "-1", "99999999999999999999", ""])
        {
            var request = new HttpRequestMessage(HttpMethod.Get, $"operations/{made.Id}/events");
            request.Headers.TryAddWithoutValidation("Last-Event-ID", last);
            request.Headers.TryAddWithoutValidation("Range", "bytes=0-1,5-");
            var reply = await server.Http.SendAsync(request, Cancel);
            Assert.Equal((HttpStatusCode.OK, "text/event-stream"), (reply.StatusCode, reply.Content.Headers.ContentType!.MediaType));
            Assert.Contains("\"kind\":\"ended\"", await reply.Content.ReadAsStringAsync(Cancel), StringComparison.Ordinal);
        }
    }

    /// <summary>What no client library sends. A line of the request a line here; the connection must be closed or answered as the client's fault (505 is one: RFC 9110, 15.6.6).</summary>
    [Theory]
    [InlineData("GET /api/v1/version\r\n\r\n")]
    [InlineData("GET /api/v1/version HTTP/0.9\r\n\r\n")]
    [InlineData("GET /api/v1/version HTTP/1.1\r\n\r\n")]
    [InlineData("GET /api/v1/version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")]
    [InlineData("GET /api/v1/version HTTP/1.1\r\nHost: a b\r\n\r\n")]
    [InlineData("GET http://evil.example/api/v1/version HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("GET /api/v1/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("GET /api/v1/operations/%00 HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("GET /api/v1/%zz HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("GET /api/v1/..%c0%af HTTP/1.1\r\nHost: a\r\n\r\n")]
    [InlineData("GET /api/v1/version HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n")]
    [InlineData("GET /api/v1/version HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n")]
    [InlineData("POST /api/v1/power HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}")]
    [InlineData("POST /api/v1/power HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x")]
    [InlineData("POST /api/v1/power HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n")]
    [InlineData("POST /api/v1/power HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n")]
    [InlineData("POST /api/v1/power HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")]
    [InlineData("POST /api/v1/power HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")]
    [InlineData("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
    [InlineData("\u0016\u0003\u0001\u0002")]
    public async Task A_malformed_request_is_refused_and_the_server_lives(string bytes)
    {
        Assert.NotInRange(await RawAsync(bytes), 500, 504);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.GetAsync("version", Cancel)).StatusCode);
    }

    [Theory]
    [InlineData("GET /{0} HTTP/1.1\r\nHost: a\r\n\r\n", 100_000)]
    [InlineData("GET /api/v1/version HTTP/1.1\r\nHost: a\r\nX: {0}\r\n\r\n", 1_000_000)]
    [InlineData("GET /api/v1/version?x={0} HTTP/1.1\r\nHost: a\r\n\r\n", 20_000)]
    public async Task A_request_that_is_too_long_is_refused(string form, int length) => Assert.InRange(await RawAsync(string.Format(null, form, new string('a', length))), 0, 499);

    [Fact]
    public async Task Too_many_headers_are_refused() =>
        Assert.InRange(await RawAsync($"GET /api/v1/version HTTP/1.1\r\nHost: a\r\n{string.Concat(Enumerable.Range(0, 10_000).Select(i => $"X{i}: 1\r\n"))}\r\n"), 0, 499);

    /// <summary>The status of the answer; 0 when the connection was closed without one.</summary>
    async Task<int> RawAsync(string bytes)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(server.PathOf("kad.sock")), Cancel);
        var answer = new MemoryStream();
        try
        {
            await socket.SendAsync(Encoding.Latin1.GetBytes(bytes), Cancel);
            socket.Shutdown(SocketShutdown.Send);
            var piece = new byte[4096];
            for (int n; (n = await socket.ReceiveAsync(piece, Cancel)) > 0 && answer.Length < 1 << 20;)
                answer.Write(piece, 0, n);
        }
        catch (SocketException)
        {
            // Closed in the middle of what it would not read.
        }
        var line = Encoding.Latin1.GetString(answer.ToArray()).Split("\r\n")[0].Split(' ');
        return line.Length > 1 && int.TryParse(line[1], out var status) ? status : 0;
    }
}
