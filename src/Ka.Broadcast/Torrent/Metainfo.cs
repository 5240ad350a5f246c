using System.Security.Cryptography;

namespace Ka.Broadcast.Torrent;

/// <summary>What a <c>.torrent</c> file says of one image (BEP 3).</summary>
/// <param name="Name">File name that clients propose; no path.</param>
/// <param name="Pieces">SHA-1 of each piece, one after another. They guide the clients; Ka believes its own chunk hashes only.</param>
/// <param name="Announce">The tracker's address.</param>
/// <param name="IsPrivate">Clients take peers from this tracker only (BEP 27).</param>
public sealed record Metainfo(string Name, long Bytes, int PieceBytes, byte[] Pieces, string Announce, bool IsPrivate)
{
    public const int HashBytes = 20;

    const int SmallestPiece = 256 * 1024, LargestPiece = 16 * 1024 * 1024, PiecesWanted = 2048;

    public int PieceCount => Pieces.Length / HashBytes;

    /// <summary>The torrent's identity: SHA-1 of its <c>info</c>.</summary>
    public byte[] InfoHash => Sha1(Info().ToBytes());

    /// <summary>The file's content.</summary>
    public byte[] ToBytes() => Bencoded.Of(("announce", Announce), ("info", Info())).ToBytes();

    Bencoded Info() => IsPrivate
        ? Bencoded.Of(("length", Bytes), ("name", Name), ("piece length", PieceBytes), ("pieces", Pieces), ("private", 1))
        : Bencoded.Of(("length", Bytes), ("name", Name), ("piece length", PieceBytes), ("pieces", Pieces));

    /// <summary>A power of two that cuts an image of so many bytes into about two thousand pieces.</summary>
    public static int PieceBytesOf(long bytes)
    {
        var piece = SmallestPiece;
        while (piece < LargestPiece && bytes / piece > PiecesWanted)
        {
            piece *= 2;
        }
        return piece;
    }

    /// <summary>Reads a file once and hashes its pieces.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static byte[] PiecesOf(string path, int pieceBytes, CancellationToken cancel)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        using var hashes = new MemoryStream();
        var piece = new byte[pieceBytes];
        int count;
        while ((count = file.ReadAtLeast(piece, pieceBytes, throwOnEndOfStream: false)) > 0)
        {
            cancel.ThrowIfCancellationRequested();
            hashes.Write(Sha1(piece.AsSpan(0, count)));
        }
        return hashes.ToArray();
    }

    /// <summary>BEP 3 prescribes SHA-1; nothing that Ka deploys is believed by it.</summary>
#pragma warning disable CA5350 // the format's own hash
    static byte[] Sha1(ReadOnlySpan<byte> bytes) => SHA1.HashData(bytes);
#pragma warning restore CA5350
}
