namespace Ka.Broadcast;

/// <summary>What a wait in the ring came to.</summary>
enum RingSignal
{
    Ready,

    /// <summary>Nothing new within the given time.</summary>
    Idle,

    /// <summary>Bytes of a chunk that was wrong and is mended are next: <see cref="RingReader.Mended"/>.</summary>
    Mended,

    /// <summary>This reader was let go.</summary>
    Dropped,

    /// <summary>The receiving thread has begun a frame for this reader, which took only a part of it at once: the rest has to follow.</summary>
    Unfinished,

    /// <summary>All bytes have been taken.</summary>
    End,

    /// <summary>The ring was closed.</summary>
    Closed,
}

/// <summary>An asker's place in the ring.</summary>
sealed class RingReader(Wish wish, long position, ChainConnection connection, RingTap tap, long now)
{
    /// <summary>It wants a part only, and nothing that is not proved; else it is a successor.</summary>
    public bool IsPart => wish.IsPart;

    /// <summary>Somebody will come in its place should it be lost.</summary>
    public bool Followed => wish.Followed;

    /// <summary>Where what it wants ends.</summary>
    public long Until => wish.Until;

    /// <summary>What it is to be sent in the place of what the store has.</summary>
    public ArraySegment<byte> Mended { get; set; }

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
