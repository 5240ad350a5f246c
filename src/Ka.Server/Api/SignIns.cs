using System.Security.Cryptography;
using Ka.Core.Certificates;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Configuration;

namespace Ka.Server.Api;

/// <summary><c>/api/v1/auth</c>: how to sign in, for who has not yet.</summary>
public static class SignIns
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapGet("/api/v1/auth", Show).Needs(Audience.Users, Right.None).Produces<AuthReply>().Tagged();

    static IResult Show(AuthSettings settings)
    {
        if (settings.Oidc is not { } oidc)
            return Results.Json(new AuthReply(null), RestJson.Default.AuthReply);
        try
        {
            // The certificates alone, whatever else the file may hold.
            var authority = oidc.Authority is { } file ? GivenRoots.Read(file).ExportCertificatePems() : null;
            return Results.Json(new AuthReply(new OidcReply(oidc.Issuer, oidc.ClientId, oidc.Scopes, authority)), RestJson.Default.AuthReply);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            return Problems.Of(Fault.Of(FaultCodes.AuthIssuerUnreachable, "the file of the issuer's authorities cannot be read"));
        }
    }
}
