using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>A key that an issuer signs with: RSA, or the curve of the algorithm.</summary>
public sealed record SigningKey(string Id, string Algorithm, int Bits = 2048)
{
    static readonly ConcurrentDictionary<string, AsymmetricAlgorithm> Made = new();

    public AsymmetricAlgorithm Key => Made.GetOrAdd(Id + Bits + (Algorithm[0] == 'E' ? Algorithm : "RSA"), _ => Algorithm switch
    {
        "ES256" => ECDsa.Create(ECCurve.NamedCurves.nistP256),
        "ES384" => ECDsa.Create(ECCurve.NamedCurves.nistP384),
        _ => RSA.Create(Bits),
    });

    HashAlgorithmName Hash => Algorithm.EndsWith("384", StringComparison.Ordinal) ? HashAlgorithmName.SHA384 : HashAlgorithmName.SHA256;

    public byte[] Sign(byte[] text) => Key switch
    {
        RSA rsa => rsa.SignData(text, Hash, Algorithm[0] == 'P' ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1),
        ECDsa ec => ec.SignData(text, Hash),
        _ => throw new InvalidOperationException(),
    };

    public JsonObject Jwk
    {
        get
        {
            var jwk = new JsonObject { ["kid"] = Id, ["use"] = "sig" };
            if (Key is RSA rsa && rsa.ExportParameters(false) is var r)
                (jwk["kty"], jwk["n"], jwk["e"]) = ("RSA", TestIssuer.Encode(r.Modulus!), TestIssuer.Encode(r.Exponent!));
            else if (Key is ECDsa ec && ec.ExportParameters(false) is var e)
                (jwk["kty"], jwk["crv"], jwk["x"], jwk["y"]) = ("EC", Algorithm == "ES384" ? "P-384" : "P-256", TestIssuer.Encode(e.Q.X!), TestIssuer.Encode(e.Q.Y!));
            return jwk;
        }
    }
}

/// <summary>A small issuer of OpenID Connect over TLS in this process: discovery, keys, device flow, refresh and revocation. It signs with its own code, so that what reads its tokens is held to the standard.</summary>
public sealed class TestIssuer : IAsyncDisposable
{
    readonly TestAuthority _authority = new();
    WebApplication? _app;
    int _made;

    public string Issuer { get; private set; } = "";

    public string AuthorityPem => _authority.Certificate.ExportCertificatePem();

    /// <summary>What it publishes; the first signs what the token endpoint gives.</summary>
    public ImmutableArray<SigningKey> Keys { get; set; } = [new("rsa", "RS256"), new("pss", "PS256"), new("p256", "ES256"), new("p384", "ES384")];

    /// <summary>Members of each published key in place of the usual ones.</summary>
    public Dictionary<string, string> KeysSay { get; } = [];

    /// <summary>The time at which it is asked, and the time in its tokens.</summary>
    public TimeProvider Clock { get; set; } = TimeProvider.System;

    public TimeProvider TokenClock { get; set; } = TimeProvider.System;

    /// <summary>Paths that answer nothing but 503.</summary>
    public ConcurrentDictionary<string, bool> Down { get; } = new();

    /// <summary>Members of the discovery document in place of the usual ones; null leaves one out.</summary>
    public Dictionary<string, string?> Says { get; } = [];

    /// <summary>What the next polls get, before the person has confirmed: errors of RFC 8628, 3.5.</summary>
    public ConcurrentQueue<string> Polls { get; } = new();

    /// <summary>Who confirms, and in which groups.</summary>
    public (string Name, string[] Groups) Person { get; set; } = ("alice", []);

    public int Seconds { get; set; } = 300;

    public int CodeSeconds { get; set; } = 600;

    /// <summary>Paths that were asked for, and when.</summary>
    public ConcurrentQueue<(string Path, DateTimeOffset At)> Asked { get; } = new();

    public ConcurrentDictionary<string, bool> Refreshing { get; } = new();

    public ConcurrentBag<string> Revoked { get; } = [];

    public int Count(string path) => Asked.Count(a => a.Path == path);

    public static async Task<TestIssuer> StartAsync()
    {
        var issuer = new TestIssuer();
        var builder = QuietSite.Builder();
        builder.WebHost.UseKestrelHttpsConfiguration();
        var certificate = issuer._authority.Sign("CN=an issuer of a test", TestAuthority.ForServers, address: System.Net.IPAddress.Loopback);
        builder.WebHost.ConfigureKestrel(k => k.Listen(System.Net.IPAddress.Loopback, 0, l => l.UseHttps(certificate)));
        issuer._app = builder.Build();
        issuer._app.Run(issuer.AnswerAsync);
        await issuer._app.StartAsync();
        issuer.Issuer = issuer._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        return issuer;
    }

    async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        Asked.Enqueue((path, Clock.GetUtcNow()));
        if (Down.ContainsKey(path))
        {
            context.Response.StatusCode = 503;
            return;
        }
        var form = context.Request.HasFormContentType ? (await context.Request.ReadFormAsync()).ToDictionary(f => f.Key, f => f.Value.ToString()) : [];
        var (status, body) = path switch
        {
            "/.well-known/openid-configuration" => (200, Document()),
            "/jwks" => (200, new JsonObject { ["keys"] = new JsonArray([.. Keys.Select(Published)]) }),
            "/device" => form["client_id"] == "ka" && form["scope"].Split(' ').Contains("openid") ? (200, Device()) : (400, Error("invalid_client")),
            "/token" => Grant(form),
            "/revoke" => Revoke(form["token"]),
            _ => (404, []),
        };
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(body.ToJsonString());
    }

    JsonNode Published(SigningKey key)
    {
        var jwk = key.Jwk;
        foreach (var (name, value) in KeysSay)
            jwk[name] = value;
        return jwk;
    }

    JsonObject Document()
    {
        var document = new JsonObject
        {
            ["issuer"] = Issuer, ["jwks_uri"] = Issuer + "/jwks", ["token_endpoint"] = Issuer + "/token", ["device_authorization_endpoint"] = Issuer + "/device",
            ["revocation_endpoint"] = Issuer + "/revoke", ["response_types_supported"] = new JsonArray("code"),
        };
        foreach (var (name, value) in Says)
            if (value is null)
                document.Remove(name);
            else
                document[name] = value;
        return document;
    }

    JsonObject Device() => new()
    {
        ["device_code"] = "a-device-code", ["user_code"] = "WDJB-MJHT", ["verification_uri"] = Issuer + "/activate", ["verification_uri_complete"] = Issuer + "/activate?code=WDJB-MJHT",
        ["expires_in"] = CodeSeconds, ["interval"] = 7,
    };

    (int, JsonObject) Grant(Dictionary<string, string> form)
    {
        if (form["client_id"] != "ka")
            return (401, Error("invalid_client"));
        if (form["grant_type"] == "refresh_token")
            return Refreshing.TryRemove(form["refresh_token"], out _) ? (200, Tokens()) : (400, Error("invalid_grant"));
        if (form["grant_type"] != "urn:ietf:params:oauth:grant-type:device_code" || form["device_code"] != "a-device-code")
            return (400, Error("invalid_grant"));
        return Polls.TryDequeue(out var error) ? error == "503" ? (503, []) : (400, Error(error)) : (200, Tokens());
    }

    (int, JsonObject) Revoke(string token)
    {
        Revoked.Add(token);
        Refreshing.TryRemove(token, out _);
        return (200, []);
    }

    static JsonObject Error(string code) => new() { ["error"] = code };

    JsonObject Tokens()
    {
        var refresh = $"refresh-{Interlocked.Increment(ref _made)}";
        Refreshing[refresh] = true;
        return new() { ["access_token"] = Token(Claims()), ["token_type"] = "bearer", ["expires_in"] = Seconds, ["refresh_token"] = refresh };
    }

    /// <summary>The claims of a good token of the person.</summary>
    public JsonObject Claims()
    {
        var now = TokenClock.GetUtcNow().ToUnixTimeSeconds();
        return new()
        {
            ["iss"] = Issuer, ["aud"] = "ka", ["sub"] = "17", ["preferred_username"] = Person.Name, ["groups"] = new JsonArray([.. Person.Groups.Select(g => (JsonNode)g)]),
            ["iat"] = now, ["nbf"] = now, ["exp"] = now + Seconds, ["jti"] = $"{_made}",
        };
    }

    /// <summary>A token as RFC 7515, 3.1 says, signed by the first key unless another is given.</summary>
    public string Token(JsonObject claims, SigningKey? key = null, Action<JsonObject>? header = null)
    {
        key ??= Keys[0];
        var head = new JsonObject { ["alg"] = key.Algorithm, ["typ"] = "JWT", ["kid"] = key.Id };
        header?.Invoke(head);
        return Signed(head, claims.ToJsonString(), key.Sign);
    }

    public static string Signed(JsonObject header, string payload, Func<byte[], byte[]> sign)
    {
        var text = $"{Encode(Encoding.UTF8.GetBytes(header.ToJsonString()))}.{Encode(Encoding.UTF8.GetBytes(payload))}";
        return $"{text}.{Encode(sign(Encoding.ASCII.GetBytes(text)))}";
    }

    public static string Encode(byte[] bytes) => System.Buffers.Text.Base64Url.EncodeToString(bytes);

    public async ValueTask DisposeAsync()
    {
        await _app!.StopAsync();
        await _app.DisposeAsync();
    }
}

/// <summary>A clock whose waits are over at once, and which has then moved by them.</summary>
sealed class LeapingTime(DateTimeOffset start) : TimeProvider
{
    long _ticks = start.UtcTicks;

    public void Leap(TimeSpan by) => Interlocked.Add(ref _ticks, by.Ticks);

    public override DateTimeOffset GetUtcNow() => new(Interlocked.Read(ref _ticks), TimeSpan.Zero);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (dueTime != Timeout.InfiniteTimeSpan)
        {
            Leap(dueTime);
            ThreadPool.QueueUserWorkItem(_ => callback(state));
        }
        return new Fired();
    }

    sealed class Fired : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => false;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => default;
    }
}
