using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Planning;
using Ka.Engine.Workflows;
using Ka.Protocol.Rest;

namespace Ka.Server.Workflows;

/// <summary>
/// Reads a workflow's journal for people: each entry becomes one public event, and the fold of all is where every node stands.
/// The same for a running workflow, one that ended years ago, and a watcher who comes back.
/// </summary>
public sealed class OperationFold
{
    readonly Dictionary<int, (Fault Fault, Position At, int Tries)> _failures = [];
    readonly Dictionary<int, int> _tries = [];

    public OperationFold(Workflow workflow)
    {
        Workflow = workflow;
        Roster = new Roster(workflow.NodeNames);
        Plan = PlanOf(workflow);
        Automaton = Automaton.For(Plan);
    }

    public Workflow Workflow { get; }

    public Roster Roster { get; }

    public Plan Plan { get; }

    public Automaton Automaton { get; private set; }

    public long LastSeq { get; private set; }

    /// <summary>Nodes that a cancellation ended.</summary>
    NodeBits _cancelled = NodeBits.Empty;

    Fault _whyCancelled = Fault.Of(FaultCodes.OperationCancelled, "the operation was cancelled");

    public bool WasCancelled => !_cancelled.IsEmpty;

    /// <summary>The plan is a pure function of what was accepted, so it is never stored.</summary>
    public static Plan PlanOf(Workflow workflow)
    {
        var outcome = Outcome(workflow);
        return outcome.Plan ?? throw new InvalidOperationException($"{workflow.Id} was accepted and now has no plan: {string.Join("; ", outcome.Faults)}");
    }

    /// <summary>Null for one that an older server accepted and this one cannot plan.</summary>
    public static Plan? FindPlan(Workflow workflow) => Outcome(workflow).Plan;

    static PlanOutcome Outcome(Workflow workflow) => workflow.Kind switch
    {
        WorkflowKind.Deploy => Planner.Accepted(new DeployRequest(workflow.Environment, workflow.Cluster, workflow.Cluster.Nodes, workflow.AuthorizedKeys.Length > 0, null, workflow.Verify) { Options = workflow.Options }),
        WorkflowKind.Reboot => new PlanOutcome(OperationPlans.Reboot(workflow.Reboot!, workflow.Cluster, workflow.AuthorizedKeys.Length > 0, workflow.Options.Vlan), []),
        WorkflowKind.Power => new PlanOutcome(OperationPlans.Power(workflow.Power!, workflow.Cluster), []),
    };

    public WorkflowState State =>
        !Automaton.Ended ? WorkflowState.Running
        : WasCancelled ? WorkflowState.Cancelled
        : Automaton.Ko.IsEmpty ? WorkflowState.Done
        : Automaton.Ok.IsEmpty ? WorkflowState.Failed
        : WorkflowState.Partial;

    /// <summary>Takes the next entry and says it as a public event.</summary>
    public OperationEvent Apply(JournalEntry entry)
    {
        var before = Automaton;
        (Automaton, var decisions) = before.Apply(entry.Event);
        LastSeq = entry.Seq;
        var (kind, nodes, at, faults) = Read(before, entry.Event);
        var follows = decisions.Select(d => Follow(d, at)).OfType<EventFollow>().Concat(Waits(before)).ToImmutableArray();
        return new OperationEvent(
            entry.Seq, entry.At, Automaton.Ended ? "ended" : kind, Fold(nodes), nodes.Count,
            at is { } p ? Plan.MacroSteps[p.Macro].Name : null,
            at is { } q ? Plan.MacroSteps[q.Macro].Strategies[q.Strategy].Name : null,
            at?.In(Plan).Name,
            at?.Try ?? 0,
            faults, follows, State.ToString().ToLowerInvariant());
    }

    (string Kind, NodeBits Nodes, Position? At, ImmutableArray<EventFault> Faults) Read(Automaton before, EngineEvent happened)
    {
        switch (happened)
        {
            case EngineEvent.Started started:
                return ("started", started.Nodes, null, []);
            case EngineEvent.GatherElapsed elapsed:
                return ("gathered", before.Gathering.GetValueOrDefault(elapsed.At, NodeBits.Empty), elapsed.At, []);
            case EngineEvent.Cancelled cancelled:
                _whyCancelled = cancelled.Why ?? Fault.Of(FaultCodes.OperationCancelled, $"cancelled by {cancelled.By}");
                _cancelled |= before.Nodes - before.Ok - before.Ko;
                return ("cancelled", before.Nodes - before.Ok - before.Ko, null, []);
            case EngineEvent.Results results:
                if (!before.Running.TryGetValue(results.Group, out var group))
                    return ("ignored", NodeBits.Empty, null, []);
                var failed = results.Failed.Select(f => f with { Nodes = f.Nodes & group.Nodes }).Where(f => !f.Nodes.IsEmpty).ToArray();
                foreach (var fault in failed)
                    foreach (var node in fault.Nodes)
                    {
                        _tries[node] = _tries.GetValueOrDefault(node) + 1;
                        _failures[node] = (fault.Fault, group.At, _tries[node]);
                    }
                return (
                    failed.Length == 0 ? "step_ok" : "step_failed",
                    (results.Ok & group.Nodes) | failed.Aggregate(NodeBits.Empty, (all, f) => all | f.Nodes),
                    group.At,
                    [.. failed.Select(f => new EventFault(Fold(f.Nodes), f.Fault.Code.Text, f.Fault.Message, f.Fault.Evidence))]);
            default:
                throw new InvalidOperationException($"unknown event {happened.GetType().Name}");
        }
    }

    EventFollow? Follow(Decision decision, Position? from) => decision switch
    {
        Decision.Run { Group: var g } => new EventFollow(
            from is { } f && f.Macro == g.At.Macro && f.Strategy != g.At.Strategy ? "fallback" : from is { } r && r.Macro == g.At.Macro && r.Try < g.At.Try ? "retry" : "run",
            Fold(g.Nodes), g.Nodes.Count, Plan.MacroSteps[g.At.Macro].Name, Plan.MacroSteps[g.At.Macro].Strategies[g.At.Strategy].Name, g.At.In(Plan).Name, g.At.Try),
        Decision.Finish finish => new EventFollow(finish.Fault is null ? "ok" : "failed", Fold(finish.Nodes), finish.Nodes.Count, null, null, null, 0),
        _ => null,
    };

    /// <summary>Nodes that have just come to a gathering, the first as well as those that join it.</summary>
    IEnumerable<EventFollow> Waits(Automaton before) =>
        from gathering in Automaton.Gathering
        let at = gathering.Key
        let joined = gathering.Value - before.Gathering.GetValueOrDefault(at, NodeBits.Empty)
        where !joined.IsEmpty
        select new EventFollow(
            "wait", Fold(joined), joined.Count, Plan.MacroSteps[at.Macro].Name, Plan.MacroSteps[at.Macro].Strategies[at.Strategy].Name, at.In(Plan).Name, at.Try);

    public string Fold(NodeBits nodes) => nodes.IsEmpty ? "" : NodeSet.FromNames(Roster.NamesOf(nodes).Select(NodeName.Parse)).ToString();

    /// <summary>Where every node stands.</summary>
    public IEnumerable<NodeProgress> Nodes(Func<string, TransferState?> transferOf)
    {
        var places = new Dictionary<int, (Position At, string State)>();
        foreach (var group in Automaton.Running.Values)
            foreach (var node in group.Nodes)
                places[node] = (group.At, "running");
        foreach (var (at, nodes) in Automaton.Gathering)
            foreach (var node in nodes)
                places[node] = (at, "waiting");
        for (var i = 0; i < Roster.Count; i++)
            yield return Node(i, places, transferOf(Roster[i]));
    }

    NodeProgress Node(int index, Dictionary<int, (Position At, string State)> places, TransferState? transfer)
    {
        var failure = _failures.TryGetValue(index, out var f) && !_cancelled.Contains(index) ? f.Fault.Code.Text : null;
        if (places.TryGetValue(index, out var place))
        {
            var macro = Plan.MacroSteps[place.At.Macro];
            return new NodeProgress(
                Roster[index], place.State, place.At.Macro + 1, macro.Name, macro.Strategies[place.At.Strategy].Name, place.At.In(Plan).Name, place.At.Try,
                place.At.Try > 0 || place.At.Strategy > 0 ? failure : null, transfer?.Phase, transfer?.Done ?? 0, transfer?.Total, transfer?.BytesPerSecond ?? 0) { Slow = transfer?.Slow };
        }
        var state = Automaton.Ok.Contains(index) ? "ok" : Automaton.Ko.Contains(index) ? "failed" : "queued";
        return new NodeProgress(Roster[index], state, state == "ok" ? Plan.MacroSteps.Length : 0, null, null, null, 0, state == "failed" ? failure ?? _whyCancelled.Code.Text : null, null, 0, null, 0);
    }

    /// <summary>The nodes that failed, those that failed alike together.</summary>
    public IEnumerable<FailureReply> Failures()
    {
        var alike = Automaton.Ko
            .Select(n => (Node: n, Failure: _failures.TryGetValue(n, out var f) && !_cancelled.Contains(n) ? f : (_whyCancelled, default, 0)))
            .GroupBy(n => (n.Failure.Item1.Code, n.Failure.Item1.Message, n.Failure.Item2, n.Failure.Item3));
        foreach (var group in alike)
        {
            var nodes = NodeBits.From(group.Select(g => g.Node));
            var (fault, at, tries) = group.First().Failure;
            var explained = FaultCodes.Explain(fault.Code.Text);
            yield return new FailureReply(
                Fold(nodes), nodes.Count, Plan.MacroSteps[at.Macro].Name, at.In(Plan).Name, tries, fault.Code.Text, fault.Message, fault.Evidence,
                explained?.Meaning ?? "", explained?.Next ?? "");
        }
    }
}
