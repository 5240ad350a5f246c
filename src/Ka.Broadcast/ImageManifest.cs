using System.Collections.Immutable;
using System.Security.Cryptography;

namespace Ka.Broadcast;

/// <summary>What a node must know to believe the bytes of an image. It travels over the control channel only.</summary>
/// <param name="Bytes">Length of the image as stored (compressed).</param>
/// <param name="Sha256">SHA-256 of the whole, lower-case hex.</param>
/// <param name="ChunkBytes">Size of every chunk but the last.</param>
/// <param name="ChunkHashes">SHA-256 of each chunk, lower-case hex, in order; empty for an empty image.</param>
public sealed record ImageManifest(long Bytes, string Sha256, int ChunkBytes, ImmutableArray<string> ChunkHashes)
{
    /// <summary>1 MiB: a bad chunk costs little, and the manifest of 10 GiB stays under 1 MiB.</summary>
    public const int DefaultChunkBytes = 1024 * 1024;

    /// <summary>Largest chunk that a node takes: four of them must fit into its ring.</summary>
    public const int ChunkLimit = 64 * 1024 * 1024;

    /// <summary>Without hashes: nothing that arrives is proved. For measurements; no deployment takes it.</summary>
    public static ImageManifest Unverified(long bytes) => new(bytes, "", DefaultChunkBytes, []);

    public bool IsUnverified => Sha256.Length == 0 && ChunkHashes.IsEmpty && Bytes >= 0 && ChunkBytes is > 0 and <= ChunkLimit;

    /// <summary>Reads a stream to its end once and hashes it and its chunks.</summary>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    public static ImageManifest Of(Stream image, int chunkBytes, CancellationToken cancel)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(chunkBytes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(chunkBytes, ChunkLimit);
        using var whole = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var hashes = ImmutableArray.CreateBuilder<string>();
        var chunk = new byte[chunkBytes];
        var bytes = 0L;
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            var count = image.ReadAtLeast(chunk, chunkBytes, throwOnEndOfStream: false);
            if (count > 0)
            {
                whole.AppendData(chunk, 0, count);
                hashes.Add(Convert.ToHexStringLower(SHA256.HashData(chunk.AsSpan(0, count))));
                bytes += count;
            }
            if (count < chunkBytes)
            {
                return new ImageManifest(bytes, Convert.ToHexStringLower(whole.GetHashAndReset()), chunkBytes, hashes.ToImmutable());
            }
        }
    }

    /// <summary>As <see cref="Of(Stream, int, CancellationToken)"/>, for a file.</summary>
    public static ImageManifest OfFile(string path, int chunkBytes, CancellationToken cancel)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        return Of(file, chunkBytes, cancel);
    }

    /// <summary>
    /// The manifest of one stripe. Its whole is proved chunk by chunk: in place of the hash of its bytes stands the one of its chunks' hashes.
    /// </summary>
    public ImageManifest Stripe(Stripe stripe)
    {
        ImmutableArray<string> hashes = [.. ChunkHashes.Where((_, i) => i % stripe.Of == stripe.Index)];
        var digest = IsUnverified ? "" : Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(string.Concat(hashes))));
        return new ImageManifest(stripe.Bytes(Bytes), digest, ChunkBytes, hashes);
    }

    /// <summary>Bytes of one chunk: the last may be shorter.</summary>
    internal int LengthOf(int chunk) => (int)Math.Min(ChunkBytes, Bytes - ((long)chunk * ChunkBytes));

    /// <summary>Whether lengths and hashes agree with each other.</summary>
    public bool IsSound =>
        Bytes >= 0 && Sha256.Length == 64 && ChunkBytes is > 0 and <= ChunkLimit
        && ChunkHashes.Length == (Bytes + ChunkBytes - 1) / ChunkBytes
        && ChunkHashes.All(h => h.Length == 64 && h.All(char.IsAsciiHexDigit));
}
