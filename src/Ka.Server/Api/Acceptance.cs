using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary>The last step of every request for an operation: durable, its nodes taken, running.</summary>
public sealed class Acceptance(WorkflowTable workflows, OutOfUseTable outOfUse, WorkflowHost host)
{
    /// <param name="dryRun">Only say what would be.</param>
    /// <param name="skipped">Nodes that are left alone because nothing has to be done there, for the reply; null for none.</param>
    /// <param name="drained">Nodes that are out of use are meant, too.</param>
    public async Task<IResult> AcceptAsync(Workflow workflow, bool dryRun, CancellationToken cancel, bool drained = false, string? skipped = null)
    {
        if (Refusal(workflow.NodeNames, drained) is { } refused)
            return Problems.Of(refused);
        if (dryRun)
            return Results.Json(Reply(workflow, 0) with { Skipped = skipped }, RestJson.Default.OperationReply);
        var (fence, busy) = await Task.Run(() => workflows.Accept(workflow), cancel);
        if (!busy.IsEmpty)
            return Problems.Of(Busy(busy));
        host.Start(workflow, fence);
        // Between the look and the start somebody may have stopped everything; who stops ends what runs after having written it down.
        if (outOfUse.Stopped() is { } late)
            host.Cancel(workflow.Id, late.By, NodeUse.Stopped(late));
        return Results.Json(Reply(workflow, fence) with { Skipped = skipped }, RestJson.Default.OperationReply, statusCode: StatusCodes.Status201Created);
    }

    /// <summary>Why nothing may begin on these nodes, or null.</summary>
    public Fault? Refusal(IEnumerable<string> nodes, bool drained)
    {
        if (outOfUse.Stopped() is { } stop)
            return NodeUse.Stopped(stop);
        if (drained)
            return null;
        var table = outOfUse.Drained();
        var found = nodes.Where(table.ContainsKey).ToArray();
        return found.Length == 0 ? null : Fault.Of(
            FaultCodes.NodesDrained, $"{NodeSet.FromNames(found.Select(NodeName.Parse))} out of use",
            string.Join('\n', found.GroupBy(n => table[n].Reason).Select(g => $"{NodeSet.FromNames(g.Select(NodeName.Parse))}: {g.Key} ({table[g.First()].By})")));
    }

    static OperationReply Reply(Workflow workflow, long fence) =>
        Operations.Reply(new StoredWorkflow(workflow, WorkflowState.Running, fence, null), new OperationFold(workflow), _ => null, detailed: false);

    internal static Fault Busy(ImmutableArray<BusyNode> busy) => Fault.Of(
        FaultCodes.NodesBusy,
        string.Join("; ", busy.GroupBy(b => b.Workflow).Select(g => $"{NodeSet.FromNames(g.Select(b => NodeName.Parse(b.Node)))} held by {g.Key}")));
}
