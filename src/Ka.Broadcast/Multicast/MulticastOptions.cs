namespace Ka.Broadcast.Multicast;

/// <summary>Limits and patience of a multicast broadcast.</summary>
public sealed record MulticastOptions
{
    public static readonly MulticastOptions Default = new();

    /// <summary>Chunks that a receiver holds, and that the sender is ahead of the slowest at most.</summary>
    public int Width { get; init; } = 32;

    /// <summary>How often a receiver says how it stands.</summary>
    public TimeSpan Report { get; init; } = TimeSpan.FromMilliseconds(40);

    /// <summary>A piece is not sent again within this time, however many ask for it.</summary>
    public TimeSpan RepairPause { get; init; } = TimeSpan.FromMilliseconds(60);

    /// <summary>How long the sender waits for all receivers once one is there.</summary>
    public TimeSpan Gather { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A receiver that was not heard of for so long holds nobody back.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A receiver that stands still for so long holds nobody back any more.</summary>
    public TimeSpan Slow { get; init; } = TimeSpan.FromSeconds(8);

    /// <summary>How long a receiver waits for the first datagram before it turns to the chain; longer than <see cref="Gather"/>.</summary>
    public TimeSpan First { get; init; } = TimeSpan.FromSeconds(8);

    /// <summary>A chunk that has not become whole for so long is fetched by unicast.</summary>
    public TimeSpan Repair { get; init; } = TimeSpan.FromSeconds(2);
}
