using System.Buffers.Binary;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Ka.Broadcast.Torrent;

/// <summary>A file that is given to peers.</summary>
sealed class Seeded(Metainfo metainfo, SafeFileHandle file, Swarm swarm)
{
    long _bytesOut;

    public Metainfo Metainfo => metainfo;

    public byte[] InfoHash { get; } = metainfo.InfoHash;

    public SafeFileHandle File => file;

    public Swarm Swarm => swarm;

    public long BytesOut => Interlocked.Read(ref _bytesOut);

    public void Gave(int bytes) => Interlocked.Add(ref _bytesOut, bytes);
}

/// <summary>
/// The giving half of the peer wire protocol (BEP 3) with one peer: handshake, all pieces announced, everybody unchoked, requests answered in
/// turn. A peer that says what the protocol does not allow is let go.
/// </summary>
sealed class SeedConnection(NetworkStream stream, byte[] peerId)
{
    const int HandshakeBytes = 68, BlockLimit = 128 * 1024, MessageLimit = 64 * 1024;
    const byte Unchoke = 1, Bitfield = 5, Request = 6, Piece = 7;

    static ReadOnlySpan<byte> Protocol => "\u0013BitTorrent protocol"u8;

    /// <param name="find">The torrent of an info hash for this peer, or null.</param>
    /// <exception cref="IOException">The peer went away or was silent for too long.</exception>
    public async Task Serve(Func<byte[], Seeded?> find, Func<CancellationToken> patience)
    {
        var hello = new byte[HandshakeBytes];
        await stream.ReadExactlyAsync(hello, patience());
        if (!hello.AsSpan().StartsWith(Protocol) || find(hello[28..48]) is not { } torrent)
        {
            return;
        }
        await stream.WriteAsync(Greeting(torrent), patience());
        var header = new byte[sizeof(int)];
        var body = new byte[MessageLimit];
        while (true)
        {
            await stream.ReadExactlyAsync(header, patience());
            var length = BinaryPrimitives.ReadInt32BigEndian(header);
            if (length is < 0 or > MessageLimit)
            {
                return;
            }
            await stream.ReadExactlyAsync(body.AsMemory(0, length), patience());
            // Interest, choking, haves and cancellations of the other side change nothing: requests are answered as they come.
            if (length > 0 && body[0] == Request && !(length == 13 && await Answer(torrent, body.AsMemory(1, 12), patience())))
            {
                return;
            }
        }
    }

    byte[] Greeting(Seeded torrent)
    {
        var count = torrent.Metainfo.PieceCount;
        var pieces = (count + 7) / 8;
        var bytes = new byte[HandshakeBytes + sizeof(int) + 1 + pieces + sizeof(int) + 1];
        Protocol.CopyTo(bytes);
        torrent.InfoHash.CopyTo(bytes, 28);
        peerId.CopyTo(bytes, 48);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(HandshakeBytes), 1 + pieces);
        bytes[HandshakeBytes + sizeof(int)] = Bitfield;
        for (var i = 0; i < count; i++)
        {
            bytes[HandshakeBytes + sizeof(int) + 1 + (i / 8)] |= (byte)(0x80 >> (i % 8));
        }
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(bytes.Length - 5), 1);
        bytes[^1] = Unchoke;
        return bytes;
    }

    async Task<bool> Answer(Seeded torrent, ReadOnlyMemory<byte> request, CancellationToken patience)
    {
        var index = BinaryPrimitives.ReadInt32BigEndian(request.Span);
        var begin = BinaryPrimitives.ReadInt32BigEndian(request.Span[4..]);
        var length = BinaryPrimitives.ReadInt32BigEndian(request.Span[8..]);
        var (metainfo, offset) = (torrent.Metainfo, ((long)index * torrent.Metainfo.PieceBytes) + begin);
        if (index < 0 || index >= metainfo.PieceCount || begin < 0 || length is <= 0 or > BlockLimit || begin + (long)length > metainfo.PieceBytes || offset + length > metainfo.Bytes)
        {
            return false;
        }
        var message = new byte[sizeof(int) + 9 + length];
        BinaryPrimitives.WriteInt32BigEndian(message, 9 + length);
        message[4] = Piece;
        request[..8].CopyTo(message.AsMemory(5));
        if (RandomAccess.Read(torrent.File, message.AsSpan(13), offset) != length)
        {
            return false; // the file was cut short meanwhile
        }
        torrent.Gave(length);
        await stream.WriteAsync(message, patience);
        return true;
    }
}
