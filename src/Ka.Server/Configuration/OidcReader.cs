using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Ka.Core.Documents;
using Ka.Protocol.SignIn;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>The issuer of single sign-on (OpenID Connect Core 1.0) whose tokens prove who somebody is.</summary>
/// <param name="Issuer">Exactly as it stands in its tokens.</param>
/// <param name="ClientId">What <c>ka login</c> calls itself there.</param>
/// <param name="Audience">For whom a token must be meant.</param>
/// <param name="User">The claim that is the login name.</param>
/// <param name="Groups">The claim that lists the groups; null for none.</param>
/// <param name="Scopes">What <c>ka login</c> asks for.</param>
/// <param name="Authority">PEM file of the only authorities that the issuer's own certificate may be of; null for those of the system.</param>
public sealed record OidcSettings(string Issuer, string ClientId, string Audience, string User, string? Groups, ImmutableArray<string> Scopes, string? Authority)
{
    public const string UsualUser = "preferred_username";
    public static readonly ImmutableArray<string> UsualScopes = ["openid", "profile"];
}

/// <summary>Reads <c>oidc</c> of <c>auth</c>.</summary>
static partial class OidcReader
{
    /// <summary>Longest client, audience, claim or scope.</summary>
    const int WordLimit = 256;

    public static OidcSettings? Read(YamlSection auth, string folder)
    {
        if (!auth.Has("oidc"))
            return null;
        var oidc = auth.Section("oidc", "issuer", "clientId", "audience", "user", "groups", "scopes", "authority");
        var issuer = oidc.RequiredText("issuer");
        if (issuer.Length > 0 && !IssuerConnection.IsIssuer(issuer))
            oidc.Refuse("issuer", SiteReader.Code, $"'{DocumentError.Cut(issuer)}' is no issuer", "an https address without query, exactly as it stands in the issuer's discovery document");
        var client = oidc.RequiredText("clientId");
        var scopes = oidc.Has("scopes") ? oidc.TextList("scopes") : OidcSettings.UsualScopes;
        if (!scopes.Contains("openid", StringComparer.Ordinal))
            oidc.Refuse("scopes", SiteReader.Code, "the scope 'openid' is missing", "as in [openid, profile]");
        var settings = new OidcSettings(
            issuer, client, oidc.Text("audience", client), oidc.Text("user", OidcSettings.UsualUser), oidc.OptionalText("groups"), scopes, AuthReader.Authority(oidc, folder));
        foreach (var (key, word) in scopes.Select(s => ("scopes", s)).Concat([("clientId", client), ("audience", settings.Audience), ("user", settings.User), ("groups", settings.Groups ?? "x")]))
            if (word.Length > WordLimit || !Word().IsMatch(word))
                oidc.Refuse(key, SiteReader.Code, $"'{DocumentError.Cut(word)}' is no word of 1 to {WordLimit} visible characters");
        return settings;
    }

    [GeneratedRegex(@"\A[\x21-\x7e]*\z")]
    private static partial Regex Word();
}
