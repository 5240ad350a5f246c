using System.Collections.Immutable;
using Ka.Core.Certificates;
using Ka.Core.Faults;
using Ka.Protocol.SignIn;
using Ka.Server.Configuration;
using Microsoft.IdentityModel.Tokens;

namespace Ka.Server.Identity;

/// <summary>
/// The keys by which an issuer signs (OpenID Connect Discovery 1.0, 3: <c>jwks_uri</c>; RFC 7517), kept. They are fetched when somebody needs them: none are known, they are
/// no longer fresh, or a token names one that is not among them; never more often than once in <see cref="Pause"/>, whoever sends what.
/// </summary>
sealed class IssuerKeys(OidcSettings settings, TimeProvider clock) : IDisposable
{
    internal static readonly TimeSpan Fresh = TimeSpan.FromHours(1), Pause = TimeSpan.FromSeconds(30);

    /// <summary>How long keys still count while the issuer cannot be reached.</summary>
    internal static readonly TimeSpan Longest = TimeSpan.FromHours(24);

    /// <summary>Most keys of one issuer, and the least size in bits of one of RSA (RFC 7518, 3.3).</summary>
    const int KeyLimit = 100, LeastRsa = 2048;

    readonly SemaphoreSlim _turn = new(1);
    readonly IssuerConnection _issuer = new(settings.Authority is { } file ? () => GivenRoots.Read(file) : null);
    volatile Known? _known;
    DateTimeOffset? _tried;
    Fault? _failed;

    sealed record Known(ImmutableArray<JsonWebKey> Keys, DateTimeOffset At);

    /// <summary>The key of a token; with no <paramref name="id"/> the only one that fits. Null, without a fault, when the issuer has no such key.</summary>
    public async Task<(JsonWebKey? Key, Fault? Fault)> FindAsync(string? id, string algorithm, CancellationToken cancel)
    {
        // Who needs no other keys does not wait for them.
        if (Held(id, algorithm, Fresh) is { } good)
            return (good, null);
        await _turn.WaitAsync(cancel);
        try
        {
            if (Held(id, algorithm, Fresh) is { } fetched)
                return (fetched, null);
            var now = clock.GetUtcNow();
            if (_tried is not { } tried || now - tried >= Pause)
            {
                _tried = now;
                // Others wait for the same answer, so nobody who leaves takes it away from them.
                _failed = await FetchAsync(now);
            }
            var key = Held(id, algorithm, Longest);
            return (key, key is null ? _failed : null);
        }
        finally
        {
            _turn.Release();
        }
    }

    JsonWebKey? Held(string? id, string algorithm, TimeSpan age)
    {
        if (_known is not { } known || clock.GetUtcNow() - known.At >= age)
            return null;
        var fit = known.Keys.Where(k => Fits(k, algorithm) && (id is null || k.Kid == id)).Take(2).ToArray();
        return fit.Length == 1 ? fit[0] : null;
    }

    static bool Fits(JsonWebKey key, string algorithm) =>
        key.Use is null or "" or "sig" && (string.IsNullOrEmpty(key.Alg) || key.Alg == algorithm) && algorithm switch
        {
            "RS256" or "PS256" => key.Kty == "RSA" && key.KeySize >= LeastRsa,
            "ES256" => key is { Kty: "EC", Crv: "P-256" },
            "ES384" => key is { Kty: "EC", Crv: "P-384" },
            _ => false,
        };

    async Task<Fault?> FetchAsync(DateTimeOffset now)
    {
        var (document, fault) = await _issuer.DiscoverAsync(settings.Issuer, CancellationToken.None);
        if (document is null)
            return fault;
        var address = document.JwksUri ?? "";
        var (status, text, lost) = await _issuer.GetAsync(address, CancellationToken.None);
        if (lost is not null)
            return lost;
        if (status != 200 || Keys(text!) is not { } keys)
            return IssuerConnection.Unfit(address, status == 200 ? "its answer is no JSON Web Key Set" : $"it answers {status}");
        _known = new Known(keys, now);
        return null;
    }

    static ImmutableArray<JsonWebKey>? Keys(string text)
    {
        try
        {
            return [.. new JsonWebKeySet(text).Keys.Take(KeyLimit)];
        }
        catch (Exception e) when (e is ArgumentException or System.Text.Json.JsonException or FormatException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        _turn.Dispose();
        _issuer.Dispose();
    }
}
