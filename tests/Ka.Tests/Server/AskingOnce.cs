using System.Net;
using System.Text.Json;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Api;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>Idempotency keys: what is asked for twice is done once.</summary>
public sealed class AskingOnce(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static string Off(string nodes) => JsonSerializer.Serialize(new PowerBody(nodes, "off", "hard", false), RestJson.Default.PowerBody);

    async Task<HttpResponseMessage> PostAsync(HttpClient http, string path, string body, string key)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = RunningServer.Json(body) };
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        return await http.SendAsync(request, Cancel);
    }

    Task<HttpResponseMessage> PostAsync(string path, string body, string key) => PostAsync(server.Http, path, body, key);

    int Operations => server.App.Services.GetRequiredService<WorkflowTable>().Recent(1000).Length;

    [Fact]
    public async Task The_same_request_with_the_same_key_is_carried_out_once_and_gets_the_same_answer_after_a_restart_too()
    {
        var before = Operations;
        var first = await PostAsync("power", Off("gris-1"), "once");
        var text = await first.Content.ReadAsStringAsync(Cancel);
        Assert.True(first.StatusCode == HttpStatusCode.Created, text);
        Assert.False(first.Headers.Contains("Idempotency-Replayed"));
        var again = await PostAsync("power", Off("gris-1"), "once");
        Assert.Equal((HttpStatusCode.Created, text), (again.StatusCode, await again.Content.ReadAsStringAsync(Cancel)));
        Assert.Equal("true", again.Headers.GetValues("Idempotency-Replayed").Single());
        await server.RestartAsync();
        var later = await PostAsync("power", Off("gris-1"), "once");
        Assert.Equal((HttpStatusCode.Created, text), (later.StatusCode, await later.Content.ReadAsStringAsync(Cancel)));
        Assert.Equal(before + 1, Operations);
    }

    [Fact]
    public async Task A_key_that_stands_for_another_request_is_refused_and_nothing_changes()
    {
        Assert.Equal(HttpStatusCode.Created, (await PostAsync("power", Off("gris-2"), "mine")).StatusCode);
        var before = Operations;
        var other = await PostAsync("power", Off("gris-3"), "mine");
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "request.key_reused"), (other.StatusCode, (await RunningServer.ProblemOf(other)).Code));
        Assert.Equal("request.key_reused", (await RunningServer.ProblemOf(await PostAsync("reboots", Off("gris-2"), "mine"))).Code);
        Assert.Equal(before, Operations);
        Assert.Equal("rights.missing", (await RunningServer.ProblemOf(await PostAsync(await server.AsAsync("keys"), "power", Off("gris-3"), "mine"))).Code);
    }

    [Fact]
    public async Task A_thousand_of_which_many_come_at_once_are_one()
    {
        var before = Operations;
        var statuses = new System.Collections.Concurrent.ConcurrentBag<HttpStatusCode>();
        // As many at once as wait at a Unix socket.
        await Parallel.ForAsync(0, 1000, new ParallelOptions { MaxDegreeOfParallelism = 64, CancellationToken = Cancel }, async (_, _) => statuses.Add((await PostAsync("power", Off("gris-4"), "storm")).StatusCode));
        Assert.Equal((1000, HttpStatusCode.Created), (statuses.Count, statuses.Distinct().Single()));
        Assert.Equal(before + 1, Operations);
    }

    [Fact]
    public async Task What_was_refused_is_looked_at_anew()
    {
        var body = JsonSerializer.Serialize(new GrantBody("anew", "gris-99", []), RestJson.Default.GrantBody);
        Assert.Equal(HttpStatusCode.NotFound, (await PostAsync("rights", body, "anew")).StatusCode);
        Assert.Equal(HttpStatusCode.Created, (await PostAsync("rights", body.Replace("gris-99", "gris-5", StringComparison.Ordinal), "anew")).StatusCode);
    }

    [Fact]
    public async Task What_was_created_before_a_crash_is_the_answer_though_no_answer_was_written_down()
    {
        var (answers, body) = (server.App.Services.GetRequiredService<AnswerTable>(), Off("bleu-1"));
        var made = JsonSerializer.Deserialize(await (await PostAsync("power", body, "crash")).Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        var request = answers.Claim("root", "crash", "", "", TimeProvider.System.GetUtcNow())!.Request;
        // As the table is when the server went down after having accepted and before having answered.
        server.App.Services.GetRequiredService<Database>().Write((c, t) =>
        {
            using var sql = c.CreateCommand();
            (sql.CommandText, sql.Transaction) = ("update answers set status = null, body = null where key = 'crash'", t);
            sql.ExecuteNonQuery();
        });
        Assert.Equal((made.Id[2..], null, request), (answers.Claim("root", "crash", "", "", TimeProvider.System.GetUtcNow()) is { } k ? (k.Suffix, k.Status, k.Request) : default));
        var before = Operations;
        var again = JsonSerializer.Deserialize(await (await PostAsync("power", body, "crash")).Content.ReadAsStringAsync(Cancel), RestJson.Default.OperationReply)!;
        Assert.Equal((made.Id, before), (again.Id, Operations));
    }

    [Fact]
    public void A_key_is_free_again_after_a_day()
    {
        using var directory = new TemporaryDirectory();
        using var database = new Database(directory["ka.db"]);
        var (answers, now) = (new AnswerTable(database), DateTimeOffset.UnixEpoch);
        Assert.Null(answers.Claim("alice", "k", "r", "ABC", now));
        answers.Keep("alice", "k", 201, "{}");
        Assert.Equal(new KeptAnswer("r", "ABC", 201, "{}"), answers.Claim("alice", "k", "x", "DEF", now + AnswerTable.Kept - TimeSpan.FromMilliseconds(1)));
        Assert.Null(answers.Claim("bert", "k", "x", "DEF", now));
        Assert.Null(answers.Claim("alice", "k", "x", "DEF", now + AnswerTable.Kept));
    }

    [Theory]
    [InlineData("")]
    [InlineData("two words")]
    [InlineData("tab\tbed")]
    public async Task A_key_that_is_none_is_refused(string key) =>
        Assert.Equal("request.invalid", (await RunningServer.ProblemOf(await PostAsync("power", Off("gris-1"), key))).Code);

    [Fact]
    public async Task A_key_that_is_too_long_is_refused() =>
        Assert.Equal("request.invalid", (await RunningServer.ProblemOf(await PostAsync("power", Off("gris-1"), new string('k', 201)))).Code);
}
