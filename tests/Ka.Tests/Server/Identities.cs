using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>How the server knows who calls.</summary>
public sealed class Identities(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static async Task<WhoReply> WhoAsync(HttpClient http) => JsonSerializer.Deserialize(await http.GetStringAsync("whoami", Cancel), RestJson.Default.WhoReply)!;

    static AuthenticationHeaderValue Basic(string text) => new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public async Task On_the_unix_socket_the_kernel_says_who_it_is()
    {
        var me = await WhoAsync(server.Local);
        Assert.Equal((Accounts.NameOf(Environment.UserName == "root" ? 0 : uint.MaxValue), "socket"), (me.Name, me.By));
        Assert.Equal("uid:4000000000", Accounts.NameOf(4_000_000_000));
    }

    [Fact]
    public async Task No_header_but_Authorization_says_who_somebody_is()
    {
        var request = new HttpRequestMessage(HttpMethod.Get, "whoami");
        foreach (var header in (string[])["X-Remote-User", "X-Forwarded-User", "Remote-User", "User", "X-Kadeploy-User", "X-Forwarded-For", "Forwarded"])
            request.Headers.TryAddWithoutValidation(header, "root");
        var reply = await server.WithoutToken.SendAsync(request, Cancel);
        Assert.Equal(HttpStatusCode.Unauthorized, reply.StatusCode);
        Assert.Equal("auth.missing", (await RunningServer.ProblemOf(reply)).Code);
        Assert.Contains("Bearer", reply.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_is_its_owner_and_only_its_hash_is_stored()
    {
        var alice = await server.AsAsync("alice");
        var text = alice.DefaultRequestHeaders.Authorization!.Parameter!;
        Assert.Equal(("alice", "user"), ((await WhoAsync(alice)).Name, (await WhoAsync(alice)).Role));
        foreach (var file in Directory.GetFiles(server.PathOf("state"), "ka.db*"))
        {
            using var open = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var memory = new MemoryStream();
            await open.CopyToAsync(memory, Cancel);
            Assert.Equal(-1, memory.ToArray().AsSpan().IndexOf(Encoding.ASCII.GetBytes(text)));
        }
    }

    [Theory]
    [InlineData("root", "viewer", "viewer")]
    [InlineData("root", null, "admin")]
    [InlineData("olga", null, "operator")]
    [InlineData("vera", null, "viewer")]
    [InlineData("alice", "viewer", "viewer")]
    public async Task A_token_has_at_most_the_role_it_was_made_with(string name, string? role, string expected) => Assert.Equal(expected, (await WhoAsync(await server.AsAsync(name, role))).Role);

    [Fact]
    public async Task A_token_never_has_more_than_its_owner_nor_makes_one_that_has()
    {
        var refused = await server.PostAsync("tokens", "{\"owner\":\"alice\",\"role\":\"admin\",\"note\":\"\",\"seconds\":3600}");
        Assert.Equal((403, "rights.role"), ((int)refused.StatusCode, (await RunningServer.ProblemOf(refused)).Code));
        var limited = await server.AsAsync("root", "user");
        refused = await limited.PostAsync("tokens", RunningServer.Json("{\"role\":\"admin\",\"note\":\"\",\"seconds\":3600}"), Cancel);
        Assert.Equal((403, "rights.role"), ((int)refused.StatusCode, (await RunningServer.ProblemOf(refused)).Code));
        refused = await limited.PostAsync("tokens", RunningServer.Json("{\"owner\":\"olga\",\"note\":\"\",\"seconds\":3600}"), Cancel);
        Assert.Equal(403, (int)refused.StatusCode);
    }

    [Theory]
    [InlineData("{\"note\":\"\",\"seconds\":59}")]
    [InlineData("{\"note\":\"\",\"seconds\":-1}")]
    [InlineData("{\"note\":\"\",\"seconds\":99999999}")]
    [InlineData("{\"note\":\"a\\u001bb\",\"seconds\":60}")]
    [InlineData("{\"note\":\"\",\"role\":\"god\",\"seconds\":60}")]
    [InlineData("{\"note\":\"\",\"owner\":\"a b\",\"seconds\":60}")]
    [InlineData("{\"note\":\"\",\"owner\":\"@team\",\"seconds\":60}")]
    public async Task A_token_that_makes_no_sense_is_refused(string body) => Assert.Equal((422, "rights.invalid"), await RefusedAsync(body));

    async Task<(int, string)> RefusedAsync(string body)
    {
        var problem = await RunningServer.ProblemOf(await server.PostAsync("tokens", body));
        return (problem.Status, problem.Code);
    }

    [Fact]
    public async Task A_token_that_was_taken_back_or_is_over_is_no_token()
    {
        var alice = await server.AsAsync("bert");
        var tokens = JsonSerializer.Deserialize(await alice.GetStringAsync("tokens", Cancel), RestJson.Default.TokenReplyArray)!;
        var id = Assert.Single(tokens).Id;
        var stranger = await server.AsAsync("alice");
        Assert.Equal(HttpStatusCode.NotFound, (await stranger.DeleteAsync("tokens/" + id, Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await alice.DeleteAsync("tokens/" + id, Cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await alice.GetAsync("whoami", Cancel)).StatusCode);
        var now = DateTimeOffset.UtcNow;
        var table = server.App.Services.GetRequiredService<TokenTable>();
        table.Add(new StoredToken("T-OLD", "bert", Role.User, "", "root", now.AddDays(-2), now.AddDays(-1), null, null), ServerSecrets.Hash("ka_over"));
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Remote(new AuthenticationHeaderValue("Bearer", "ka_over")).GetAsync("whoami", Cancel)).StatusCode);
    }

    [Fact]
    public async Task A_password_of_the_htpasswd_file_is_its_name()
    {
        var me = await WhoAsync(server.Remote(Basic("paul:" + RunningServer.PasswordOfPaul)));
        Assert.Equal(("paul", "user", "password"), (me.Name, me.Role, me.By));
    }

    [Theory]
    [InlineData("paul:U*V")]
    [InlineData("paul:")]
    [InlineData("paul")]
    [InlineData("nobody:U*U")]
    [InlineData("plain:secret")]
    [InlineData("PAUL:U*U")]
    public async Task Any_other_name_or_password_is_nobody(string credential) =>
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Remote(Basic(credential)).GetAsync("whoami", Cancel)).StatusCode);

    [Theory]
    [InlineData("Basic", "%%%")]
    [InlineData("Bearer", "")]
    [InlineData("Negotiate", "abc")]
    [InlineData("Bearer", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.")]
    public async Task A_header_that_proves_nothing_is_nobody_even_on_the_unix_socket(string scheme, string parameter)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, "whoami");
        request.Headers.TryAddWithoutValidation("Authorization", $"{scheme} {parameter}");
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Local.SendAsync(request, Cancel)).StatusCode);
    }

    [Theory]
    [InlineData("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", true)]
    [InlineData("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", true)]
    [InlineData("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", false)]
    [InlineData("U*U", "$2a$05$nonsense", false)]
    public void Bcrypt_is_that_of_the_published_test_vectors(string password, string hash, bool good) => Assert.Equal(good, Htpasswd.Matches(password, hash));

    [Fact]
    public void Only_bcrypt_lines_of_an_htpasswd_file_count() => Assert.Equal(
        ["paul"], Htpasswd.Read("plain:secret\nmd5:$apr1$abc$def\nsha:{SHA}abc\n# x:y\npaul:$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\r\nheavy:$2y$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n").Keys);
}
