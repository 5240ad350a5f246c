namespace Ka.Broadcast.Swarm;

/// <summary>What a node of a swarm has, and how it is given to others.</summary>
/// <param name="gate">Its lock guards everything here and the board.</param>
sealed class SwarmStock(object gate, ImageManifest manifest, ChunkStore store, SwarmBoard board, ChainOptions options) : ISwarmShelf
{
    readonly List<int> _ready = [];
    long _bytesOut;
    long _askedAt = options.World.Now();

    public object Gate => gate;

    public long Bytes => manifest.Bytes;

    public int ChunkBytes => manifest.ChunkBytes;

    public IReadOnlyList<int> Ready => _ready;

    /// <summary>Everything ends. Whoever sets it holds the gate and pulses it.</summary>
    public bool IsClosed { get; set; }

    public long BytesOut => Interlocked.Read(ref _bytesOut);

    /// <summary>Connections that take from here now.</summary>
    public int Uploads { get; private set; }

    public bool Holds(int chunk) => board.Has(chunk);

    /// <summary>A chunk is in the store; the caller holds the gate and pulses it.</summary>
    public void Add(int chunk) => _ready.Add(chunk);

    public void Read(long offset, Span<byte> into) => store.Read(offset, into);

    public void Sent(int bytes)
    {
        lock (gate)
        {
            _bytesOut += bytes;
            _askedAt = options.World.Now();
        }
    }

    public void Serve(ChainConnection connection)
    {
        lock (gate)
        {
            Uploads++;
        }
        try
        {
            new SwarmUpload(connection, this, options).Run();
        }
        finally
        {
            lock (gate)
            {
                Uploads--;
            }
        }
    }

    /// <summary>Waits until this chunk and all before it are there. False when everything ends.</summary>
    public bool Await(int chunk)
    {
        lock (gate)
        {
            while (!IsClosed && board.Prefix <= chunk)
            {
                options.World.Wait(gate);
            }
            return !IsClosed;
        }
    }

    /// <summary>Waits until nobody has taken anything for a while.</summary>
    public void WaitUnasked()
    {
        lock (gate)
        {
            while (!IsClosed && options.Linger - options.World.Since(_askedAt) is { Ticks: > 0 } left)
            {
                options.World.Wait(gate, left);
            }
        }
    }
}
