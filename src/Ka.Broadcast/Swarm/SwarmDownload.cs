using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Ka.Broadcast.Swarm;

/// <summary>Who takes chunks from a swarm. Calls come from one thread for each connection.</summary>
interface ISwarmTaker
{
    /// <summary>A peer has these chunks. False when there are no such chunks.</summary>
    bool Learn(SwarmHolder holder, ReadOnlySpan<int> chunks);

    /// <summary>Whether the peer was asked for this chunk, or for any.</summary>
    bool Awaits(SwarmHolder holder, int? chunk);

    /// <summary>A chunk has come whole. False when it is wrong: then its giver is not asked again.</summary>
    bool Came(SwarmHolder holder, int chunk, ReadOnlySpan<byte> bytes);
}

/// <summary>The taking side of one connection of a swarm, from the handshake on.</summary>
sealed class SwarmDownload(ChainConnection connection, ImageManifest manifest, ChainOptions options, SwarmHolder holder, ISwarmTaker taker)
{
    const int None = -1;

    readonly byte[] _buffer = new byte[manifest.ChunkBytes];
    int _chunk = None;
    int _taken;
    long _gaveAt = options.World.Now();

    /// <summary>Takes what the peer gives until it ends; why it ended.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The peer is gone.</exception>
    public string Run()
    {
        connection.SetTimeouts(options.Silence, options.Silence);
        while (true)
        {
            var (kind, length) = connection.ReceiveHeader();
            var wrong = kind switch
            {
                FrameKind.Have when length is > 0 and <= ChainConnection.FrameLimit && length % sizeof(int) == 0 => News(length),
                FrameKind.Chunk when length == sizeof(int) && _chunk == None => Begin(),
                FrameKind.Data when _chunk != None && length > 0 && length <= manifest.LengthOf(_chunk) - _taken => Take(length),
                FrameKind.KeepAlive when length == 0 => Patience(),
                FrameKind.Refused => "it has nothing to give",
                FrameKind.Have or FrameKind.Chunk or FrameKind.Data or FrameKind.KeepAlive or FrameKind.End or FrameKind.From or FrameKind.Amendment => $"it sent a frame that has no place here ({kind}, {length} bytes)",
            };
            if (wrong is not null)
            {
                return wrong;
            }
        }
    }

    string? News(int length)
    {
        var news = new int[length / sizeof(int)];
        connection.ReceiveExactly(MemoryMarshal.AsBytes(news.AsSpan()));
        for (var i = 0; i < news.Length && !BitConverter.IsLittleEndian; i++)
        {
            news[i] = BinaryPrimitives.ReverseEndianness(news[i]);
        }
        return taker.Learn(holder, news) ? null : "it has chunks that there are not";
    }

    string? Begin()
    {
        Span<byte> number = stackalloc byte[sizeof(int)];
        connection.ReceiveExactly(number);
        (_chunk, _taken) = (BinaryPrimitives.ReadInt32LittleEndian(number), 0);
        return taker.Awaits(holder, _chunk) ? null : "it gave what it was not asked for";
    }

    string? Take(int length)
    {
        connection.ReceiveExactly(_buffer.AsSpan(_taken, length));
        _taken += length;
        _gaveAt = options.World.Now();
        if (_taken < manifest.LengthOf(_chunk))
        {
            return null;
        }
        var isRight = taker.Came(holder, _chunk, _buffer.AsSpan(0, _taken));
        _chunk = None;
        return isRight ? null : "it gave a chunk that was not right";
    }

    /// <summary>A peer that owes nothing may be still; one that owes must give.</summary>
    string? Patience()
    {
        if (!taker.Awaits(holder, null))
        {
            _gaveAt = options.World.Now();
        }
        return options.World.Since(_gaveAt) > options.SlowReader ? "it lives, but did not give what it has" : null;
    }
}
