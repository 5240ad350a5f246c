namespace Ka.Broadcast.Swarm;

/// <summary>A whole image that is given to a swarm.</summary>
interface ISwarmFile
{
    /// <exception cref="IOException">It ends too early.</exception>
    void Read(long offset, Span<byte> into);

    void Sent(int bytes);

    /// <summary>Connections of the swarm that have ended.</summary>
    int Ended { get; }
}

/// <summary>
/// What the server gives on one connection of a swarm. It has everything, but tells at first of one share only, another for each of the first hands, so
/// that they do not ask for the same; when one of them is lost, or nothing was taken for a while, it tells of the rest.
/// </summary>
/// <param name="share">Counts the connections.</param>
sealed class SwarmSource(ISwarmFile file, long bytes, int chunkBytes, int share, ChainOptions options) : ISwarmShelf
{
    readonly List<int> _ready = [.. Chunks(bytes, chunkBytes).Where(c => c % SwarmPlan.FirstHands == share % SwarmPlan.FirstHands)];
    readonly int _ended = file.Ended;
    long _gaveAt = options.World.Now();
    bool _toldAll;

    public object Gate { get; } = new();

    public long Bytes => bytes;

    public int ChunkBytes => chunkBytes;

    public IReadOnlyList<int> Ready
    {
        get
        {
            if (!_toldAll && (file.Ended > _ended || options.World.Since(Interlocked.Read(ref _gaveAt)) > options.Silence))
            {
                _toldAll = true;
                _ready.AddRange(Chunks(bytes, chunkBytes).Except(_ready).ToArray());
            }
            return _ready;
        }
    }

    public bool IsClosed => false;

    public bool Holds(int chunk) => true;

    public void Read(long offset, Span<byte> into) => file.Read(offset, into);

    public void Sent(int count)
    {
        Interlocked.Exchange(ref _gaveAt, options.World.Now());
        file.Sent(count);
    }

    static IEnumerable<int> Chunks(long bytes, int chunkBytes) => Enumerable.Range(0, (int)((bytes + chunkBytes - 1) / chunkBytes));
}
