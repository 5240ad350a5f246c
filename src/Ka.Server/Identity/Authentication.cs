using System.Security.Cryptography;
using System.Text;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Store;

namespace Ka.Server.Identity;

/// <summary>
/// Who sends a request: what its Authorization header proves, else the certificate of its TLS connection, else the peer of a Unix socket, else
/// nobody. No other header, and nothing in a body, says who somebody is.
/// </summary>
public sealed class Authentication(AuthSettings settings, ServerSecrets secrets, TokenTable tokens, SignInTable signIns, Accounts accounts, TimeProvider clock) : IDisposable
{
    /// <summary>The account that the first token stands for.</summary>
    public const string First = "root";

    /// <summary>Longest Authorization header that is looked at.</summary>
    const int HeaderLimit = IssuerTokens.Limit + 100;

    const string TokenWord = "token ", IssuerWord = "oidc ";

    readonly Htpasswd? _passwords = settings.Htpasswd is { } path ? new Htpasswd(path, RandomNumberGenerator.GetBytes(32)) : null;

    readonly ClientCertificates? _certificates = settings.Authority is { } authority ? new ClientCertificates(authority, clock) : null;

    readonly IssuerTokens? _issuer = settings.Oidc is { } oidc ? new IssuerTokens(oidc, clock) : null;

    public async Task<(Caller? Caller, Fault? Fault)> IdentifyAsync(HttpContext context)
    {
        var header = context.Request.Headers.Authorization.ToString();
        if (header.Length == 0 && _certificates is not null && context.Connection.ClientCertificate is { } shown)
            return _certificates.TryName(shown, out var name, out var fault) ? (Of(name, $"certificate {shown.SerialNumber}"), null) : (null, fault);
        if (header.Length == 0)
            return context.Features.Get<PeerCredentials>() is { } peer
                ? (Of(Accounts.NameOf(peer.Uid), "socket"), null)
                : (null, Fault.Of(FaultCodes.AuthMissing, "the request does not say who sends it"));
        if (header.Length <= HeaderLimit && header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
            return await ByTokenAsync(header["Bearer ".Length..].Trim(), context.RequestAborted);
        if (header.Length <= HeaderLimit && header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase))
            return await ByPasswordAsync(header["Basic ".Length..].Trim(), context.RequestAborted);
        return (null, Fault.Of(FaultCodes.AuthMissing, "the Authorization header is neither Bearer nor Basic"));
    }

    async Task<(Caller?, Fault?)> ByTokenAsync(string text, CancellationToken cancel)
    {
        if (_issuer is not null && IssuerTokens.IsForm(text))
        {
            var (said, fault) = await _issuer.ReadAsync(text, cancel);
            if (said is null)
                return (null, fault);
            signIns.Note(said, clock.GetUtcNow());
            return (Of(said.Name, IssuerWord + settings.Oidc!.Issuer), null);
        }
        if (secrets.Accepts(text))
            return (new Caller(First, [], Role.Admin, "first token"), null);
        if (tokens.Find(ServerSecrets.Hash(text), clock.GetUtcNow()) is not { } token)
            return (null, Fault.Of(FaultCodes.AuthMissing, "the token is not known, over or taken back"));
        var owner = Of(token.Owner, TokenWord + token.Id);
        return (owner with { Role = (Role)Math.Min((int)owner.Role, (int)token.Role) }, null);
    }

    async Task<(Caller?, Fault?)> ByPasswordAsync(string text, CancellationToken cancel)
    {
        if (_passwords is null || Decode(text)?.Split(':', 2) is not [var name, var password])
            return (null, Fault.Of(FaultCodes.AuthMissing, _passwords is null ? "this server takes no passwords" : "the Basic credential is not NAME:PASSWORD in base64"));
        return await _passwords.AcceptsAsync(name, password, cancel) switch
        {
            true => (Of(name, "password"), null),
            false => (null, Fault.Of(FaultCodes.AuthMissing, "the name or the password is wrong")),
            null => (null, Fault.Of(FaultCodes.AuthBusy, "too many passwords are being checked")),
        };
    }

    static string? Decode(string base64)
    {
        var bytes = new byte[base64.Length];
        return Convert.TryFromBase64String(base64, bytes, out var length) ? Encoding.UTF8.GetString(bytes, 0, length) : null;
    }

    /// <summary>Who somebody is by name, with the role that the site gives now, in the groups of this machine and of the issuer's last word; also for the owners of operations that run.</summary>
    public Caller Of(string name, string by)
    {
        var groups = accounts.GroupsOf(name);
        if (settings.Oidc is not null && signIns.Find(name, clock.GetUtcNow()) is { Groups.IsEmpty: false } said)
            groups = [.. groups.Union(said.Groups, StringComparer.Ordinal)];
        return new Caller(name, groups, settings.RoleOf(name, groups), by);
    }

    /// <summary>Whether what proved a caller is good now: a token may have been taken back or be over, a sign-in may be long ago.</summary>
    public bool StillProved(Caller caller) =>
        caller.By.StartsWith(IssuerWord, StringComparison.Ordinal) ? signIns.Find(caller.Name, clock.GetUtcNow()) is not null
        : !caller.By.StartsWith(TokenWord, StringComparison.Ordinal)
        || tokens.All(caller.Name).Any(t => t.Id == caller.By[TokenWord.Length..] && t.RevokedAt is null && t.ExpiresAt > clock.GetUtcNow());

    public void Dispose()
    {
        _passwords?.Dispose();
        _issuer?.Dispose();
    }
}
