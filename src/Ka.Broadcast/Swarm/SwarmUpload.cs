using System.Buffers.Binary;
using System.Net.Sockets;

namespace Ka.Broadcast.Swarm;

/// <summary>What is given to a swarm: chunks in the order in which they became known to be right.</summary>
interface ISwarmShelf
{
    /// <summary>Pulsed whenever there is more.</summary>
    object Gate { get; }

    long Bytes { get; }

    int ChunkBytes { get; }

    /// <summary>Chunks that are there; the caller holds the gate.</summary>
    IReadOnlyList<int> Ready { get; }

    /// <summary>Whether it is among them; the caller holds the gate.</summary>
    bool Holds(int chunk);

    /// <summary>No more is given.</summary>
    bool IsClosed { get; }

    /// <exception cref="IOException">It cannot be read.</exception>
    void Read(long offset, Span<byte> into);

    /// <summary>Image bytes have been sent.</summary>
    void Sent(int bytes);
}

/// <summary>
/// The giving side of one connection of a swarm. To the asker go frames: which chunks are here, and the chunks that it wanted, each announced by its number.
/// From it come numbers of chunks (4 bytes, little-endian), and -1 as a sign of life.
/// </summary>
sealed class SwarmUpload(ChainConnection connection, ISwarmShelf shelf, ChainOptions options)
{
    /// <summary>Sign of life of the asking side.</summary>
    public const int Beat = -1;

    /// <summary>Who wants more at once than this is no node of ours.</summary>
    const int MostWanted = 64;

    const int HaveAtOnce = 8 * 1024;
    const int StackBytes = 128 * 1024;

    readonly Queue<int> _wanted = new();
    readonly byte[] _number = new byte[sizeof(int)];
    int _told;
    bool _gone;

    /// <summary>The asking side's word for it.</summary>
    public static void Want(ChainConnection connection, List<int> chunks)
    {
        var bytes = new byte[chunks.Count * sizeof(int)];
        for (var i = 0; i < chunks.Count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i * sizeof(int)), chunks[i]);
        }
        try
        {
            connection.Send(bytes);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // whoever receives on it sees it
        }
    }

    /// <summary>Serves until the asker goes away or the shelf is closed.</summary>
    /// <exception cref="SocketException">The asker went away.</exception>
    public void Run()
    {
        connection.SetTimeouts(options.Silence, options.Silence);
        options.World.Start("swarm wants", StackBytes, Listen);
        var block = new byte[Math.Min(options.BlockBytes, ChainConnection.FrameLimit)];
        while (Next(out var news) is var chunk)
        {
            if (news.Length > 0)
            {
                connection.SendFrame(FrameKind.Have, news);
            }
            else if (chunk is { } wanted)
            {
                Give(wanted, block);
            }
            else if (_gone || shelf.IsClosed)
            {
                return;
            }
            else
            {
                connection.SendFrame(FrameKind.KeepAlive);
            }
        }
    }

    /// <summary>Waits for news of what is here, or for a chunk that is wanted; neither when it is time for a sign of life or to end.</summary>
    int? Next(out byte[] news)
    {
        news = [];
        lock (shelf.Gate)
        {
            while (true)
            {
                if (_gone || shelf.IsClosed)
                {
                    return null;
                }
                if (_told < shelf.Ready.Count)
                {
                    news = News();
                    return null;
                }
                if (_wanted.TryDequeue(out var chunk))
                {
                    return chunk;
                }
                if (!options.World.Wait(shelf.Gate, options.KeepAlive))
                {
                    return null;
                }
            }
        }
    }

    byte[] News()
    {
        var ready = shelf.Ready;
        var count = Math.Min(HaveAtOnce, ready.Count - _told);
        var news = new byte[count * sizeof(int)];
        for (var i = 0; i < count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(news.AsSpan(i * sizeof(int)), ready[_told + i]);
        }
        _told += count;
        return news;
    }

    void Give(int chunk, byte[] block)
    {
        BinaryPrimitives.WriteInt32LittleEndian(_number, chunk);
        connection.SendFrame(FrameKind.Chunk, _number);
        var offset = (long)chunk * shelf.ChunkBytes;
        var end = Math.Min(shelf.Bytes, offset + shelf.ChunkBytes);
        while (offset < end)
        {
            var count = (int)Math.Min(block.Length, end - offset);
            shelf.Read(offset, block.AsSpan(0, count));
            connection.SendFrame(FrameKind.Data, new ArraySegment<byte>(block, 0, count));
            offset += count;
            shelf.Sent(count);
        }
    }

    /// <summary>Takes what the asker wants. Only what it was told of can be wanted.</summary>
    void Listen()
    {
        var chunks = (int)((shelf.Bytes + shelf.ChunkBytes - 1) / shelf.ChunkBytes);
        Span<byte> number = stackalloc byte[sizeof(int)];
        try
        {
            while (true)
            {
                connection.ReceiveExactly(number);
                var chunk = BinaryPrimitives.ReadInt32LittleEndian(number);
                if (chunk == Beat)
                {
                    continue;
                }
                lock (shelf.Gate)
                {
                    if (chunk < 0 || chunk >= chunks || _wanted.Count >= MostWanted || !shelf.Holds(chunk))
                    {
                        break;
                    }
                    _wanted.Enqueue(chunk);
                    options.World.PulseAll(shelf.Gate);
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // it has gone
        }
        lock (shelf.Gate)
        {
            _gone = true;
            options.World.PulseAll(shelf.Gate);
        }
        connection.Abort();
    }
}
