using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.NodeSets;
using Ka.Core.Nodes;
using Ka.Engine.Automata;
using Ka.Simulation;

namespace Ka.Tests.Engine;

/// <summary>Sentences over a cluster that does not exist: the real planner, automaton and runner in virtual time.</summary>
sealed record Simulated(Roster Roster)
{
    public ulong Seed { get; init; } = 1;

    public SimulatedHardware Hardware { get; init; } = SimulatedHardware.Sound;

    public ImmutableArray<string> Faults { get; init; } = [];

    public int? CrashAfter { get; init; }

    public string? CancelledBy { get; init; }

    public int RebootWindow { get; init; } = 500;

    /// <summary>What the site says otherwise than the sample.</summary>
    public Func<Cluster, Cluster> Site { get; init; } = c => c;

    public DeployOptions Options { get; init; } = DeployOptions.Default;

    public static Simulated Cluster(string nodes) => new(new Roster([.. NodeSet.Parse(nodes).Select(n => n.Value)]));

    public Simulated With(params string[] faults) => this with { Faults = [.. Faults, .. faults] };

    public SimulatedEnd Deploy()
    {
        Assert.True(FaultPlan.TryParse(Faults, Roster, out var plan, out var error), error);
        var cluster = Site(SimulatedDeployment.SampleCluster(Roster.Names) with { RebootWindow = RebootWindow });
        return new SimulatedEnd(this, cluster, SimulatedDeployment.Run(Roster, Seed, Hardware, plan, cluster, CrashAfter, CancelledBy, Options));
    }
}

sealed record SimulatedEnd(Simulated Asked, Cluster Cluster, SimulatedOutcome Outcome)
{
    /// <param name="failed">As <c>gris-1 disk.io_error; gris-[2-3] boot.no_dhcp</c>.</param>
    public SimulatedEnd ShouldFinish(string ok, string failed = "")
    {
        var faults = Outcome.Faults
            .GroupBy(f => f.Value.Code.Text, f => f.Key).OrderBy(g => g.Min())
            .Select(g => $"{Text(NodeBits.From(g))} {g.Key}");
        Assert.Equal((ok, failed), (Text(Outcome.Ok), string.Join("; ", faults)));
        return EveryOkRunsItsSystem();
    }

    /// <summary>What the engine believes is what the machines are.</summary>
    public SimulatedEnd EveryOkRunsItsSystem()
    {
        Assert.All(Outcome.Ok, node => Assert.True(Outcome.World.RunsDeployed(node), Asked.Roster[node]));
        return this;
    }

    /// <summary>Every node has exactly one end, which the fold of the journal gives again.</summary>
    public SimulatedEnd EveryNodeEndsOnce()
    {
        var automaton = Automaton.For(SimulatedDeployment.PlanFor(Asked.Roster, Cluster, options: Asked.Options));
        var ends = new int[Asked.Roster.Count];
        foreach (var entry in Outcome.Journal)
        {
            (automaton, var decisions) = automaton.Apply(entry.Event);
            foreach (var node in decisions.OfType<Decision.Finish>().SelectMany(f => f.Nodes))
                ends[node]++;
        }
        Assert.All(ends, e => Assert.Equal(1, e));
        Assert.True(automaton.Ended);
        Assert.Equal((Outcome.Ok, Outcome.Ko), (automaton.Ok, automaton.Ko));
        Assert.Equal(Enumerable.Range(1, Outcome.Journal.Length).Select(i => (long)i), Outcome.Journal.Select(e => e.Seq));
        Assert.Equal(Outcome.Ko, NodeBits.From(Outcome.Faults.Keys));
        return this;
    }

    /// <summary>Virtual time at which the node had its end.</summary>
    public DateTimeOffset EndOf(string node)
    {
        var index = Asked.Roster.IndexOf(node)!.Value;
        var automaton = Automaton.For(SimulatedDeployment.PlanFor(Asked.Roster, Cluster, options: Asked.Options));
        foreach (var entry in Outcome.Journal)
        {
            (automaton, _) = automaton.Apply(entry.Event);
            if (automaton.Ok.Contains(index) || automaton.Ko.Contains(index))
                return entry.At;
        }
        throw new InvalidOperationException($"{node} never ended");
    }

    string Text(NodeBits nodes) => nodes.IsEmpty ? "" : NodeSet.FromNames(Asked.Roster.NamesOf(nodes).Select(NodeName.Parse)).ToString();
}
