using Ka.Core.Faults;

namespace Ka.Broadcast;

/// <summary>How far a node's reception is, for people to see who holds the others back. Read by polling.</summary>
/// <param name="Total">Length of the image in bytes.</param>
/// <param name="BytesIn">Bytes received, those fetched twice counted twice.</param>
/// <param name="BytesOut">Bytes given to successors.</param>
/// <param name="Verified">Bytes whose chunk had the right hash.</param>
/// <param name="Written">Bytes that the sink has taken.</param>
/// <param name="RingBytes">Bytes received and not yet written: a full ring means that this node's disk or successor is slow, an empty one that its source is.</param>
/// <param name="Upstream">The present source, <c>host:port</c>, or null when none is connected.</param>
/// <param name="Successors">Successors attached now.</param>
/// <param name="Switches">How often the source was changed.</param>
public sealed record ChainProgress(
    long Total,
    long BytesIn,
    long BytesOut,
    long Verified,
    long Written,
    long RingBytes,
    string? Upstream,
    int Successors,
    int Switches)
{
    /// <summary>What the ring can hold.</summary>
    public long RingCapacity { get; init; }

    /// <summary>Chunks that came with a wrong hash and were mended, or are being mended.</summary>
    public int BadChunks { get; init; }

    /// <summary>Bytes fetched to mend them; they count in <see cref="BytesIn"/> too.</summary>
    public long Refetched { get; init; }

    /// <summary>Peers, <c>host:port</c>, that are not asked any more because of what they gave.</summary>
    public IReadOnlyList<string> Dropped { get; init; } = [];
}

/// <summary>The end of a reception.</summary>
/// <param name="Fault">Null when every byte was received, verified and taken by the sink.</param>
/// <param name="SinkFailed">The sink refused bytes: the program behind it knows the reason better.</param>
public sealed record ChainOutcome(Fault? Fault, bool SinkFailed, ChainProgress Progress)
{
    /// <summary>Numbers of chunks that came with a wrong hash, in order: at most 1,024 of them.</summary>
    public IReadOnlyList<int> BadChunks { get; init; } = [];
}
