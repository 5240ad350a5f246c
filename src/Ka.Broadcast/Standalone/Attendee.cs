using System.Diagnostics;

namespace Ka.Broadcast.Standalone;

/// <summary>A receiver as the sender sees it. Guarded by the sender's lock.</summary>
sealed class Attendee(ControlLine line, string name, ChainPeer peer)
{
    public ControlLine Line => line;

    public string Name => name;

    public ChainPeer Peer => peer;

    /// <summary>In the order of the broadcast, once it has begun.</summary>
    public int Place { get; set; }

    public string State { get; set; } = "waiting";

    public ChainProgress? Progress { get; set; }

    public string? Code { get; set; }

    public string? Message { get; set; }

    public string? Slow { get; set; }

    public TimeSpan? Took { get; set; }

    public long HeardAt { get; set; } = Stopwatch.GetTimestamp();

    public bool Announced { get; set; }

    public bool HasEnded => State is "done" or "failed" or "lost";
}
