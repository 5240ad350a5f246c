using System.Collections.Immutable;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Workflows;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Statistics;

/// <summary>Folds the journal of an ended workflow into one run for each of its nodes. Pure: the same journal gives the same runs.</summary>
public static class RunFold
{
    /// <summary>A node on its way through the journal.</summary>
    sealed class Passage
    {
        public DateTimeOffset Begun;
        public readonly long?[] Macros = new long?[3];
        public (Position At, bool Known) Failed;
        public int Failures;
    }

    public static ImmutableArray<NodeRun> Of(Workflow workflow, IEnumerable<JournalEntry> journal)
    {
        if (OperationFold.FindPlan(workflow) is not { } plan)
            return [];
        var automaton = Automaton.For(plan);
        var passages = workflow.NodeNames.Select(_ => new Passage()).ToArray();
        var runs = ImmutableArray.CreateBuilder<NodeRun>(passages.Length);
        foreach (var entry in journal)
        {
            if (entry.Event is EngineEvent.Started)
                foreach (var passage in passages)
                    passage.Begun = entry.At;
            if (entry.Event is EngineEvent.Results results && automaton.Running.TryGetValue(results.Group, out var group))
                Pass(results, group, plan, passages, entry.At);
            (automaton, var decisions) = automaton.Apply(entry.Event);
            foreach (var finish in decisions.OfType<Decision.Finish>())
                foreach (var node in finish.Nodes)
                    runs.Add(Run(workflow, plan, node, passages[node], finish.Fault, entry.At));
        }
        return runs.ToImmutable();
    }

    static void Pass(EngineEvent.Results results, NodeGroup group, Plan plan, Passage[] passages, DateTimeOffset at)
    {
        var strategy = plan.MacroSteps[group.At.Macro].Strategies[group.At.Strategy];
        foreach (var node in results.Failed.Aggregate(NodeBits.Empty, (all, f) => all | f.Nodes) & group.Nodes)
        {
            passages[node].Failures++;
            passages[node].Failed = (group.At, true);
        }
        if (group.At.Micro + 1 != strategy.Steps.Length)
            return;
        foreach (var node in results.Ok & group.Nodes)
        {
            var passage = passages[node];
            if (group.At.Macro < passage.Macros.Length)
                passage.Macros[group.At.Macro] = (long)(at - passage.Begun).TotalMilliseconds - passage.Macros.Take(group.At.Macro).Sum(m => m ?? 0);
        }
    }

    static NodeRun Run(Workflow workflow, Plan plan, int node, Passage passage, Fault? fault, DateTimeOffset at)
    {
        var (where, known) = passage.Failed;
        return new NodeRun(
            workflow.Id, workflow.NodeNames[node], workflow.Kind.ToString().ToLowerInvariant(), workflow.Cluster.Name, workflow.Owner, workflow.Environment.Word,
            workflow.CreatedAt, at, fault?.Code.Text, known ? plan.MacroSteps[where.Macro].Name : null, known ? where.In(plan).Name : null, passage.Failures, [.. passage.Macros]);
    }
}
