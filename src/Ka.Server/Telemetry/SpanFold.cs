using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Workflows;
using Ka.Server.Statistics;
using Ka.Server.Workflows;

namespace Ka.Server.Telemetry;

/// <summary>
/// Folds the journal of a workflow into the spans of its trace, by the journal's times: the workflow, below it each node's macro steps, below those each try of a micro
/// step. Pure: whoever asks, and after whatever crash, the same journal gives the same spans.
/// </summary>
public sealed class SpanFold
{
    /// <summary>A node in a macro step.</summary>
    sealed class Passage
    {
        public int Macro = -1;
        public DateTimeOffset From;
        public Position Step;
        public DateTimeOffset? StepFrom;
        public readonly List<OperationSpan> Steps = [];
    }

    readonly Workflow _workflow;
    readonly Plan _plan;
    readonly Passage[] _passages;
    readonly ImmutableArray<string> _names;
    readonly List<OperationSpan> _spans = [];
    Automaton _automaton;

    SpanFold(Workflow workflow, Plan plan)
    {
        (_workflow, _plan, _automaton, _names) = (workflow, plan, Automaton.For(plan), workflow.NodeNames);
        _passages = [.. _names.Select(_ => new Passage())];
    }

    /// <summary>Null for a workflow that has not ended, or one that an older server accepted and this one cannot plan.</summary>
    public static OperationSpan? Of(Workflow workflow, IEnumerable<JournalEntry> journal)
    {
        if (OperationFold.FindPlan(workflow) is not { } plan)
            return null;
        var fold = new SpanFold(workflow, plan);
        var until = workflow.CreatedAt;
        foreach (var entry in journal)
        {
            fold.Apply(entry.Event, entry.At);
            until = entry.At;
        }
        return fold._automaton.Ended ? fold.Whole(until) : null;
    }

    void Apply(EngineEvent happened, DateTimeOffset at)
    {
        if (happened is EngineEvent.Results results && _automaton.Running.TryGetValue(results.Group, out var group))
        {
            Leave(results.Ok & group.Nodes, null, at);
            foreach (var failed in results.Failed)
                Leave((failed.Nodes & group.Nodes) - results.Ok, failed.Fault, at);
        }
        (_automaton, var decisions) = _automaton.Apply(happened);
        foreach (var finish in decisions.OfType<Decision.Finish>())
        {
            Leave(finish.Nodes, finish.Fault, at);
            foreach (var node in finish.Nodes)
                Close(node, finish.Fault, at);
        }
        foreach (var (place, nodes) in _automaton.Gathering)
            foreach (var node in nodes)
                Enter(node, place.Macro, at);
        foreach (var run in decisions.OfType<Decision.Run>())
            foreach (var node in run.Group.Nodes)
            {
                Enter(node, run.Group.At.Macro, at);
                (_passages[node].Step, _passages[node].StepFrom) = (run.Group.At, at);
            }
    }

    void Enter(int node, int macro, DateTimeOffset at)
    {
        if (_passages[node].Macro == macro)
            return;
        Close(node, null, at);
        (_passages[node].Macro, _passages[node].From) = (macro, at);
    }

    /// <summary>Ends the steps that these nodes are in.</summary>
    void Leave(NodeBits nodes, Fault? fault, DateTimeOffset at)
    {
        foreach (var node in nodes)
        {
            var passage = _passages[node];
            if (passage.StepFrom is not { } from)
                continue;
            passage.Steps.Add(new OperationSpan(passage.Step.In(_plan).Name, from, at, Said(fault), Attributes(
                fault,
                ("ka.node", _names[node]),
                ("ka.macro_step", _plan.MacroSteps[passage.Step.Macro].Name),
                ("ka.strategy", _plan.MacroSteps[passage.Step.Macro].Strategies[passage.Step.Strategy].Name),
                ("ka.attempt", passage.Step.Try + 1)), []));
            passage.StepFrom = null;
        }
    }

    void Close(int node, Fault? fault, DateTimeOffset at)
    {
        var passage = _passages[node];
        if (passage.Macro >= 0)
            _spans.Add(new OperationSpan(
                _plan.MacroSteps[passage.Macro].Name, passage.From, at, Said(fault), Attributes(fault, ("ka.node", _names[node]), ("ka.operation", _workflow.Id)), [.. passage.Steps]));
        passage.Steps.Clear();
        passage.Macro = -1;
    }

    OperationSpan Whole(DateTimeOffset until)
    {
        var (ok, ko) = (_automaton.Ok.Count, _automaton.Ko.Count);
        var kind = _workflow.Kind.ToString().ToLowerInvariant();
        (string, string)? fault = ko == 0 ? null : ("", $"{ko} of {ok + ko} nodes have an end other than the one asked for");
        return new OperationSpan(kind, _workflow.CreatedAt, until, fault, Attributes(
            null,
            ("ka.operation", _workflow.Id), ("ka.kind", kind), ("ka.owner", _workflow.Owner), ("ka.cluster", _workflow.Cluster.Name), ("ka.environment", _workflow.Environment.Word),
            ("ka.nodes", ok + ko), ("ka.nodes.ok", ok), ("ka.nodes.failed", ko)).SetItem(0, new("ka.state", ko == 0 ? "ok" : ok == 0 ? "failed" : "partial")), [.. _spans.OrderBy(s => s.From)]);
    }

    static (string, string)? Said(Fault? fault) => fault is null ? null : (fault.Code.Text, fault.Message);

    static ImmutableArray<KeyValuePair<string, object?>> Attributes(Fault? fault, params ReadOnlySpan<(string Key, object? Value)> more)
    {
        var all = ImmutableArray.CreateBuilder<KeyValuePair<string, object?>>(more.Length + 2);
        all.Add(new("ka.state", Reports.Result(fault?.Code.Text)));
        foreach (var (key, value) in more)
            all.Add(new(key, value));
        // The field's name for the class of an error.
        if (fault is not null)
            all.Add(new("error.type", fault.Code.Text));
        return all.ToImmutable();
    }
}
