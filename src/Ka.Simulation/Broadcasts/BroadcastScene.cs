using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Core.Clusters;

namespace Ka.Simulation.Broadcasts;

/// <summary>What befalls one node.</summary>
/// <param name="Node">From zero.</param>
public abstract record Mishap(int Node)
{
    /// <summary>It goes away when its sink has so many bytes.</summary>
    public sealed record DiesAtOffset(int Node, long Offset, Death Death) : Mishap(Node);

    /// <summary>It goes away at a moment.</summary>
    public sealed record DiesAt(int Node, TimeSpan Moment, Death Death) : Mishap(Node);

    /// <summary>One bit is wrong at this place of all that it sends on each connection.</summary>
    public sealed record Corrupts(int Node, long Place) : Mishap(Node);

    /// <summary>One bit of each of these bytes of the image is wrong the first time that it sends them. The server is node -1.</summary>
    public sealed record FlipsOnWire(int Node, ImmutableArray<long> Offsets) : Mishap(Node);

    /// <summary>One bit of each of these bytes of the image becomes wrong in its ring.</summary>
    /// <param name="Lag">Bytes that come before that happens.</param>
    public sealed record FlipsInRing(int Node, ImmutableArray<long> Offsets, int Lag) : Mishap(Node);

    /// <summary>Its disk takes no more than this.</summary>
    public sealed record SlowSink(int Node, double BytesPerSecond) : Mishap(Node);

    /// <summary>Its disk takes nothing for a while once it has so many bytes.</summary>
    public sealed record SinkPauses(int Node, long Offset, TimeSpan Pause) : Mishap(Node);

    /// <summary>Nothing leaves it for a while.</summary>
    public sealed record CardStalls(int Node, TimeSpan Moment, TimeSpan Span) : Mishap(Node);

    /// <summary>Its network card has this share of the others' speed.</summary>
    public sealed record SlowCard(int Node, double Share) : Mishap(Node);
}

/// <summary>A broadcast that is to be simulated with the protocol's own code.</summary>
/// <param name="Verified">Chunks are hashed and checked.</param>
/// <param name="Limit">Virtual time after which it is given up.</param>
public sealed record BroadcastScene(int Nodes, int Bytes, BroadcastWay Way, NetworkShape Shape, ulong Seed)
{
    public int ChunkBytes { get; init; } = 64 * 1024;

    public int Arity { get; init; } = 2;

    public bool Verified { get; init; } = true;

    public ChainOptions Options { get; init; } = ChainOptions.Default;

    public ImmutableArray<Mishap> Mishaps { get; init; } = [];

    /// <summary>What is done with nodes that hold the others back, by reports over a control channel; null for none. For chain and tree.</summary>
    public StragglerRules? Stragglers { get; init; }

    /// <summary>Nothing is told any more once this was.</summary>
    public StragglerStep? ControlDiesAfter { get; init; }

    public TimeSpan Limit { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>How a node fared.</summary>
/// <param name="Finished">When its sink had everything and was flushed; null when that never was.</param>
/// <param name="IsRight">What its sink got was the image, as far as it got.</param>
public sealed record NodeEnd(bool Died, TimeSpan? Finished, bool IsRight, ChainOutcome? Outcome);

/// <summary>How a simulated broadcast ended.</summary>
/// <param name="Elapsed">When the last living node had everything.</param>
/// <param name="SourceBytes">Image bytes that the source has sent.</param>
/// <param name="Trace">The same for the same scene.</param>
public sealed record BroadcastEnd(ImmutableArray<NodeEnd> Nodes, TimeSpan Elapsed, long SourceBytes, ulong Trace, long Turns)
{
    /// <summary>What was found of nodes that held the others back, and done.</summary>
    public ImmutableArray<(TimeSpan At, StragglerStep Step, Straggler Who)> Stragglers { get; init; } = [];

    /// <summary>Flipped bytes that somebody received, and those that were flipped in a ring: who and which.</summary>
    public ImmutableArray<(int Node, long Offset, bool InRing)> Flipped { get; init; } = [];

    public IEnumerable<NodeEnd> Living => Nodes.Where(n => !n.Died);

    public bool AllHaveIt => Living.All(n => n.Finished is not null && n.IsRight);
}
