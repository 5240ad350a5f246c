using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Server.Identity;

namespace Ka.Server.Api;

/// <summary>Who a route is for; each listener serves one of them and nothing else.</summary>
public enum Audience
{
    Users,
    BootingNodes,
    Agents,
}

/// <summary>What a route needs. A route without this answers nobody.</summary>
public sealed record RouteAccess(Audience Audience, Right Right);

/// <summary>What a listener is for; set on each of its connections. A connection without it is of the users' listeners.</summary>
sealed record ListenerOf(Audience Audience);

/// <summary>Who sends a request; only on routes of people that need a right.</summary>
public sealed record Requester(Caller Caller)
{
    /// <exception cref="InvalidOperationException">The route needs no right, so nobody was asked for.</exception>
    public static ValueTask<Requester?> BindAsync(HttpContext context) =>
        ValueTask.FromResult<Requester?>(context.Features.Get<Requester>() ?? throw new InvalidOperationException("a route that asks who sends it must need a right"));
}

/// <summary>Deny by default: wrong listener 404, no declared right 404, nobody 401, too low a role 403. Which nodes is for <see cref="NodeRights"/>.</summary>
public static class Access
{
    public static TBuilder Needs<TBuilder>(this TBuilder route, Audience audience, Right right)
        where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new RouteAccess(audience, right));

    public static void UseAccess(this IApplicationBuilder app, Authentication authentication) => app.Use(async (context, next) =>
    {
        var access = context.GetEndpoint()?.Metadata.GetMetadata<RouteAccess>();
        var audience = context.Features.Get<ListenerOf>()?.Audience ?? Audience.Users;
        if (context.GetEndpoint() is { } endpoint && (access is null || access.Audience != audience))
        {
            // Which kinds of body a route reads, its endpoint says by one of its own.
            if (audience == Audience.Users && access is null && endpoint.DisplayName?.StartsWith("415", StringComparison.Ordinal) == true)
                await Problems.Of(Fault.Of(FaultCodes.RequestMediaType, $"'{DocumentError.Cut(context.Request.ContentType ?? "")}' is not read here")).ExecuteAsync(context);
            else
                await NotFoundAsync(context, audience);
            return;
        }
        if (access is { Audience: Audience.Users } && Roles.Least(access.Right) is { } least)
        {
            var (caller, fault) = await authentication.IdentifyAsync(context);
            if (caller is null)
            {
                context.Response.Headers.WWWAuthenticate = "Bearer, Basic realm=\"ka\", charset=\"UTF-8\"";
                await Problems.Of(fault!).ExecuteAsync(context);
                return;
            }
            if (caller.Role < least)
            {
                await Problems.Of(TooLow(caller, least)).ExecuteAsync(context);
                return;
            }
            context.Features.Set(new Requester(caller));
        }
        await next();
        if (context is { Response: { StatusCode: StatusCodes.Status404NotFound, HasStarted: false, ContentType: null, ContentLength: null } } && context.GetEndpoint() is null)
            await NotFoundAsync(context, audience);
    });

    /// <summary>Nodes are told nothing more.</summary>
    static Task NotFoundAsync(HttpContext context, Audience audience)
    {
        if (audience == Audience.Users)
            return Problems.Of(Fault.Of(FaultCodes.RequestNotFound, $"there is nothing under {context.Request.Method} '{DocumentError.Cut(context.Request.Path)}'")).ExecuteAsync(context);
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }

    /// <summary>Why the caller may not work on these nodes, and on drained ones only as an operator; null when they may.</summary>
    internal static Fault? Denied(NodeRights rights, Caller caller, Cluster cluster, Func<ClusterNode, PartitionNeed> need, bool drained) =>
        rights.Refusal(caller, cluster.Nodes, need) ?? (drained && caller.Role < Role.Operator ? TooLow(caller, Role.Operator) : null);

    internal static Fault TooLow(Caller caller, Role least) =>
        Fault.Of(FaultCodes.RightsRole, $"{caller.Name} is {caller.Role.Word()}; this needs {least.Word()}", $"rule role:{caller.Role.Word()}, by {caller.By}");

    public static string? Bearer(HttpRequest request) =>
        request.Headers.Authorization.ToString() is { } header && header.StartsWith("Bearer ", StringComparison.Ordinal) ? header["Bearer ".Length..].Trim() : null;
}
