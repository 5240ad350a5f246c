using System.Collections.Immutable;
using Ka.Core.Nodes;
using Ka.Engine.Ports;

namespace Ka.Engine.Automata;

/// <summary>A whole workflow as data: macro steps in order.</summary>
/// <param name="Gather">How long a gathering step waits for nodes that are still under way.</param>
/// <param name="Breakpoint">The step before which all nodes are left as they are, or null: then the plan goes to a deployed system.</param>
public sealed record Plan(ImmutableArray<MacroStep> MacroSteps, TimeSpan Gather, string? Breakpoint = null);

/// <summary>One of the great phases; its strategies are tried in order.</summary>
public sealed record MacroStep(string Name, ImmutableArray<Strategy> Strategies);

/// <summary>One way to carry out a macro step: its micro steps in order, tried again <paramref name="Retries"/> times.</summary>
public sealed record Strategy(string Name, int Retries, ImmutableArray<MicroStep> Steps);

/// <summary>The smallest unit. A record that can run itself on a set of nodes.</summary>
/// <param name="Gathers">Wants the set together: starts when every node still under way has arrived, or after the plan's gather time.</param>
public abstract record MicroStep(string Name, TimeSpan TurnTimeout, bool Gathers = false)
{
    /// <summary>Runs on the nodes of a group. Each node yields one result; the stream may end early only when cancelled.</summary>
    public abstract IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel);
}

/// <param name="Try">0 for the first try of the strategy.</param>
public sealed record StepRun(NodeBits Nodes, AttemptId Attempt, int Try, Windows Windows);

/// <summary>The fan-out limits of a workflow.</summary>
/// <param name="Reboot">Simultaneous resets: power surge and boot storm.</param>
/// <param name="Systems">Simultaneous ssh sessions to running systems; each may send a kernel.</param>
public sealed record Windows(Window Reboot, Window Agents, Window Waiting, Window Systems);

/// <summary>Nodes travelling together through the plan.</summary>
/// <param name="Id">Grows with every group of the workflow; part of the attempt id.</param>
/// <param name="Try">0 for the first try of this strategy.</param>
public sealed record NodeGroup(int Id, NodeBits Nodes, Position At);

/// <summary>A place in the plan.</summary>
public readonly record struct Position(int Macro, int Strategy, int Try, int Micro)
{
    public MicroStep In(Plan plan) => plan.MacroSteps[Macro].Strategies[Strategy].Steps[Micro];
}
