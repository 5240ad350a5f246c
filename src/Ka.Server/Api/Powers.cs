using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Drivers.Power;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using PowerReply = Ka.Protocol.Rest.PowerReply;

namespace Ka.Server.Api;

/// <summary><c>/api/v1/power</c>: what the nodes' power is, and operations that change it.</summary>
public static class Powers
{
    /// <summary>Nodes that are asked at once, and how long each has.</summary>
    const int Window = 32;

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/power", StatusAsync).Needs(Audience.Users, Right.Deploy).Produces<ImmutableArray<PowerReply>>();
        routes.MapPost("/api/v1/power", PostAsync).Needs(Audience.Users, Right.Deploy).Accepts<PowerBody>("application/json").Produces<OperationReply>(StatusCodes.Status201Created).OnceByKey();
    }

    static async Task<IResult> StatusAsync(string nodes, Requester who, NodeRights rights, Site site, PowerDrivers drivers, TimeProvider clock, CancellationToken cancel)
    {
        if (NodeUse.Selected(nodes, site, out var set) is { } refusal)
            return refusal;
        ClusterNode[] asked = [.. set.Select(n => site.Find(n.Value)!.Value.Node)];
        if (rights.Refusal(who.Caller, asked, _ => PartitionNeed.Nothing) is { } denied)
            return Problems.Of(denied);
        var replies = await Windows.AskAsync(asked, Window, node => AskAsync(node, drivers, clock, cancel), cancel);
        return Results.Json(replies, RestJson.Default.ImmutableArrayPowerReply);
    }

    static async Task<PowerReply> AskAsync(ClusterNode node, PowerDrivers drivers, TimeProvider clock, CancellationToken cancel)
    {
        if (drivers.For(node.Power) is not { } driver)
            return Of(node, "unknown", Fault.Of(FaultCodes.PowerRefused, $"power driver '{node.Power.Kind}' is not known"));
        using var late = new CancellationTokenSource(Patience, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            var reply = await driver.AskAsync(node, PowerVerb.Status, either.Token);
            return Of(node, reply.On switch { true => "on", false => "off", null => "unknown" }, reply.Fault);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return Of(node, "unknown", Fault.Of(FaultCodes.PowerBmcUnreachable, $"no answer within {Patience.TotalSeconds:0} s"));
        }
    }

    static PowerReply Of(ClusterNode node, string power, Fault? fault) => new(node.Name, power, fault?.Code.Text, fault?.Message);

    static async Task<IResult> PostAsync(HttpRequest request, Requester who, NodeRights rights, Site site, Acceptance acceptance, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.PowerBody, cancel);
        if (body is null)
            return refusal!;
        var faults = new List<Fault>();
        var (cluster, _) = Deployments.FindNodes(site, body.Nodes, faults);
        var level = Levels.Read(body.Level, faults);
        PowerAction? action = body.Action switch { "on" => PowerAction.On, "off" => PowerAction.Off, "cycle" => PowerAction.Cycle, _ => null };
        if (action is null)
            faults.Add(Fault.Of(FaultCodes.RequestInvalid, $"'{DocumentError.Cut(body.Action)}' is nothing to do with power: on, off or cycle is expected"));
        if (faults.Count > 0)
            return Problems.Of(faults);
        if (Access.Denied(rights, who.Caller, cluster!, _ => PartitionNeed.Nothing, body.Drained) is { } denied)
            return Problems.Of(denied);
        var workflow = new Workflow(Ids.New("P", request), WorkflowKind.Power, who.Caller.Name, OsEnvironment.None, cluster!, [], clock.GetUtcNow()) { Power = new PowerWish(action!.Value, level) };
        return await acceptance.AcceptAsync(workflow, body.DryRun, cancel, body.Drained);
    }
}
