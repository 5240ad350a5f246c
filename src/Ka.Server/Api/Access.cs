using Ka.Core.Faults;
using Ka.Server.Hosting;

namespace Ka.Server.Api;

/// <summary>Who a route is for; each listener serves one of them and nothing else.</summary>
public enum Audience
{
    Users,
    BootingNodes,
    Agents,
}

/// <summary>What a route needs. A route without this answers nobody.</summary>
/// <param name="Right"><c>none</c> is open to everybody who reaches the listener; everything else needs a token.</param>
public sealed record RouteAccess(Audience Audience, string Right);

/// <summary>What a listener is for; set on each of its connections. A connection without it is of the users' listeners.</summary>
sealed record ListenerOf(Audience Audience);

/// <summary>Deny by default: wrong listener 404, no declared right 404, no token 401.</summary>
public static class Access
{
    public static TBuilder Needs<TBuilder>(this TBuilder route, Audience audience, string right)
        where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new RouteAccess(audience, right));

    public static void UseAccess(this IApplicationBuilder app, ServerSecrets secrets) => app.Use(async (context, next) =>
    {
        var access = context.GetEndpoint()?.Metadata.GetMetadata<RouteAccess>();
        if (context.GetEndpoint() is not null && (access is null || access.Audience != (context.Features.Get<ListenerOf>()?.Audience ?? Audience.Users)))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        if (access is { Audience: Audience.Users, Right: not "none" } && !(Bearer(context.Request) is { } token && secrets.Accepts(token)))
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
            await Problems.Of(StatusCodes.Status401Unauthorized, Fault.Of(FaultCodes.AuthMissing, "a token is needed")).ExecuteAsync(context);
            return;
        }
        await next();
    });

    public static string? Bearer(HttpRequest request) =>
        request.Headers.Authorization.ToString() is { } header && header.StartsWith("Bearer ", StringComparison.Ordinal) ? header["Bearer ".Length..].Trim() : null;
}
