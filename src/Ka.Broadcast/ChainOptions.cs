namespace Ka.Broadcast;

/// <summary>Limits and patience of a chain. The defaults suit images on 1 to 25 Gbit/s links.</summary>
public sealed record ChainOptions
{
    public static readonly ChainOptions Default = new();

    /// <summary>Where it all happens: the real machine, unless a simulation runs the protocol.</summary>
    internal BroadcastWorld World { get; init; } = BroadcastWorld.Real;

    /// <summary>The least and the most of <see cref="RingBytes"/> that a person may ask for.</summary>
    public const int LeastRing = 4 * 1024 * 1024, LargestRing = 1024 * 1024 * 1024;

    /// <summary>
    /// Bytes a node keeps for successors that come late or lag; at least four chunks are taken. Null for 32 MiB, and for 24 where all is encrypted: the
    /// ring is then the process's own memory, which is to stay below 64 MiB.
    /// </summary>
    public int? RingBytes { get; init; }

    /// <summary>What <see cref="RingBytes"/> comes to.</summary>
    public int RingOf(bool isEncrypted) => RingBytes ?? (isEncrypted ? 24 : 32) * 1024 * 1024;

    /// <summary>Largest data frame in bytes, and the most that is handed on at once. Nobody waits for so much: pieces are this large only where the processor is what is slow.</summary>
    public int BlockBytes { get; init; } = 1024 * 1024;

    /// <summary>Moves bytes within the kernel (splice, tee, sendfile) where the machine can; else, or where it cannot, they are copied.</summary>
    public bool ZeroCopy { get; init; } = true;

    /// <summary>A server sends a frame at least this often, so that silence means death.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Silence of a peer after which it and all other candidates are asked for a sign of life: one that answers is asked for the rest. Also the silence
    /// after which a successor is let go in whose place another one has come.
    /// </summary>
    public TimeSpan Suspect { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>Silence after which the other side, source or successor, is taken for dead.</summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long the bytes after a lost successor's place are kept for the one that comes instead.</summary>
    public TimeSpan Hold { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>How long candidates for a lost source have to answer; all are asked at once. It is lost time where none of them lives.</summary>
    public TimeSpan Probe { get; init; } = TimeSpan.FromMilliseconds(400);

    /// <summary>How long a better candidate is waited for once one has answered.</summary>
    public TimeSpan ProbeGrace { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>A successor that lives, but holds the ring without reading for this long is let go (it turns to the server).</summary>
    public TimeSpan SlowReader { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A node whose own disk has held the ring for this long sends its successors elsewhere.</summary>
    public TimeSpan SlowSink { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A source that lives but gives no byte for this long is left for the next.</summary>
    public TimeSpan Starve { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>No byte from any source for this long ends the reception.</summary>
    public TimeSpan Stall { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Time to reach a source by TCP.</summary>
    public TimeSpan Connect { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long a listener lets a peer wait for a broadcast that it has not been told of yet; also the patience of the dialling side.</summary>
    public TimeSpan Join { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a node keeps its first bytes for successors that the plan gives it and that have not asked yet.</summary>
    public TimeSpan Gather { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How long a node that was told to ask nobody waits to be told so again; then it goes on as before.</summary>
    public TimeSpan Aside { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Pause after all sources have failed in turn; doubled up to eight times.</summary>
    public TimeSpan Retry { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>A node that has everything, but whose planned successors have not, serves on until none has asked for this long.</summary>
    public TimeSpan Linger { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time that one send of the server may take before its reader is let go.</summary>
    public TimeSpan ServerSend { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Connections that a listener takes at once; each costs a thread and 256 KiB.</summary>
    public int MaxConnections { get; init; } = 512;
}
