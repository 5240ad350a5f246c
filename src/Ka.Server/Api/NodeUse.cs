using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Ka.Server.Statistics;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>Nodes in and out of use, what happened to them, and the stop of everything.</summary>
public static class NodeUse
{
    const int ReasonLimit = 500, HistoryLimit = 1000;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/v1/nodes/drain", DrainAsync).Needs(Audience.Users, Right.Operate).Accepts<DrainBody>("application/json").Produces<DrainedReply>();
        routes.MapDelete("/api/v1/nodes/drain", Undrain).Needs(Audience.Users, Right.Operate).Produces<DrainedReply>();
        routes.MapGet("/api/v1/nodes/{name}/history", History).Needs(Audience.Users, Right.View).Produces<ImmutableArray<RunRow>>();
        routes.MapGet("/api/v1/stop", Status).Needs(Audience.Users, Right.View).Produces<StopReply>();
        routes.MapPost("/api/v1/stop", StopAsync).Needs(Audience.Users, Right.Operate).Accepts<StopBody>("application/json").Produces<StopReply>();
        routes.MapDelete("/api/v1/stop", Release).Needs(Audience.Users, Right.Operate).Produces<StopReply>();
    }

    static async Task<IResult> DrainAsync(HttpRequest request, Requester who, Site site, OutOfUseTable table, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.DrainBody, cancel);
        if (body is null)
            return refusal!;
        if (Selected(body.Nodes, site, out var set) is { } none)
            return none;
        if (BadReason(body.Reason) is { } bad)
            return bad;
        table.Drain(set.Select(n => n.Value), new OutOfUse(body.Reason, who.Caller.Name, clock.GetUtcNow()));
        return Results.Json(new DrainedReply(set.ToString(), set.Count), RestJson.Default.DrainedReply);
    }

    static IResult Undrain(string nodes, Site site, OutOfUseTable table)
    {
        if (Selected(nodes, site, out var set) is { } none)
            return none;
        var back = table.Undrain(set.Select(n => n.Value));
        return Results.Json(new DrainedReply(back.IsEmpty ? "" : NodeSet.FromNames(back.Select(NodeName.Parse)).ToString(), back.Length), RestJson.Default.DrainedReply);
    }

    static IResult History(string name, int? limit, Site site, RunTable runs) => site.Find(name) is null
        ? Problems.Of(Fault.Of(FaultCodes.NodesUnknown, $"there is no node '{Core.Documents.DocumentError.Cut(name)}'"))
        : Results.Json(runs.OfNode(name, Math.Clamp(limit ?? 20, 1, HistoryLimit)).Select(Reports.Row).ToImmutableArray(), RestJson.Default.ImmutableArrayRunRow);

    static IResult Status(OutOfUseTable table) => Results.Json(Reply(table, []), RestJson.Default.StopReply);

    /// <summary>First durable, then carried out: whatever is asked for from here on is refused, after a restart too.</summary>
    static async Task<IResult> StopAsync(HttpRequest request, Requester who, OutOfUseTable table, WorkflowHost host, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.StopBody, cancel);
        if (body is null)
            return refusal!;
        if (BadReason(body.Reason) is { } bad)
            return bad;
        table.Stop(new OutOfUse(body.Reason, who.Caller.Name, clock.GetUtcNow()));
        var ended = host.Running.Select(w => w.Id).Order(StringComparer.Ordinal).ToImmutableArray();
        foreach (var id in ended)
            host.Cancel(id, who.Caller.Name, Stopped(table.Stopped()!));
        return Results.Json(Reply(table, ended), RestJson.Default.StopReply);
    }

    static IResult Release(OutOfUseTable table)
    {
        table.Release();
        return Results.Json(Reply(table, []), RestJson.Default.StopReply);
    }

    internal static Fault Stopped(OutOfUse why) => Fault.Of(FaultCodes.ServerStopped, $"stopped by {why.By} at {why.At:yyyy-MM-dd HH:mm:ss'Z'}: {why.Reason}");

    static StopReply Reply(OutOfUseTable table, ImmutableArray<string> ended) =>
        table.Stopped() is { } why ? new StopReply(true, why.Reason, why.By, why.At, ended) : new StopReply(false, null, null, null, ended);

    /// <summary>Reads a node set of this site's nodes; the answer when it is none, or empty.</summary>
    internal static IResult? Selected(string words, Site site, out NodeSet set) => Nodes.Refuse(words, site, out set)
        ?? (set.IsEmpty ? Problems.Of(Fault.Of(FaultCodes.NodesEmpty, "the node set is empty")) : null);

    static IResult? BadReason(string reason) => reason.Trim().Length > 0 && reason.Length <= ReasonLimit && !reason.Any(char.IsControl)
        ? null
        : Problems.Of(Fault.Of(FaultCodes.RequestInvalid, $"a reason has 1 to {ReasonLimit} characters on one line"));
}
