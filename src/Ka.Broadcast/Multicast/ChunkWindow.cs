using System.Collections;
using System.Collections.Immutable;

namespace Ka.Broadcast.Multicast;

/// <summary>Puts pieces together to chunks, a few chunks at a time. Pure bookkeeping; not safe for several threads at once.</summary>
/// <param name="width">Chunks that are held at most: what comes for later ones is lost and has to be sent again.</param>
sealed class ChunkWindow(ImageManifest manifest, int width)
{
    readonly Dictionary<int, (byte[] Bytes, BitArray Has, int Left)> _chunks = [];

    /// <summary>The first chunk that was not taken yet.</summary>
    public int Next { get; private set; }

    /// <summary>The farthest piece that has come, for chunks beyond the window too.</summary>
    public (int Chunk, int Piece) Farthest { get; private set; } = (0, -1);

    public int Chunks => manifest.ChunkHashes.Length;

    /// <summary>The stream has gone past what can be held: the next chunk will not come by itself any more.</summary>
    public bool IsBehind => Farthest.Chunk >= Next + width;

    /// <summary>Takes a piece. False when it is of no use: known, too early, too late, or not of this image.</summary>
    public bool Put(int chunk, int piece, ReadOnlySpan<byte> payload)
    {
        if (chunk < 0 || chunk >= Chunks || piece < 0 || piece >= Datagram.PiecesOf(manifest.LengthOf(chunk)) || payload.Length != PieceLength(chunk, piece))
        {
            return false;
        }
        if ((chunk, piece).CompareTo(Farthest) > 0)
        {
            Farthest = (chunk, piece);
        }
        if (chunk < Next || chunk >= Next + width)
        {
            return false;
        }
        if (!_chunks.TryGetValue(chunk, out var held))
        {
            var pieces = Datagram.PiecesOf(manifest.LengthOf(chunk));
            held = (new byte[manifest.LengthOf(chunk)], new BitArray(pieces), pieces);
        }
        if (held.Left == 0 || held.Has[piece])
        {
            return false;
        }
        payload.CopyTo(held.Bytes.AsSpan(piece * Datagram.PieceBytes));
        held.Has[piece] = true;
        _chunks[chunk] = held with { Left = held.Left - 1 };
        return true;
    }

    /// <summary>The bytes of the next chunk, or null while some are missing.</summary>
    public byte[]? Complete() => _chunks.TryGetValue(Next, out var held) && held.Left == 0 ? held.Bytes : null;

    /// <summary>The next chunk was taken, from here or from elsewhere.</summary>
    public void Advance() => _chunks.Remove(Next++);

    /// <summary>What was put together of the next chunk is wrong.</summary>
    public void Discard() => _chunks.Remove(Next);

    /// <summary>What is missing up to the farthest piece, or up to the end of the window when nothing comes any more.</summary>
    public ImmutableArray<PieceRange> Missing(bool all, int limit)
    {
        var ranges = ImmutableArray.CreateBuilder<PieceRange>();
        var last = all ? Math.Min(Next + width, Chunks) - 1 : Math.Min(Farthest.Chunk, Next + width - 1);
        for (var chunk = Next; chunk <= last && ranges.Count < limit; chunk++)
        {
            var pieces = !all && chunk == Farthest.Chunk ? Farthest.Piece + 1 : Datagram.PiecesOf(manifest.LengthOf(chunk));
            AddMissing(chunk, pieces, limit, ranges);
        }
        return ranges.ToImmutable();
    }

    void AddMissing(int chunk, int pieces, int limit, ImmutableArray<PieceRange>.Builder ranges)
    {
        var has = _chunks.TryGetValue(chunk, out var held) ? held.Has : null;
        for (var piece = 0; piece < pieces && ranges.Count < limit; piece++)
        {
            if (has is not null && has[piece])
            {
                continue;
            }
            var first = piece;
            while (piece + 1 < pieces && !(has is not null && has[piece + 1]))
            {
                piece++;
            }
            ranges.Add(new PieceRange(chunk, first, piece - first + 1));
        }
    }

    int PieceLength(int chunk, int piece) => Math.Min(Datagram.PieceBytes, manifest.LengthOf(chunk) - (piece * Datagram.PieceBytes));
}
