using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Workflows;
using Ka.Store;

namespace Ka.Server.Workflows;

/// <summary>What a turn of a workflow changes about what is known of its nodes.</summary>
static class NodeNotes
{
    /// <param name="known">What was known before; only asked for where it matters.</param>
    public static IEnumerable<NodeState> Of(Workflow workflow, WorkflowTurn turn, Func<IReadOnlyDictionary<string, NodeState>> known)
    {
        var started = turn.Entry.Event is EngineEvent.Started s ? s.Nodes : NodeBits.Empty;
        var finished = turn.Decisions.OfType<Decision.Finish>().ToArray();
        if (started.IsEmpty && finished.Length == 0)
            return [];
        return workflow.Kind switch
        {
            WorkflowKind.Deploy => started.Select(n => Of(workflow, turn, n, "deploying", workflow.Environment.Word, null))
                .Concat(finished.SelectMany(f => f.Nodes.Select(n => Of(
                    workflow, turn, n, f.Fault is not null ? "failed" : workflow.Options.Breakpoint is null ? "deployed" : "at breakpoint", workflow.Environment.Word, f.Fault)))),
            WorkflowKind.Reboot => Reboot(workflow, turn, started, finished, known()),
            WorkflowKind.Power => [],
        };
    }

    /// <summary>The environment on the disk stays what it was. One that was not well before is not by a reboot.</summary>
    static IEnumerable<NodeState> Reboot(Workflow workflow, WorkflowTurn turn, NodeBits started, Decision.Finish[] finished, IReadOnlyDictionary<string, NodeState> known)
    {
        foreach (var node in started)
            yield return Of(workflow, turn, node, "rebooting", known.GetValueOrDefault(workflow.NodeNames[node])?.Environment, known.GetValueOrDefault(workflow.NodeNames[node])?.Fault);
        foreach (var finish in finished)
            foreach (var node in finish.Nodes)
            {
                var before = known.GetValueOrDefault(workflow.NodeNames[node]);
                var state = finish.Fault is not null ? "failed" : workflow.Reboot!.To switch
                {
                    RebootTarget.Disk => before is { Environment: not null, Fault: null } ? "deployed" : "up",
                    RebootTarget.Minimal => "minimal",
                    RebootTarget.Profile => "profile",
                };
                yield return Of(workflow, turn, node, state, before?.Environment, finish.Fault);
            }
    }

    static NodeState Of(Workflow workflow, WorkflowTurn turn, int node, string state, string? environment, Core.Faults.Fault? fault) =>
        new(workflow.NodeNames[node], state, environment, workflow.Id, fault, turn.Entry.At);
}
