using System.Collections.Immutable;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Tests.Server;

/// <summary>A server that takes the tokens of an issuer; olga is operator, and so is who is in <c>staff</c>.</summary>
public sealed class ServerWithIssuer : RunningServer
{
    public TestIssuer Issuer { get; private set; } = null!;

    public OidcSettings Settings => new(Issuer.Issuer, "ka", "ka", OidcSettings.UsualUser, "groups", OidcSettings.UsualScopes, IssuerFile);

    string IssuerFile
    {
        get
        {
            var file = PathOf("issuer.pem");
            if (!File.Exists(file))
                File.WriteAllText(file, Issuer.AuthorityPem);
            return file;
        }
    }

    protected override AuthSettings With(AuthSettings settings) => settings with { Oidc = Settings, Operators = ["olga", "@staff"] };

    public override async ValueTask InitializeAsync()
    {
        Issuer = await TestIssuer.StartAsync();
        await base.InitializeAsync();
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await Issuer.DisposeAsync();
    }
}

/// <summary>What the server believes of tokens of the site's issuer, and what not.</summary>
public sealed class TakingIssuedTokens(ServerWithIssuer server) : IClassFixture<ServerWithIssuer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    TestIssuer Issuer => server.Issuer;

    HttpClient With(string token) => server.Remote(new AuthenticationHeaderValue("Bearer", token));

    async Task<WhoReply> WhoAsync(string token) => JsonSerializer.Deserialize(await With(token).GetStringAsync("whoami", Cancel), RestJson.Default.WhoReply)!;

    JsonObject Claims(string name = "alice", params string[] groups)
    {
        var claims = Issuer.Claims();
        (claims["preferred_username"], claims["groups"]) = (name, new JsonArray([.. groups.Select(g => (JsonNode)g)]));
        return claims;
    }

    JsonObject Claims(Action<JsonObject> change)
    {
        var claims = Claims();
        change(claims);
        return claims;
    }

    public static TheoryData<string> Algorithms => ["rsa RS256", "pss PS256", "p256 ES256", "p384 ES384"];

    [Theory, MemberData(nameof(Algorithms))]
    public async Task A_token_that_the_issuer_signed_is_the_name_in_its_claim(string key)
    {
        var words = key.Split(' ');
        var me = await WhoAsync(Issuer.Token(Claims(), new SigningKey(words[0], words[1])));
        Assert.Equal(("alice", "user", "oidc " + Issuer.Issuer), (me.Name, me.Role, me.By));
        Assert.Equal("operator", (await WhoAsync(Issuer.Token(Claims("olga"), new SigningKey(words[0], words[1])))).Role);
    }

    [Fact]
    public async Task A_token_says_its_kind_or_not_and_its_audience_may_be_one_of_several()
    {
        foreach (var kind in (string[])["at+jwt", "application/at+jwt", "JWT"])
            await WhoAsync(Issuer.Token(Claims(), null, h => h["typ"] = kind));
        await WhoAsync(Issuer.Token(Claims(), null, h => h.Remove("typ")));
        await WhoAsync(Issuer.Token(Claims(c => c["aud"] = new JsonArray("other", "ka"))));
    }

    [Fact]
    public async Task Clocks_may_be_a_minute_apart()
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        await WhoAsync(Issuer.Token(Claims(c => c["exp"] = now - 30)));
        await WhoAsync(Issuer.Token(Claims(c => (c["nbf"], c["iat"]) = (now + 30, now + 30))));
    }

    /// <summary>What is wrong, and what is said of it.</summary>
    Dictionary<string, (string Token, string Says)> Bad
    {
        get
        {
            var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
            var rsa = Issuer.Keys[0];
            var stranger = rsa with { Id = "foreign" };
            var spki = Encoding.ASCII.GetBytes(((RSA)rsa.Key).ExportSubjectPublicKeyInfoPem());
            var good = Issuer.Token(Claims()).Split('.');
            string Text(string payload) => TestIssuer.Signed(new JsonObject { ["alg"] = "RS256", ["kid"] = rsa.Id }, payload, rsa.Sign);
            return new()
            {
                ["another issuer"] = (Issuer.Token(Claims(c => c["iss"] = "https://elsewhere.example.org")), "of another issuer"),
                ["an issuer with a slash more"] = (Issuer.Token(Claims(c => c["iss"] = Issuer.Issuer + "/")), "of another issuer"),
                ["another audience"] = (Issuer.Token(Claims(c => c["aud"] = "wiki")), "it is not for 'ka'"),
                ["no audience"] = (Issuer.Token(Claims(c => c.Remove("aud"))), "it is not for 'ka'"),
                ["over"] = (Issuer.Token(Claims(c => c["exp"] = now - 61)), "it is over since"),
                ["without an end"] = (Issuer.Token(Claims(c => c.Remove("exp"))), "until when"),
                ["an end that is no number"] = (Issuer.Token(Claims(c => c["exp"] = "tomorrow")), "no JSON Web Token"),
                ["not yet"] = (Issuer.Token(Claims(c => c["nbf"] = now + 90)), "not good yet"),
                ["algorithm none"] = (TestIssuer.Signed(new JsonObject { ["alg"] = "none" }, Claims().ToJsonString(), _ => []), "its algorithm"),
                ["HS256 with the public key"] = (TestIssuer.Signed(new JsonObject { ["alg"] = "HS256", ["kid"] = rsa.Id }, Claims().ToJsonString(), t => HMACSHA256.HashData(spki, t)), "its algorithm"),
                ["an algorithm that is not taken"] = (Issuer.Token(Claims(), null, h => h["alg"] = "RS512"), "its algorithm"),
                ["an algorithm that is not the key's"] = (Issuer.Token(Claims(), null, h => h["alg"] = "ES256"), "no key"),
                ["PS256 said, RS256 done"] = (Issuer.Token(Claims(), null, h => h["alg"] = "PS256"), "signature"),
                ["a key that is unknown"] = (Issuer.Token(Claims(), stranger), "no key"),
                ["a key of somebody else under a known name"] = (Issuer.Token(Claims(), stranger, h => h["kid"] = rsa.Id), "signature"),
                ["no name of a key where several fit"] = (Issuer.Token(Claims(), null, h => h.Remove("kid")), "no key"),
                ["its own key in the header"] = (Issuer.Token(Claims(), stranger, h => (h["kid"], h["jwk"]) = (rsa.Id, stranger.Jwk)), "signature"),
                ["another payload"] = ($"{good[0]}.{TestIssuer.Encode(Encoding.UTF8.GetBytes(Claims("root").ToJsonString()))}.{good[2]}", "signature"),
                ["no signature"] = ($"{good[0]}.{good[1]}.", "signature"),
                ["extensions"] = (Issuer.Token(Claims(), null, h => (h["crit"], h["b64"]) = (new JsonArray("b64"), true)), "extensions"),
                ["a token for logging out"] = (Issuer.Token(Claims(), null, h => h["typ"] = "logout+jwt"), "another kind"),
                ["no name, but a subject"] = (Issuer.Token(Claims(c => c.Remove("preferred_username"))), "no text in the claim 'preferred_username'"),
                ["a name that is no text"] = (Issuer.Token(Claims(c => c["preferred_username"] = 0)), "no text in the claim"),
                ["several names"] = (Issuer.Token(Claims(c => c["preferred_username"] = new JsonArray("alice", "root"))), "no text in the claim"),
                ["a name twice"] = (Text(Claims().ToJsonString()[..^1] + ",\"preferred_username\":\"root\"}"), "no JSON Web Token"),
                ["a group for a name"] = (Issuer.Token(Claims("@staff")), "no login name"),
                ["everybody for a name"] = (Issuer.Token(Claims("*")), "no login name"),
                ["a name with a space"] = (Issuer.Token(Claims("alice root")), "no login name"),
                ["an empty name"] = (Issuer.Token(Claims("")), "no login name"),
                ["an address for a name"] = (Issuer.Token(Claims("alice@example.org")), "no login name"),
                ["a name that is too long"] = (Issuer.Token(Claims(new string('a', 65))), "no login name"),
                ["more than is read"] = (Issuer.Token(Claims(c => c["more"] = new string('x', IssuerTokens.Limit * 3 / 4))), "more than"),
                ["no JSON"] = (Text("alice"), "no JSON Web Token"),
                ["a list"] = (Text("[]"), ""),
                ["nothing"] = ("..", "no JSON Web Token"),
            };
        }
    }

    [Fact]
    public async Task Any_other_token_is_nobodys_and_the_reason_is_said_without_the_token()
    {
        using var tokens = new IssuerTokens(server.Settings, TimeProvider.System);
        foreach (var (what, (token, says)) in Bad)
        {
            var (said, fault) = await tokens.ReadAsync(token, Cancel);
            Assert.True(said is null && fault!.Code == FaultCodes.AuthMissing && fault.Message.Contains(says, StringComparison.Ordinal), $"{what}: {said?.Name} {fault?.Message}");
            using var reply = await With(token).GetAsync("whoami", Cancel);
            Assert.True((int)reply.StatusCode == 401, $"{what}: {reply.StatusCode}");
            Assert.Equal("auth.missing", (await RunningServer.ProblemOf(reply)).Code);
            Assert.All(token.Split('.').Where(p => p.Length > 20), part => Assert.DoesNotContain(part, $"{fault}", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task A_server_without_an_issuer_takes_no_such_token()
    {
        await using var other = new RunningServer();
        await other.InitializeAsync();
        using var http = other.Remote(new AuthenticationHeaderValue("Bearer", Issuer.Token(Claims("root"))));
        Assert.Equal(401, (int)(await http.GetAsync("whoami", Cancel)).StatusCode);
        Assert.Equal("{}", await other.WithoutToken.GetStringAsync("auth", Cancel));
    }

    [Fact]
    public async Task While_the_issuer_is_away_its_tokens_are_answered_with_503_and_other_proofs_as_ever()
    {
        await using var other = new ServerWithIssuer();
        await other.InitializeAsync();
        other.Issuer.Down["/jwks"] = true;
        using var http = other.Remote(new AuthenticationHeaderValue("Bearer", other.Issuer.Token(other.Issuer.Claims())));
        using var reply = await http.GetAsync("whoami", Cancel);
        var problem = await RunningServer.ProblemOf(reply);
        Assert.Equal((503, FaultCodes.AuthIssuerUnreachable.Text), (problem.Status, problem.Code));
        Assert.Contains("/jwks", problem.Detail, StringComparison.Ordinal);
        Assert.Equal(200, (int)(await other.Http.GetAsync("whoami", Cancel)).StatusCode);
    }

    [Fact]
    public async Task Who_has_not_signed_in_is_told_where()
    {
        using var reply = await server.WithoutToken.GetAsync("auth", Cancel);
        var told = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(Cancel), RestJson.Default.AuthReply)!.Oidc!;
        Assert.Equal((Issuer.Issuer, "ka", "openid profile", Issuer.AuthorityPem), (told.Issuer, told.ClientId, string.Join(' ', told.Scopes), told.Authority!.Trim()));
        var again = new HttpRequestMessage(HttpMethod.Get, "auth");
        again.Headers.IfNoneMatch.Add(reply.Headers.ETag!);
        Assert.Equal(304, (int)(await server.WithoutToken.SendAsync(again, Cancel)).StatusCode);
    }

    [Fact]
    public async Task A_group_of_the_claim_gives_roles_and_rights_until_a_later_token_says_otherwise()
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        string Token(string name, int at, params string[] groups)
        {
            var claims = Claims(name, groups);
            claims["iat"] = now + at;
            return Issuer.Token(claims);
        }
        var early = Token("gina", -50, "staff", "no group", "@team");
        var me = await WhoAsync(early);
        Assert.Equal(("operator", "staff"), (me.Role, string.Join(',', me.Groups)));
        Assert.Equal(("user", ""), await RoleAsync(Token("gina", -40)));
        Assert.Equal(("user", ""), await RoleAsync(early));
        await server.PostAsync("rights", "{\"subject\":\"@team\",\"nodes\":\"gris-5\"}");
        Assert.Contains("\"allowed\":false", await With(Token("gina", -30)).GetStringAsync("rights/check?nodes=gris-5", Cancel), StringComparison.Ordinal);
        Assert.Contains("\"allowed\":true", await With(Token("gina", -20, "team")).GetStringAsync("rights/check?nodes=gris-5", Cancel), StringComparison.Ordinal);

        async Task<(string, string)> RoleAsync(string token)
        {
            var who = await WhoAsync(token);
            return (who.Role, string.Join(',', who.Groups));
        }
    }

    [Fact]
    public void What_the_issuer_said_counts_between_requests_and_after_a_restart_until_it_was_long_ago()
    {
        using var directory = new TemporaryDirectory();
        var clock = new LeapingTime(DateTimeOffset.UtcNow);
        var began = clock.GetUtcNow();
        var settings = AuthSettings.Default with { Oidc = server.Settings };
        for (var restarts = 0; restarts < 2; restarts++)
        {
            using var database = new Database(directory["ka.db"]);
            var signIns = new SignInTable(database);
            if (restarts == 0)
                signIns.Note(new SignIn("hugo", ["team"], began, began + IssuerTokens.Counts), began);
            using var people = new Authentication(settings, ServerSecrets.Open(directory["state"]), new TokenTable(database), signIns, new Accounts(clock), clock);
            var hugo = people.Of("hugo", "oidc " + server.Issuer.Issuer);
            Assert.True(new Grant("G-1", "@team", null, [], null, null, null, "root", began).IsFor(hugo));
            Assert.True(people.StillProved(hugo));
            if (restarts == 0)
                continue;
            clock.Leap(IssuerTokens.Counts);
            Assert.Empty(people.Of("hugo", "owner").Groups);
            Assert.False(people.StillProved(hugo));
        }
    }
}
