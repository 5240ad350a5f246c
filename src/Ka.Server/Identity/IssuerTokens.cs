using System.Collections.Immutable;
using System.Text.Json;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Server.Configuration;
using Ka.Store;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace Ka.Server.Identity;

/// <summary>
/// JSON Web Tokens of the site's issuer (RFC 7519, RFC 9068): signed by one of its keys with an asymmetric algorithm, for this server, and good now (RFC 8725). Whose a token is says the
/// claim of the configuration and no other.
/// </summary>
sealed class IssuerTokens(OidcSettings settings, TimeProvider clock) : IDisposable
{
    /// <summary>How far the issuer's clock may be from this one.</summary>
    static readonly TimeSpan Skew = TimeSpan.FromSeconds(60);

    /// <summary>How long after a token was issued its word counts for what goes on without further requests; longer when the token itself is good longer.</summary>
    internal static readonly TimeSpan Counts = TimeSpan.FromHours(12);

    /// <summary>Longest token in characters, and most groups that are read.</summary>
    internal const int Limit = 16 * 1024, GroupLimit = 1024;

    static readonly string[] Algorithms = ["RS256", "PS256", "ES256", "ES384"];

    readonly JsonWebTokenHandler _handler = new() { MaximumTokenSizeInBytes = Limit };
    readonly IssuerKeys _keys = new(settings, clock);

    /// <summary>Whether it has the form of a signed token; the server's own have no dots.</summary>
    public static bool IsForm(string text) => text.AsSpan().Count('.') == 2;

    /// <summary>What the token says, or why it is not taken.</summary>
    public async Task<(SignIn? Said, Fault? Fault)> ReadAsync(string text, CancellationToken cancel)
    {
        if (text.Length > Limit)
            return Refused($"it has more than {Limit} characters");
        JsonWebToken token;
        JsonDocument payload;
        try
        {
            token = _handler.ReadJsonWebToken(text);
            payload = JsonDocument.Parse(Base64UrlEncoder.DecodeBytes(token.EncodedPayload), new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 32 });
        }
        catch (Exception e) when (e is ArgumentException or FormatException or JsonException or SecurityTokenException)
        {
            return Refused("it is no JSON Web Token");
        }
        using (payload)
        {
            if (WrongHeader(token) is { } wrong)
                return Refused(wrong);
            if (Text(payload, "iss") != settings.Issuer)
                return Refused("it is of another issuer");
            var (key, fault) = await _keys.FindAsync(string.IsNullOrEmpty(token.Kid) ? null : token.Kid, token.Alg, cancel);
            if (key is null)
                return fault is null ? Refused("the issuer has no key that it is signed with") : (null, fault);
            return await NotProvedAsync(token, key) is { } not ? Refused(not) : Read(payload);
        }
    }

    /// <summary>Before any key is looked for. Kinds of token that are for something else say so in <c>typ</c> (RFC 8725, 3.11).</summary>
    static string? WrongHeader(JsonWebToken token) =>
        !Algorithms.Contains(token.Alg, StringComparer.Ordinal) ? "its algorithm is none of " + string.Join(", ", Algorithms)
        : token.Typ is { Length: > 0 } kind && kind.ToUpperInvariant() is not ("JWT" or "AT+JWT" or "APPLICATION/AT+JWT") ? "it is a token of another kind"
        : token.TryGetHeaderValue<object>("crit", out _) ? "it asks for extensions that are not known"
        : null;

    async Task<string?> NotProvedAsync(JsonWebToken token, JsonWebKey key)
    {
        var result = await _handler.ValidateTokenAsync(token, new TokenValidationParameters
        {
            ValidIssuer = settings.Issuer,
            ValidAudience = settings.Audience,
            ValidAlgorithms = Algorithms,
            IssuerSigningKey = key,
            // By the server's own clock, with what else a token says.
            ValidateLifetime = false,
        });
        return result.IsValid ? null
            : result.Exception is SecurityTokenInvalidAudienceException ? $"it is not for '{settings.Audience}'"
            : "its signature is wrong";
    }

    (SignIn?, Fault?) Read(JsonDocument payload)
    {
        var now = clock.GetUtcNow();
        if (Time(payload, "exp") is not { } until)
            return Refused("it does not say until when it is good");
        if (until + Skew <= now)
            return Refused($"it is over since {until:yyyy-MM-dd HH:mm:ss} UTC");
        if (payload.RootElement.TryGetProperty("nbf", out _) && (Time(payload, "nbf") is not { } from || from - Skew > now))
            return Refused("it is not good yet");
        if (Text(payload, settings.User) is not { } name)
            return Refused($"it has no text in the claim '{settings.User}', which is to be the login name");
        if (!PartitionWords.IsUser(name))
            return Refused($"the claim '{settings.User}' is no login name: '{Ka.Core.Documents.DocumentError.Cut(name)}'");
        var issued = Time(payload, "iat") is { } at && at < now ? at : now;
        return (new SignIn(name, Groups(payload), issued, issued + Counts > until ? issued + Counts : until), null);
    }

    /// <summary>Those that rules can name.</summary>
    ImmutableArray<string> Groups(JsonDocument payload)
    {
        if (settings.Groups is not { } claim || !payload.RootElement.TryGetProperty(claim, out var value))
            return [];
        JsonElement[] all = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : [value];
        return [.. all.Where(g => g.ValueKind == JsonValueKind.String).Select(g => g.GetString()!).Where(PartitionWords.IsUser).Distinct(StringComparer.Ordinal).Take(GroupLimit)];
    }

    static string? Text(JsonDocument payload, string claim) =>
        payload.RootElement is { ValueKind: JsonValueKind.Object } root && root.TryGetProperty(claim, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>Seconds since 1970, perhaps with a fraction (RFC 7519, 2).</summary>
    static DateTimeOffset? Time(JsonDocument payload, string claim) =>
        payload.RootElement.TryGetProperty(claim, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var seconds) && seconds is >= 0 and < 253_402_300_800 - 86_400
            ? DateTimeOffset.UnixEpoch.AddSeconds(seconds)
            : null;

    (SignIn?, Fault?) Refused(string why) => (null, Fault.Of(FaultCodes.AuthMissing, $"the token of single sign-on ({settings.Issuer}) is not taken: {why}"));

    public void Dispose() => _keys.Dispose();
}
