using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Rights;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Environments;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>POST /api/v1/operations/{id}/retry</c>: the same again, as it was frozen then, on all its nodes or on those that did not end well.</summary>
public static class Retries
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapPost("/api/v1/operations/{id}/retry", RetryAsync)
        .Needs(Audience.Users, Right.Deploy).Accepts<RetryBody>("application/json").Produces<OperationReply>(StatusCodes.Status201Created).OnceByKey();

    static async Task<IResult> RetryAsync(
        string id, HttpRequest request, Requester who, NodeRights rights, Site site, WorkflowTable workflows, Journal journal, FileStore files, Acceptance acceptance, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(request, RestJson.Default.RetryBody, cancel);
        if (body is null)
            return refusal!;
        if (workflows.Find(id) is not { } stored)
            return Operations.Unknown(id);
        if (Operations.Owns(who.Caller, stored.Workflow) is { } notYours)
            return Problems.Of(notYours);
        if (stored.State == WorkflowState.Running)
            return Problems.Of(Fault.Of(FaultCodes.NodesBusy, $"{id} is still running"));
        var before = stored.Workflow;
        var fold = Operations.Folded(before, journal);
        var again = before.Cluster.Nodes.Where((_, i) => !body.Failed || !fold.Automaton.Ok.Contains(i)).ToArray();
        if (again.Length == 0)
            return Problems.Of(Fault.Of(FaultCodes.NodesEmpty, $"{id} ended well on every node"));
        if (again.Where(n => site.Find(n.Name) is null).Select(n => NodeName.Parse(n.Name)).ToArray() is { Length: > 0 } gone)
            return Problems.Of(Fault.Of(FaultCodes.NodesUnknown, $"no cluster of this server has {NodeSet.FromNames(gone)} any more"));
        if (before.Kind == WorkflowKind.Deploy && Registrar.FilesOf(before.Environment).FirstOrDefault(f => !files.Has(f)) is { } missing)
            return Problems.Of(Fault.Of(FaultCodes.EnvironmentUnknown, $"{before.Environment.Word} is no longer in the store", missing));
        var workflow = before with { Id = Ids.New(id[..1], request), Owner = who.Caller.Name, CreatedAt = clock.GetUtcNow(), Cluster = before.Cluster with { Nodes = [.. again] } };
        return rights.Refusal(who.Caller, workflow.Cluster.Nodes, node => NodeRights.NeedOf(workflow, node)) is { } denied
            ? Problems.Of(denied)
            : await acceptance.AcceptAsync(workflow, body.DryRun, cancel);
    }
}
