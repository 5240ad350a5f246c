using System.Text.Json;
using Ka.Cli.Login;
using Ka.Core.Faults;
using Ka.Tests.Server;

namespace Ka.Tests.Cli;

/// <summary><c>ka login</c>, what later commands make of it, and <c>ka logout</c>, against a real server and a real issuer; people answer at once, and waiting takes no time.</summary>
public sealed class LoggingIn : IClassFixture<ServerWithIssuer>, IDisposable
{
    readonly ServerWithIssuer _server;
    readonly TemporaryDirectory _directory = new();
    readonly LeapingTime _clock = new(DateTimeOffset.UtcNow);

    public LoggingIn(ServerWithIssuer server)
    {
        _server = server;
        server.Issuer.Asked.Clear();
        server.Issuer.Polls.Clear();
        server.Issuer.Says.Clear();
        server.Issuer.Down.Clear();
        server.Issuer.Revoked.Clear();
        (server.Issuer.Clock, server.Issuer.Person, server.Issuer.Seconds) = (_clock, ("alice", []), 300);
    }

    public void Dispose() => _directory.Dispose();

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    TestIssuer Issuer => _server.Issuer;

    string Address => _server.WithoutToken.BaseAddress!.GetLeftPart(UriPartial.Authority);

    SignInFiles Files => new(_directory["sign-ins"]);

    string Stored => File.ReadAllText(Files.PathOf(Address));

    Task<Told> RunAsync(params string[] words) => InAsync(["-S", Address, "--ca", _server.PathOf("state/users.pem"), .. words]);

    Task<Told> InAsync(params string[] words)
    {
        FlowClock.Current = _clock;
        return InProcess.RunAsync(["--sign-ins", _directory["sign-ins"], "--contexts", _directory["contexts.json"], .. words]);
    }

    async Task LogInAsync()
    {
        var told = await RunAsync("login");
        Assert.True(told.Status == 0, told.Errors);
    }

    [Fact]
    public async Task Who_confirms_the_code_is_signed_in_for_all_commands_that_follow()
    {
        Assert.Equal(77, (await RunAsync("whoami")).Status);
        var told = await RunAsync("login");
        Assert.True(told.Status == 0, told.Errors);
        Assert.Contains($"open {Issuer.Issuer}/activate in a browser and enter the code WDJB-MJHT", told.Errors, StringComparison.Ordinal);
        Assert.Contains($"{Issuer.Issuer}/activate?code=WDJB-MJHT", told.Errors, StringComparison.Ordinal);
        Assert.Equal($"Signed in to {Address} as alice, role user\n", told.Output);
        Assert.DoesNotContain("eyJ", told.Output + told.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("refresh-", told.Output + told.Errors, StringComparison.Ordinal);
        Assert.Contains($"alice  role user  by oidc {Issuer.Issuer}", (await RunAsync("whoami")).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await RunAsync("nodes", "ls")).Status);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Files.PathOf(Address)));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_directory["sign-ins"]));
    }

    [Fact]
    public async Task What_is_said_on_the_command_line_goes_before_the_sign_in()
    {
        await LogInAsync();
        await File.WriteAllTextAsync(_directory["token"], "ka_wrong", Cancel);
        Assert.Equal(77, (await RunAsync("whoami", "--token-file", _directory["token"])).Status);
        await File.WriteAllTextAsync(_directory["password"], RunningServer.PasswordOfPaul, Cancel);
        Assert.Contains("by password", (await RunAsync("whoami", "--user", "paul", "--password-file", _directory["password"])).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sign_in_is_for_one_server_and_a_context_of_it_uses_it()
    {
        await LogInAsync();
        Assert.Equal(0, (await InAsync("context", "add", "here", "-S", Address, "--ca", _server.PathOf("state/users.pem"))).Status);
        Assert.Contains("by oidc", (await InAsync("-C", "here", "whoami")).Output, StringComparison.Ordinal);
        Assert.Contains("by socket", (await InAsync("-S", "unix:" + _server.PathOf("kad.sock"), "whoami")).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await InAsync("-C", "here", "logout")).Status);
        Assert.Equal(77, (await InAsync("-C", "here", "whoami")).Status);
    }

    [Fact]
    public async Task Polls_come_at_the_issuers_pace_and_slower_when_it_says_so_or_does_not_answer()
    {
        foreach (var answer in (string[])["authorization_pending", "slow_down", "authorization_pending", "503"])
            Issuer.Polls.Enqueue(answer);
        await LogInAsync();
        var at = Issuer.Asked.Where(a => a.Path is "/device" or "/token").Select(a => a.At).ToArray();
        Assert.Equal([7, 7, 12, 12, 24], at.Zip(at.Skip(1)).Select(p => (int)(p.Second - p.First).TotalSeconds));
    }

    [Theory]
    [InlineData("access_denied", "it was denied")]
    [InlineData("expired_token", "not confirmed in time")]
    [InlineData("invalid_grant", "invalid_grant")]
    public async Task Who_is_refused_is_not_signed_in(string answer, string says)
    {
        Issuer.Polls.Enqueue(answer);
        var told = await RunAsync("login");
        Assert.True(told.Status == 77 && told.Errors.Contains(says, StringComparison.Ordinal) && told.Errors.Contains("auth.sign_in_refused", StringComparison.Ordinal), told.Errors);
        Assert.False(Files.Has(Address));
    }

    [Fact]
    public async Task A_code_that_nobody_confirms_is_given_up_when_it_is_over()
    {
        for (var i = 0; i < 200; i++)
            Issuer.Polls.Enqueue("authorization_pending");
        var told = await RunAsync("login");
        Assert.Equal((77, 85), (told.Status, Issuer.Count("/token")));
        Assert.Contains("not confirmed in time", told.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_server_does_not_take_is_not_kept()
    {
        Issuer.Person = ("no name", []);
        var told = await RunAsync("login");
        Assert.True(told.Status == 77 && told.Errors.Contains("no login name", StringComparison.Ordinal), told.Errors);
        Assert.False(Files.Has(Address));
    }

    [Theory]
    [InlineData("device_authorization_endpoint", null, "auth.no_issuer", 78)]
    [InlineData("device_authorization_endpoint", "http://127.0.0.1/device", "auth.issuer_unreachable", 69)]
    [InlineData("issuer", "https://elsewhere.example.org", "auth.issuer_unreachable", 69)]
    public async Task An_issuer_that_is_not_what_it_should_be_is_a_fault_of_its_own(string member, string? value, string code, int status)
    {
        Issuer.Says[member] = value;
        var told = await RunAsync("login");
        Assert.True(told.Status == status && told.Errors.Contains(code, StringComparison.Ordinal), told.Errors);
    }

    [Fact]
    public async Task An_issuer_that_is_away_is_said_at_once()
    {
        Issuer.Down["/.well-known/openid-configuration"] = true;
        var told = await RunAsync("login");
        Assert.True(told.Status == 69 && told.Errors.Contains("auth.issuer_unreachable", StringComparison.Ordinal), told.Errors);
    }

    [Fact]
    public async Task A_token_that_is_over_is_got_anew_once_whoever_needs_it()
    {
        await LogInAsync();
        var first = Stored;
        _clock.Leap(TimeSpan.FromSeconds(300));
        var asked = Issuer.Count("/token");
        var told = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => RunAsync("whoami")));
        Assert.All(told, t => Assert.Contains("alice", t.Output, StringComparison.Ordinal));
        Assert.Equal(asked + 1, Issuer.Count("/token"));
        Assert.NotEqual(first, Stored);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Files.PathOf(Address)));
        Assert.Equal(["json", "lock"], Directory.GetFiles(_directory["sign-ins"]).Select(f => f.Split('.')[^1]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_sign_in_that_the_issuer_took_back_says_to_sign_in_again()
    {
        await LogInAsync();
        Issuer.Refreshing.Clear();
        _clock.Leap(TimeSpan.FromSeconds(300));
        var told = await RunAsync("whoami");
        Assert.True(told.Status == 77 && told.Errors.Contains("invalid_grant  (auth.sign_in_refused)", StringComparison.Ordinal) && told.Errors.Contains("ka login", StringComparison.Ordinal), told.Errors);
        Issuer.Down["/token"] = true;
        Assert.Contains(FaultCodes.AuthIssuerUnreachable.Text, (await RunAsync("whoami")).Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_others_may_read_or_that_is_none_is_not_used()
    {
        await LogInAsync();
        var path = Files.PathOf(Address);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        var told = await RunAsync("whoami");
        Assert.True(told.Status == 77 && told.Errors.Contains("others may read it", StringComparison.Ordinal), told.Errors);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllTextAsync(path, Stored[..20], Cancel);
        told = await RunAsync("whoami");
        Assert.True(told.Status == 77 && told.Errors.Contains("holds no sign-in", StringComparison.Ordinal), told.Errors);
    }

    [Fact]
    public async Task Logging_out_forgets_everything_and_has_the_issuer_take_it_back()
    {
        await LogInAsync();
        var stored = JsonDocument.Parse(Stored).RootElement;
        var told = await RunAsync("logout");
        Assert.True(told.Status == 0, told.Errors);
        Assert.Equal(((string[])[stored.GetProperty("refreshToken").GetString()!, stored.GetProperty("accessToken").GetString()!]).Order(StringComparer.Ordinal), Issuer.Revoked.Order(StringComparer.Ordinal));
        Assert.Equal(77, (await RunAsync("whoami")).Status);
        told = await RunAsync("logout");
        Assert.True(told.Status == 0 && told.Errors.Contains("Nobody is signed in", StringComparison.Ordinal), told.Errors);
        await LogInAsync();
        Issuer.Down["/revoke"] = true;
        Assert.Equal(69, (await RunAsync("logout")).Status);
        Assert.False(Files.Has(Address));
    }

    [Fact]
    public async Task Logging_out_of_what_nobody_ever_signed_in_to_is_done()
    {
        var told = await RunAsync("logout");
        Assert.True(told.Status == 0 && told.Errors.Contains("Nobody is signed in", StringComparison.Ordinal), told.Errors);
    }

    [Fact]
    public async Task A_server_without_an_issuer_says_so()
    {
        await using var other = new RunningServer();
        await other.InitializeAsync();
        var told = await InAsync("-S", "unix:" + other.PathOf("kad.sock"), "login");
        Assert.True(told.Status == 78 && told.Errors.Contains("names no issuer of single sign-on  (auth.no_issuer)", StringComparison.Ordinal), told.Errors);
    }

    [Theory]
    [InlineData("/option", "/variable", "/state", "/option/")]
    [InlineData(null, "/variable", "/state", "/variable/")]
    [InlineData(null, null, "/state", "/state/ka/sign-ins/")]
    [InlineData(null, null, null, "/people/alice/.local/state/ka/sign-ins/")]
    public void Sign_ins_lie_where_the_option_the_variable_or_the_directory_of_ones_state_says(string? option, string? variable, string? state, string expected)
    {
        string? Variable(string name) => name switch { "KA_SIGN_INS" => variable, "XDG_STATE_HOME" => state, "HOME" => "/people/alice", _ => null };
        var path = SignInFiles.At(option, Variable).PathOf("https://ka.example.org:8443");
        Assert.StartsWith(expected, path, StringComparison.Ordinal);
        Assert.Equal(path, SignInFiles.At(option, Variable).PathOf("https://KA.example.org:8443/"));
        Assert.NotEqual(path, SignInFiles.At(option, Variable).PathOf("https://ka.example.org:8444"));
    }

    [Fact]
    public void What_is_kept_is_never_printed() =>
        Assert.Equal("sign-in to https://ka:8443", new StoredSignIn("https://ka:8443", "https://sso", "ka", null, "", null, "eyJsecret", "refresh", null).ToString());
}
