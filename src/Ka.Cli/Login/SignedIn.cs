using System.Collections.Immutable;
using Ka.Core.Certificates;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Protocol.SignIn;

namespace Ka.Cli.Login;

/// <summary>The sign-in to one server as its requests use it: an access token that is good, got anew from the issuer when it is over (RFC 6749, 6).</summary>
public sealed class SignedIn(SignInFiles files, string server)
{
    /// <summary>So long before its end a token is got anew.</summary>
    static readonly TimeSpan Early = TimeSpan.FromSeconds(30);

    /// <summary>A good token, or why there is none; neither when nobody is signed in.</summary>
    public async Task<(string? Token, Fault? Fault)> TokenAsync(CancellationToken cancel)
    {
        var (stored, fault) = files.Read(server);
        if (stored is null || IsGood(stored))
            return (stored?.AccessToken, fault);
        using var mine = await files.LockAsync(server, cancel);
        // Somebody else may have got it meanwhile, and the issuer may take a refresh token only once.
        (stored, fault) = files.Read(server);
        return stored is null || IsGood(stored) ? (stored?.AccessToken, fault)
            : mine is null ? (null, Refused(stored, "another process has been renewing it for long"))
            : await RefreshAsync(stored, cancel);
    }

    static bool IsGood(StoredSignIn stored) => stored.ExpiresAt is not { } until || FlowClock.Current.GetUtcNow() < until - Early;

    async Task<(string?, Fault?)> RefreshAsync(StoredSignIn stored, CancellationToken cancel)
    {
        if (stored.RefreshToken is not { } refresh)
            return (null, Refused(stored, "its time is over"));
        using var issuer = Connect(stored.Authority);
        var (_, text, fault) = await issuer.PostAsync(stored.TokenEndpoint, [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", stored.ClientId)], cancel);
        if (fault is not null)
            return (null, fault);
        var reply = IssuerConnection.Read(text!, IssuerJson.Default.GrantReply);
        if (!DeviceFlow.IsGrant(reply))
            return reply?.Error is { } error ? (null, Refused(stored, DeviceFlow.Said(error, reply.ErrorDescription))) : (null, IssuerConnection.Unfit(stored.TokenEndpoint, "its answer holds no token"));
        var renewed = With(stored, reply!);
        try
        {
            files.Write(renewed);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (null, Refused(stored, e.Message));
        }
        return (renewed.AccessToken, null);
    }

    internal static StoredSignIn With(StoredSignIn stored, GrantReply reply) => stored with
    {
        AccessToken = reply.AccessToken!,
        RefreshToken = reply.RefreshToken ?? stored.RefreshToken,
        ExpiresAt = reply.ExpiresIn is { } seconds ? FlowClock.Current.GetUtcNow().AddSeconds(Math.Clamp(seconds, 0, 366 * 86_400)) : null,
    };

    /// <summary>Takes back what the issuer gave (RFC 7009); null when it did, or offers no way to.</summary>
    public static async Task<Fault?> RevokeAsync(StoredSignIn stored, CancellationToken cancel)
    {
        if (stored.RevocationEndpoint is not { } address)
            return null;
        using var issuer = Connect(stored.Authority);
        var kinds = stored.RefreshToken is { } refresh ? ImmutableArray.Create((refresh, "refresh_token"), (stored.AccessToken, "access_token")) : [(stored.AccessToken, "access_token")];
        foreach (var (token, kind) in kinds)
        {
            var (status, text, fault) = await issuer.PostAsync(address, [("token", token), ("token_type_hint", kind), ("client_id", stored.ClientId)], cancel);
            if (fault is not null)
                return fault;
            // An issuer need not be able to take back access tokens (RFC 7009, 2.2.1).
            if (status != 200 && IssuerConnection.Read(text!, IssuerJson.Default.GrantReply)?.Error is not "unsupported_token_type")
                return IssuerConnection.Unfit(address, $"it answers {status}");
        }
        return null;
    }

    /// <param name="authority">The only roots that are believed (PEM); null for those of the system.</param>
    internal static IssuerConnection Connect(string? authority) => new(authority is { } pem ? () => GivenRoots.Parse(pem) : null);

    static Fault Refused(StoredSignIn stored, string why) => Fault.Of(FaultCodes.AuthSignInRefused, $"the sign-in at {DocumentError.Cut(stored.Issuer)} cannot be used any more: {why}");
}
