namespace Ka.Broadcast;

/// <summary>What a wait in the ring came to.</summary>
enum RingSignal
{
    Ready,

    /// <summary>Nothing new within the given time.</summary>
    Idle,

    /// <summary>The stream was taken back to an earlier offset; connections begun before are void.</summary>
    Rewound,

    /// <summary>This reader was let go.</summary>
    Dropped,

    /// <summary>The receiving thread has begun a frame for this reader, which took only a part of it at once: the rest has to follow.</summary>
    Unfinished,

    /// <summary>All bytes have been taken.</summary>
    End,

    /// <summary>The ring was closed.</summary>
    Closed,
}

/// <summary>A successor's place in the ring.</summary>
/// <param name="followed">Somebody will come in its place should it be lost.</param>
sealed class RingReader(long position, ChainConnection connection, RingTap tap, bool followed, long now)
{
    public bool Followed { get; } = followed;

    public long Position { get; set; } = position;

    public long MovedAt { get; set; } = now;

    public bool Dropped { get; set; }

    public ChainConnection Connection { get; } = connection;

    public RingTap Tap { get; } = tap;

    /// <summary>Its thread waits for bytes.</summary>
    public bool Waits { get; set; }

    /// <summary>The receiving thread sends for it at present; its own keeps off.</summary>
    public bool IsLent { get; set; }

    /// <summary>Bytes of a begun frame that are still to be sent.</summary>
    public int Unfinished { get; set; }
}
