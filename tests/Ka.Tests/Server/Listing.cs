using System.Net;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Ka.Protocol.Rest;
using Ka.Server.Api;
using Ka.Tests.House;

namespace Ka.Tests.Server;

/// <summary>Lists in pages, with filters, entity tags and chosen members; and the description of the API.</summary>
public sealed class Listing(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>All rows, page by page.</summary>
    async Task<List<JsonElement>> PagesAsync(string path, int pages)
    {
        var rows = new List<JsonElement>();
        for (var next = path; ; pages--)
        {
            var reply = await server.Http.GetAsync(next, Cancel);
            Assert.Equal(HttpStatusCode.OK, reply.StatusCode);
            rows.AddRange(JsonDocument.Parse(await reply.Content.ReadAsStringAsync(Cancel)).RootElement.EnumerateArray());
            if (!reply.Headers.TryGetValues("Link", out var links))
            {
                Assert.Equal(1, pages);
                return rows;
            }
            var link = links.Single();
            Assert.EndsWith(">; rel=\"next\"", link, StringComparison.Ordinal);
            next = link[1..link.IndexOf('>', StringComparison.Ordinal)];
        }
    }

    [Fact]
    public async Task Nodes_come_in_pages_without_one_missing_or_twice()
    {
        var names = (await PagesAsync("nodes?limit=5&fields=name,state", 3)).Select(r => r.GetProperty("name").GetString()!).ToArray();
        Assert.Equal(["bleu-1", .. Enumerable.Range(1, 8).Select(i => $"gris-{i}"), "rouge-1", "rouge-2", "rouge-3"], names);
        Assert.Equal(3, (await PagesAsync("nodes?limit=2&cluster=rouge", 2)).Count);
    }

    [Fact]
    public async Task Filters_of_nodes_are_the_servers()
    {
        server.SetLast("gris-7", "debian12:1");
        Assert.Equal("gris-7", Assert.Single(await PagesAsync("nodes?environment=debian12", 1)).GetProperty("name").GetString());
        Assert.Equal("gris-7", Assert.Single(await PagesAsync("nodes?environment=debian12:1&state=deployed&nodes=gris-[6-8]", 1)).GetProperty("name").GetString());
        Assert.Empty(await PagesAsync("nodes?environment=debian12:2", 1));
        await server.PostAsync("nodes/drain", """{"nodes":"rouge-3","reason":"test"}""");
        Assert.Equal("rouge-3", Assert.Single(await PagesAsync("nodes?drained=true&fields=name", 1)).GetProperty("name").GetString());
        Assert.Equal(HttpStatusCode.OK, (await server.Http.DeleteAsync("nodes/drain?nodes=rouge-3", Cancel)).StatusCode);
    }

    [Fact]
    public async Task Operations_rights_and_runs_come_in_pages_the_newest_first_and_filtered()
    {
        foreach (var node in (string[])["rouge-1", "rouge-2", "rouge-1"])
        {
            var made = JsonSerializer.Deserialize(await (await server.PostAsync("power", JsonSerializer.Serialize(new PowerBody(node, "cycle", "hard", false), RestJson.Default.PowerBody))).Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
            while (JsonSerializer.Deserialize(await server.Http.GetStringAsync($"operations/{made.Id}", Cancel), RestJson.Default.OperationReply)!.State == "running")
                await Task.Yield();
            await server.PostAsync("rights", JsonSerializer.Serialize(new GrantBody(made.Id, node, []), RestJson.Default.GrantBody));
        }
        var all = await PagesAsync("operations?limit=2&kind=power", 2);
        Assert.Equal((3, 3), (all.Count, all.Select(o => o.GetProperty("id").GetString()).Distinct().Count()));
        Assert.Equal(all.Select(o => o.GetProperty("createdAt").GetDateTimeOffset()).OrderDescending(), all.Select(o => o.GetProperty("createdAt").GetDateTimeOffset()));
        Assert.Equal(2, (await PagesAsync("operations?nodes=rouge-1&state=done&owner=root&fields=id,state", 1)).Count);
        Assert.Empty(await PagesAsync("operations?kind=deploy", 1));
        Assert.Empty(await PagesAsync("operations?until=2000-01-01T00:00:00Z", 1));
        Assert.Equal(3, (await PagesAsync("rights?limit=2", 2)).Count);
        Assert.Equal(3, (await PagesAsync("stats/deploys?kind=power&limit=1", 3)).Select(r => r.GetProperty("operation").GetString()).Distinct().Count());
    }

    [Theory]
    [InlineData("nodes?limit=0", "?limit")]
    [InlineData("nodes?limit=-1", "?limit")]
    [InlineData("nodes?limit=10001", "?limit")]
    [InlineData("operations?limit=1000000000", "?limit")]
    [InlineData("rights?limit=-1", "?limit")]
    [InlineData("stats/failing?limit=0", "?limit")]
    [InlineData("stats/failing?minRuns=0", "?minRuns")]
    [InlineData("nodes?cursor=%00", "?cursor")]
    [InlineData("nodes?cursor=bm9kZXMKZ3Jpcy05OQ", "?cursor")]
    [InlineData("operations?cursor=bm9kZXMKZ3Jpcy0x", "?cursor")]
    [InlineData("operations?cursor=b3BlcmF0aW9ucwp4", "?cursor")]
    [InlineData("operations?cursor=b3BlcmF0aW9ucwo5OTk5OTk5OTk5OTk5OTk5OTk5IHg", "?cursor")]
    [InlineData("nodes?fields=name,pasword", "?fields")]
    [InlineData("operations?fields=", "?fields")]
    public async Task What_asks_for_no_page_is_refused_at_its_place(string path, string place)
    {
        var problem = await RunningServer.ProblemOf(await server.Http.GetAsync(path, Cancel));
        Assert.Equal((422, "request.invalid", place), (problem.Status, problem.Code, problem.Errors!.Value[0].Pointer));
    }

    [Theory]
    [InlineData("nodes")]
    [InlineData("nodes/gris-1")]
    [InlineData("nodes?fields=name")]
    [InlineData("environments")]
    [InlineData("environments/debian12")]
    [InlineData("operations?kind=deploy")]
    public async Task Who_has_an_answer_already_gets_304_until_it_changes(string path)
    {
        var first = await server.Http.GetAsync(path, Cancel);
        var tag = first.Headers.ETag!;
        foreach (var known in (string[])[tag.ToString(), $"\"x\", {tag}", tag.Tag, "*"])
        {
            var request = new HttpRequestMessage(HttpMethod.Get, path);
            request.Headers.TryAddWithoutValidation("If-None-Match", known);
            var reply = await server.Http.SendAsync(request, Cancel);
            Assert.Equal((HttpStatusCode.NotModified, 0), (reply.StatusCode, (await reply.Content.ReadAsByteArrayAsync(Cancel)).Length));
        }
        var other = new HttpRequestMessage(HttpMethod.Get, path);
        other.Headers.TryAddWithoutValidation("If-None-Match", "\"0123\", nonsense");
        Assert.Equal(HttpStatusCode.OK, (await server.Http.SendAsync(other, Cancel)).StatusCode);
        if (path != "nodes/gris-1")
            return;
        server.SetLast("gris-1", Guid.NewGuid().ToString("N") + ":1");
        var changed = new HttpRequestMessage(HttpMethod.Get, path);
        changed.Headers.IfNoneMatch.Add(tag);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.SendAsync(changed, Cancel)).StatusCode);
    }

    [Fact]
    public async Task The_description_of_the_api_is_the_one_that_is_checked_in()
    {
        var text = await server.WithoutToken.GetStringAsync("../../openapi/v1.json", Cancel);
        using var document = JsonDocument.Parse(text);
        Assert.StartsWith("3.1", document.RootElement.GetProperty("openapi").GetString(), StringComparison.Ordinal);
        var path = Path.Combine(Repository.Root, "docs", "openapi.json");
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
            await File.WriteAllTextAsync(path, text.TrimEnd() + "\n", Cancel);
        Assert.Equal(await File.ReadAllTextAsync(path, Cancel), text.TrimEnd() + "\n");
    }

    [Fact]
    public async Task Every_route_of_people_is_described_with_what_it_takes_and_answers()
    {
        using var document = JsonDocument.Parse(await server.Http.GetStringAsync("../../openapi/v1.json", Cancel));
        var bare =
            from path in document.RootElement.GetProperty("paths").EnumerateObject()
            from method in path.Value.EnumerateObject()
            let says = method.Value
            where !says.GetProperty("responses").EnumerateObject().Any(r => r.Name.StartsWith('2')) || (method.Name == "post" && !path.Name.EndsWith("/cancel", StringComparison.Ordinal) && !says.TryGetProperty("requestBody", out _))
            select $"{method.Name} {path.Name}";
        Assert.Empty(bare);
    }

    [Fact]
    public async Task The_pages_about_the_api_come_from_the_server_alone_and_are_not_for_nodes()
    {
        var page = await server.WithoutToken.GetAsync("../../docs/index.html", Cancel);
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
        var html = await page.Content.ReadAsStringAsync(Cancel);
        Assert.DoesNotContain("https://", html.Replace("http://www.w3.org", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Contains("v1.json", html + await server.WithoutToken.GetStringAsync("../../docs/index.js", Cancel), StringComparison.Ordinal);
    }
}
