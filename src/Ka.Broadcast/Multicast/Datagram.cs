using System.Buffers.Binary;
using System.Collections.Immutable;

namespace Ka.Broadcast.Multicast;

/// <summary>Pieces of one chunk that a receiver lacks.</summary>
readonly record struct PieceRange(int Chunk, int First, int Count);

/// <summary>What a receiver says of itself; repeated, so that any of these may be lost.</summary>
/// <param name="Next">The first chunk that it has not handed on yet; the number of chunks when it has all.</param>
/// <param name="Missing">Pieces that it wants sent again.</param>
sealed record ReceiverState(int Next, ImmutableArray<PieceRange> Missing);

/// <summary>
/// The datagrams of a multicast broadcast. Each is: a kind byte, the first 8 bytes of the broadcast's id, what it says (numbers
/// little-endian), and the first 16 bytes of HMAC-SHA256 under the broadcast's key over all before. Data: chunk (4), piece (2), bytes. State:
/// next (4), then any number of chunk (4), first piece (2), count (2).
/// </summary>
static class Datagram
{
    /// <summary>Bytes of an image in one datagram: header, MAC and the headers of UDP and IP fit into an Ethernet frame with them.</summary>
    public const int PieceBytes = 1400;

    public const int Limit = 1472;

    /// <summary>Ranges of one state.</summary>
    public const int RangeLimit = 170;

    public const int DataHeader = Head + 6;

    const int Head = 1 + IdBytes, IdBytes = 8, MacBytes = 16, RangeBytes = 8;
    const byte DataKind = 1, StateKind = 2;

    public static int PiecesOf(int chunkBytes) => (chunkBytes + PieceBytes - 1) / PieceBytes;

    /// <summary>Completes a datagram whose payload lies behind <see cref="DataHeader"/>; gives its length.</summary>
    public static int SealData(Span<byte> datagram, BroadcastKey key, int chunk, int piece, int payload)
    {
        BinaryPrimitives.WriteInt32LittleEndian(datagram[Head..], chunk);
        BinaryPrimitives.WriteUInt16LittleEndian(datagram[(Head + 4)..], (ushort)piece);
        return Seal(datagram, key, DataKind, DataHeader + payload);
    }

    public static int SealState(Span<byte> datagram, BroadcastKey key, ReceiverState state)
    {
        BinaryPrimitives.WriteInt32LittleEndian(datagram[Head..], state.Next);
        var at = Head + 4;
        foreach (var range in state.Missing.Take(RangeLimit))
        {
            BinaryPrimitives.WriteInt32LittleEndian(datagram[at..], range.Chunk);
            BinaryPrimitives.WriteUInt16LittleEndian(datagram[(at + 4)..], (ushort)range.First);
            BinaryPrimitives.WriteUInt16LittleEndian(datagram[(at + 6)..], (ushort)range.Count);
            at += RangeBytes;
        }
        return Seal(datagram, key, StateKind, at);
    }

    /// <summary>Chunk, piece and bytes of a data datagram of this broadcast; false for everything else.</summary>
    public static bool TryOpenData(ReadOnlySpan<byte> datagram, BroadcastKey key, out int chunk, out int piece, out ReadOnlySpan<byte> payload)
    {
        (chunk, piece) = (0, 0);
        payload = default;
        if (datagram.Length <= DataHeader + MacBytes || !Opens(datagram, key, DataKind))
        {
            return false;
        }
        chunk = BinaryPrimitives.ReadInt32LittleEndian(datagram[Head..]);
        piece = BinaryPrimitives.ReadUInt16LittleEndian(datagram[(Head + 4)..]);
        payload = datagram[DataHeader..^MacBytes];
        return true;
    }

    public static ReceiverState? OpenState(ReadOnlySpan<byte> datagram, BroadcastKey key)
    {
        if (datagram.Length < Head + 4 + MacBytes || (datagram.Length - Head - 4 - MacBytes) % RangeBytes != 0 || !Opens(datagram, key, StateKind))
        {
            return null;
        }
        var ranges = ImmutableArray.CreateBuilder<PieceRange>();
        for (var at = Head + 4; at < datagram.Length - MacBytes; at += RangeBytes)
        {
            ranges.Add(new PieceRange(
                BinaryPrimitives.ReadInt32LittleEndian(datagram[at..]), BinaryPrimitives.ReadUInt16LittleEndian(datagram[(at + 4)..]), BinaryPrimitives.ReadUInt16LittleEndian(datagram[(at + 6)..])));
        }
        return new ReceiverState(BinaryPrimitives.ReadInt32LittleEndian(datagram[Head..]), ranges.ToImmutable());
    }

    static int Seal(Span<byte> datagram, BroadcastKey key, byte kind, int length)
    {
        datagram[0] = kind;
        key.Id[..IdBytes].CopyTo(datagram[1..]);
        key.Sign(datagram[..length]).AsSpan(0, MacBytes).CopyTo(datagram[length..]);
        return length + MacBytes;
    }

    static bool Opens(ReadOnlySpan<byte> datagram, BroadcastKey key, byte kind) =>
        datagram[0] == kind && datagram[1..Head].SequenceEqual(key.Id[..IdBytes])
        && System.Security.Cryptography.CryptographicOperations.FixedTimeEquals(key.Sign(datagram[..^MacBytes]).AsSpan(0, MacBytes), datagram[^MacBytes..]);
}
