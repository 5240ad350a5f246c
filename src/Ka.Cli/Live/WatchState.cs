using System.Collections.Immutable;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli.Live;

/// <summary>Where one node is, as the watcher knows it.</summary>
/// <param name="Macro">From 1; 0 before the first.</param>
public sealed record WatchedNode(string Name, int Macro, string? Strategy, string? Step, int Try, string State, NodeProgress? Transfer);

/// <summary>Folds the event stream of an operation into what a person wants to see. Knows no terminal and no clock.</summary>
/// <param name="macros">Names of the operation's macro steps.</param>
public sealed class WatchState(ImmutableArray<string> macros)
{
    /// <summary>Those of a deployment.</summary>
    public static readonly ImmutableArray<string> Deployment = ["SetDeploymentEnv", "BroadcastEnv", "BootNewEnv"];

    public WatchState()
        : this(Deployment)
    {
    }

    public ImmutableArray<string> Macros { get; } = macros;

    readonly Dictionary<string, WatchedNode> _nodes = new(StringComparer.Ordinal);

    public long LastSeq { get; private set; }

    public string State { get; private set; } = "running";

    public DateTimeOffset? StartedAt { get; private set; }

    public DateTimeOffset LastAt { get; private set; }

    /// <summary>When the last node left each macro step, for its duration.</summary>
    public Dictionary<int, (DateTimeOffset First, DateTimeOffset Last)> Times { get; } = [];

    public IReadOnlyCollection<WatchedNode> Nodes => _nodes.Values;

    public void Apply(OperationEvent happened)
    {
        LastSeq = happened.Seq;
        LastAt = happened.At;
        State = happened.State;
        StartedAt ??= happened.At;
        if (happened.Kind == "started")
            foreach (var name in Names(happened.Nodes))
                _nodes[name] = new WatchedNode(name, 0, null, null, 0, "queued", null);
        foreach (var follow in happened.Follows)
            Follow(happened, follow);
    }

    void Follow(OperationEvent happened, EventFollow follow)
    {
        var state = follow.What switch
        {
            "ok" => "ok",
            "failed" => "failed",
            "retry" or "fallback" => "retrying",
            "wait" => "waiting",
            _ => "running",
        };
        foreach (var name in Names(follow.Nodes))
            Move(name, state switch { "ok" => Macros.Length + 1, "failed" => _nodes.GetValueOrDefault(name)?.Macro ?? 0, _ => Macros.IndexOf(follow.Macro ?? "") + 1 }, follow, state, happened.At);
    }

    void Move(string name, int macro, EventFollow follow, string state, DateTimeOffset at)
    {
        var before = _nodes.GetValueOrDefault(name);
        var retrying = state == "running" && follow.Try > 0 && before?.Macro == macro ? "retrying" : state;
        _nodes[name] = new WatchedNode(name, macro, follow.Strategy ?? before?.Strategy, follow.Step ?? before?.Step, follow.Try, retrying, null);
        if (macro >= 1 && macro <= Macros.Length && !Times.ContainsKey(macro))
            Times[macro] = (at, at);
        if (before is { Macro: >= 1 } && before.Macro <= Macros.Length && before.Macro != macro && Times.TryGetValue(before.Macro, out var times))
            Times[before.Macro] = (times.First, at);
    }

    public void Apply(ImmutableArray<NodeProgress> transfers)
    {
        foreach (var transfer in transfers)
            if (_nodes.TryGetValue(transfer.Node, out var node))
                _nodes[transfer.Node] = node with { Transfer = transfer };
    }

    public int Past(int macro) => _nodes.Values.Count(n => n.Macro > macro && n.State != "failed");

    /// <summary>Nodes that are through with everything.</summary>
    public int Done => Past(Macros.Length);

    public int Failed => _nodes.Values.Count(n => n.State == "failed");

    static IEnumerable<string> Names(string nodes) => nodes.Length == 0 ? [] : NodeSet.Parse(nodes).Select(n => n.Value);
}
