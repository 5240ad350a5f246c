using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Drivers.Consoles;
using Ka.Protocol.Rest;
using Ka.Server.Consoles;
using Ka.Server.Hosting;
using Ka.Server.Identity;

namespace Ka.Server.Api;

/// <summary><c>/api/v1/consoles</c>: who is at which, a seat at one by WebSocket, and what a node printed.</summary>
public static class Consoles
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/consoles", List).Needs(Audience.Users, Right.View).Produces<ImmutableArray<ConsoleReply>>();
        routes.MapGet("/api/v1/consoles/{node}", SitAsync).Needs(Audience.Users, Right.Deploy).Produces<ImmutableArray<ConsoleReply>>();
        routes.MapGet("/api/v1/consoles/{node}/log", Log).Needs(Audience.Users, Right.Deploy).Produces(StatusCodes.Status200OK, contentType: "application/octet-stream");
    }

    /// <summary>Why somebody may not be at a node's console now: their role or the rules for the node, as both are at this moment.</summary>
    public static Fault? Refusal(NodeRights rights, Authentication people, Caller caller, ClusterNode node)
    {
        if (!people.StillProved(caller))
            return Fault.Of(FaultCodes.AuthMissing, $"{caller.By} is over or taken back");
        var now = people.Of(caller.Name, caller.By);
        now = now with { Role = (Role)Math.Min((int)now.Role, (int)caller.Role) };
        var least = Roles.Least(Right.Deploy)!.Value;
        return now.Role < least ? Access.TooLow(now, least) : rights.Refusal(now, [node], _ => PartitionNeed.Nothing);
    }

    static IResult List(ConsoleDesk desk) => Results.Json([.. desk.Seats.Select(Of)], RestJson.Default.ImmutableArrayConsoleReply);

    static ConsoleReply Of(ConsoleSeat seat) => new(seat.Node.Name, seat.Caller.Name, seat.Writes ? "write" : "watch", seat.Since);

    /// <summary>Without a WebSocket: whether a seat would be given, and who is there.</summary>
    static async Task<IResult> SitAsync(string node, bool? watch, HttpContext context, Requester who, Site site, ConsoleDesk desk, IHostApplicationLifetime lifetime)
    {
        if (Find(site, node, out var found) is { } unknown)
            return unknown;
        if (!context.WebSockets.IsWebSocketRequest)
            return (desk.Check(who.Caller, found, watch != true) ?? ConsoleProgram.Missing(found)) is { } refusal
                ? Problems.Of(refusal)
                : Results.Json([.. desk.Seats.Where(s => s.Node.Name == found.Name).Select(Of)], RestJson.Default.ImmutableArrayConsoleReply);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.ApplicationStopping);
        var (seat, fault) = await desk.SitAsync(who.Caller, found, watch != true, either.Token);
        if (seat is null)
            return Problems.Of(fault!);
        try
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            await ConsoleSocket.ServeAsync(socket, seat, desk, context.RequestAborted);
        }
        finally
        {
            desk.Leave(seat);
        }
        return Results.Empty;
    }

    static IResult Log(string node, Requester who, Site site, NodeRights rights, ConsoleDesk desk) =>
        Find(site, node, out var found) is { } unknown ? unknown
        : rights.Refusal(who.Caller, [found], _ => PartitionNeed.Nothing) is { } refusal ? Problems.Of(refusal)
        : Results.Bytes(desk.Recorded(found), "application/octet-stream");

    static IResult? Find(Site site, string name, out ClusterNode node)
    {
        node = site.Find(name) is { } found ? found.Node : null!;
        return node is null ? Problems.Of(Fault.Of(FaultCodes.NodesUnknown, $"no cluster of this server has {Ka.Core.Documents.DocumentError.Cut(name)}")) : null;
    }
}
