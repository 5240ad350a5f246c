using Ka.Core.Faults;
using Ka.Server.Configuration;
using Ka.Server.Identity;

namespace Ka.Tests.Server;

/// <summary>When the keys of an issuer are fetched, and what becomes of tokens while it is away.</summary>
public sealed class KeepingIssuerKeys : IAsyncLifetime
{
    readonly TemporaryDirectory _directory = new();
    readonly LeapingTime _clock = new(DateTimeOffset.UtcNow);
    TestIssuer _issuer = null!;
    IssuerTokens _tokens = null!;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _issuer = await TestIssuer.StartAsync();
        _issuer.TokenClock = _clock;
        _tokens = new IssuerTokens(new OidcSettings(_issuer.Issuer, "ka", "ka", OidcSettings.UsualUser, null, OidcSettings.UsualScopes, _directory.Write("issuer.pem", _issuer.AuthorityPem)), _clock);
    }

    public async ValueTask DisposeAsync()
    {
        _tokens.Dispose();
        await _issuer.DisposeAsync();
        _directory.Dispose();
    }

    async Task<string> ReadAsync(SigningKey? key = null)
    {
        var (said, fault) = await _tokens.ReadAsync(_issuer.Token(_issuer.Claims(), key), Cancel);
        return said?.Name ?? fault!.Code.Text;
    }

    [Fact]
    public async Task Keys_are_fetched_once_and_again_when_they_are_old()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => ReadAsync()));
        Assert.Equal(1, _issuer.Count("/jwks"));
        _clock.Leap(IssuerKeys.Fresh);
        Assert.Equal("alice", await ReadAsync());
        Assert.Equal(2, _issuer.Count("/jwks"));
    }

    [Fact]
    public async Task A_new_key_is_fetched_but_tokens_of_unknown_keys_do_not_make_the_server_ask_more_often_than_it_may()
    {
        Assert.Equal("alice", await ReadAsync());
        var next = new SigningKey("next", "RS256");
        _issuer.Keys = [next];
        Assert.Equal("auth.missing", await ReadAsync(next));
        Assert.Equal(1, _issuer.Count("/jwks"));
        _clock.Leap(IssuerKeys.Pause);
        Assert.Equal("alice", await ReadAsync(next));
        Assert.Equal("auth.missing", await ReadAsync(new SigningKey("rsa", "RS256")));
        for (var i = 0; i < 20; i++)
            Assert.Equal("auth.missing", await ReadAsync(new SigningKey($"none-{i}", "ES256")));
        Assert.Equal(2, _issuer.Count("/jwks"));
    }

    [Theory]
    [InlineData(2048, "use", "sig", "alice")]
    [InlineData(2048, "alg", "RS256", "alice")]
    [InlineData(2048, "use", "enc", "auth.missing")]
    [InlineData(2048, "alg", "PS256", "auth.missing")]
    [InlineData(2048, "kty", "oct", "auth.missing")]
    [InlineData(1024, "use", "sig", "auth.missing")]
    public async Task A_key_signs_what_it_is_published_for_and_with_enough_bits(int bits, string member, string value, string expected)
    {
        var key = new SigningKey("sized", "RS256", bits);
        _issuer.Keys = [key];
        _issuer.KeysSay[member] = value;
        Assert.Equal(expected, await ReadAsync(key));
    }

    [Fact]
    public async Task A_token_need_not_name_its_key_where_only_one_fits()
    {
        _issuer.Keys = [new SigningKey("only", "ES256"), new SigningKey("rsa", "RS256")];
        var (said, fault) = await _tokens.ReadAsync(_issuer.Token(_issuer.Claims(), null, h => h.Remove("kid")), Cancel);
        Assert.True(said?.Name == "alice", fault?.Message);
    }

    [Theory]
    [InlineData("/.well-known/openid-configuration")]
    [InlineData("/jwks")]
    public async Task An_issuer_that_is_away_is_a_fault_of_its_own_and_known_keys_count_for_a_day(string path)
    {
        _issuer.Down[path] = true;
        Assert.Equal(FaultCodes.AuthIssuerUnreachable.Text, await ReadAsync());
        Assert.Equal(FaultCodes.AuthIssuerUnreachable.Text, await ReadAsync());
        Assert.Equal(1, _issuer.Count(path));
        _issuer.Down.Clear();
        _clock.Leap(IssuerKeys.Pause);
        Assert.Equal("alice", await ReadAsync());
        _issuer.Down[path] = true;
        _clock.Leap(IssuerKeys.Longest - TimeSpan.FromSeconds(1));
        Assert.Equal("alice", await ReadAsync());
        _clock.Leap(IssuerKeys.Pause);
        Assert.Equal(FaultCodes.AuthIssuerUnreachable.Text, await ReadAsync());
    }

    [Fact]
    public async Task An_issuer_that_calls_itself_otherwise_or_names_no_https_keys_is_not_believed()
    {
        foreach (var (name, value) in ((string, string?)[])[("issuer", "https://elsewhere.example.org"), ("jwks_uri", "http://127.0.0.1/jwks"), ("jwks_uri", null)])
        {
            _issuer.Says.Clear();
            _issuer.Says[name] = value;
            Assert.Equal(FaultCodes.AuthIssuerUnreachable.Text, await ReadAsync());
            _clock.Leap(IssuerKeys.Pause);
        }
        _issuer.Says.Clear();
        Assert.Equal("alice", await ReadAsync());
    }

    [Fact]
    public async Task An_issuer_under_another_authority_is_not_believed()
    {
        _directory.Write("issuer.pem", new TestAuthority().Certificate.ExportCertificatePem());
        Assert.Equal(FaultCodes.AuthIssuerUnreachable.Text, await ReadAsync());
    }
}
