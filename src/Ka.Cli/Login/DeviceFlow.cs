using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Protocol.SignIn;

namespace Ka.Cli.Login;

/// <summary>The device authorization grant (RFC 8628): a person confirms in a browser, wherever it is, what a program began here.</summary>
sealed class DeviceFlow(IssuerConnection issuer, IssuerDocument document, string clientId, TimeProvider clock)
{
    const string Grant = "urn:ietf:params:oauth:grant-type:device_code";

    /// <summary>Seconds between two polls when the issuer does not say (RFC 8628, 3.2), and how many more after each <c>slow_down</c> (3.5).</summary>
    const int UsualInterval = 5, SlowDown = 5;

    /// <summary>Longest wait for a person, and between two polls, in seconds, whatever the issuer says.</summary>
    const int LongestLife = 24 * 3600, LongestInterval = 300;

    static readonly TimeSpan LongestBackOff = TimeSpan.FromMinutes(1);

    /// <summary>Null for an issuer that does not offer it.</summary>
    public static DeviceFlow? Of(IssuerConnection issuer, IssuerDocument document, string clientId, TimeProvider clock) =>
        document is { DeviceAuthorizationEndpoint: not null, TokenEndpoint: not null } ? new DeviceFlow(issuer, document, clientId, clock) : null;

    public async Task<(DeviceReply? Begun, Fault? Fault)> BeginAsync(IEnumerable<string> scopes, CancellationToken cancel)
    {
        var (status, text, fault) = await issuer.PostAsync(document.DeviceAuthorizationEndpoint!, [("client_id", clientId), ("scope", string.Join(' ', scopes))], cancel);
        if (fault is not null)
            return (null, fault);
        if (status != 200)
            return IssuerConnection.Read(text!, IssuerJson.Default.GrantReply) is { Error: { } error } refused
                ? (null, Fault.Of(FaultCodes.AuthSignInRefused, $"the issuer does not begin a sign-in: {Said(error, refused.ErrorDescription)}"))
                : (null, IssuerConnection.Unfit(document.DeviceAuthorizationEndpoint!, $"it answers {status}"));
        return IssuerConnection.Read(text!, IssuerJson.Default.DeviceReply) is { DeviceCode.Length: > 0, UserCode.Length: > 0 } begun && IsPage(begun.VerificationUri) && (begun.VerificationUriComplete is null || IsPage(begun.VerificationUriComplete))
            ? (begun, null)
            : (null, IssuerConnection.Unfit(document.DeviceAuthorizationEndpoint!, "its answer names no code and https page"));
    }

    /// <summary>What people are told to open.</summary>
    static bool IsPage(string? text) => Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme == Uri.UriSchemeHttps;

    /// <summary>Polls until the person has decided or the code is over.</summary>
    public async Task<(GrantReply? Granted, Fault? Fault)> WaitAsync(DeviceReply begun, CancellationToken cancel)
    {
        var until = clock.GetUtcNow().AddSeconds(Math.Clamp(begun.ExpiresIn, 1, LongestLife));
        var interval = TimeSpan.FromSeconds(Math.Clamp(begun.Interval ?? UsualInterval, 1, LongestInterval));
        Fault? lost = null;
        while (true)
        {
            await Task.Delay(interval, clock, cancel);
            if (clock.GetUtcNow() >= until)
                return (null, lost ?? Refused("the code was not confirmed in time"));
            (var status, var text, lost) = await issuer.PostAsync(document.TokenEndpoint!, [("grant_type", Grant), ("device_code", begun.DeviceCode!), ("client_id", clientId)], cancel);
            if (lost is not null || status >= 500)
            {
                lost ??= IssuerConnection.Unfit(document.TokenEndpoint!, $"it answers {status}");
                interval = interval * 2 < LongestBackOff ? interval * 2 : interval < LongestBackOff ? LongestBackOff : interval;
                continue;
            }
            var reply = IssuerConnection.Read(text!, IssuerJson.Default.GrantReply);
            if (IsGrant(reply))
                return (reply, null);
            switch (reply?.Error)
            {
                case "authorization_pending":
                    continue;
                case "slow_down":
                    interval += TimeSpan.FromSeconds(SlowDown);
                    continue;
                case "access_denied":
                    return (null, Refused("it was denied"));
                case "expired_token":
                    return (null, Refused("the code was not confirmed in time"));
                case { } error:
                    return (null, Refused(Said(error, reply.ErrorDescription)));
                case null:
                    return (null, IssuerConnection.Unfit(document.TokenEndpoint!, "its answer holds neither a token nor an error"));
            }
        }
    }

    public static bool IsGrant(GrantReply? reply) => reply is { Error: null, AccessToken.Length: > 0 } && "Bearer".Equals(reply.TokenType, StringComparison.OrdinalIgnoreCase);

    internal static string Said(string error, string? description) => DocumentError.Cut(error) + (description is null ? "" : $": {DocumentError.Cut(description)}");

    static Fault Refused(string why) => Fault.Of(FaultCodes.AuthSignInRefused, $"not signed in: {why}");
}
