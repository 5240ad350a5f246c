using System.CommandLine;
using Ka.Cli.Login;
using Ka.Core.Faults;
using Ka.Protocol.Rest;
using Ka.Protocol.SignIn;

namespace Ka.Cli.Commands;

/// <summary><c>ka login</c> and <c>ka logout</c>.</summary>
static class LoginCommands
{
    public static Command Login()
    {
        var login = new Command("login", "Sign in to the server by the site's single sign-on; later commands to it use what was got");
        login.SetAction(LoginAsync);
        return login;
    }

    public static Command Logout()
    {
        var logout = new Command("logout", "Forget the sign-in to the server, and have the issuer take it back");
        logout.SetAction(LogoutAsync);
        return logout;
    }

    static async Task<int> LoginAsync(ParseResult parsed, CancellationToken cancel)
    {
        var address = Common.AddressFor(parsed) with { SignIn = null, Token = null, Password = null, Certificate = null };
        using var server = new Server(address);
        var reply = await server.GetAsync("api/v1/auth", RestJson.Default.AuthReply, cancel);
        if (reply.Value is not { } ways)
            return Terminal.Say(reply.Problem!);
        if (ways.Oidc is not { } oidc)
            return Terminal.Say(Fault.Of(FaultCodes.AuthNoIssuer, $"the server at {address.Address} names no issuer of single sign-on"));
        using var issuer = SignedIn.Connect(oidc.Authority);
        var (document, fault) = await issuer.DiscoverAsync(oidc.Issuer, cancel);
        if (document is null)
            return Terminal.Say(fault!);
        if (DeviceFlow.Of(issuer, document, oidc.ClientId, FlowClock.Current) is not { } flow)
            return Terminal.Say(Fault.Of(FaultCodes.AuthNoIssuer, $"{oidc.Issuer} offers no device flow (RFC 8628)"));
        (var begun, fault) = await flow.BeginAsync(oidc.Scopes, cancel);
        if (begun is null)
            return Terminal.Say(fault!);
        Console.Error.WriteLine(Terminal.Safe($"To sign in, open {begun.VerificationUri} in a browser and enter the code {begun.UserCode}"));
        if (begun.VerificationUriComplete is { } complete)
            Console.Error.WriteLine(Terminal.Safe($"or open {complete} and see that it shows this code."));
        (var granted, fault) = await flow.WaitAsync(begun, cancel);
        if (granted is null)
            return Terminal.Say(fault!);
        var stored = SignedIn.With(new StoredSignIn(address.Address, oidc.Issuer, oidc.ClientId, oidc.Authority, document.TokenEndpoint!, document.RevocationEndpoint, "", null, null), granted);
        return await KeepAsync(parsed, address, stored, cancel);
    }

    /// <summary>Only what the server takes is kept.</summary>
    static async Task<int> KeepAsync(ParseResult parsed, ServerAddress address, StoredSignIn stored, CancellationToken cancel)
    {
        using var server = new Server(address with { Token = stored.AccessToken });
        var reply = await server.GetAsync("api/v1/whoami", RestJson.Default.WhoReply, cancel);
        if (reply.Value is not { } me)
            return Terminal.Say(reply.Problem!);
        try
        {
            Common.SignInsOf(parsed).Write(stored);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: the sign-in cannot be kept: {e.Message}"));
            return ExitCodes.NotWritten;
        }
        if (Common.IsJson(parsed))
            Terminal.Json(me, RestJson.Default.WhoReply);
        else
            Console.WriteLine(Terminal.Safe($"Signed in to {address.Address} as {me.Name}, role {me.Role}"));
        return ExitCodes.Done;
    }

    static async Task<int> LogoutAsync(ParseResult parsed, CancellationToken cancel)
    {
        var (address, files) = (Common.AddressFor(parsed).Address, Common.SignInsOf(parsed));
        var (stored, _) = files.Read(address);
        try
        {
            if (!files.Delete(address))
            {
                Console.Error.WriteLine(Terminal.Safe($"Nobody is signed in to {address} here"));
                return ExitCodes.Done;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: {e.Message}"));
            return ExitCodes.NotWritten;
        }
        Console.Error.WriteLine(Terminal.Safe($"Signed out of {address}"));
        return stored is not null && await SignedIn.RevokeAsync(stored, cancel) is { } fault ? Terminal.Say(fault) : ExitCodes.Done;
    }
}
