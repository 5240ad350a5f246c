using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

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

    /// <summary>Chunks that are read before they are hashed: their own hashes and that of the whole are computed beside each other.</summary>
    const int Batch = 8;

    /// <summary>Reads a stream to its end once and hashes it and its chunks.</summary>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    public static ImageManifest Of(Stream image, int chunkBytes, CancellationToken cancel)
    {
        Check(chunkBytes);
        using var whole = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var hashes = ImmutableArray.CreateBuilder<string>();
        var most = Math.Clamp(ChunkLimit / chunkBytes, 1, Batch);
        var batch = GC.AllocateUninitializedArray<byte>(most * chunkBytes);
        var bytes = 0L;
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            var count = image.ReadAtLeast(batch, batch.Length, throwOnEndOfStream: false);
            var found = new string[(count + chunkBytes - 1) / chunkBytes];
            Parallel.Invoke([() => whole.AppendData(batch, 0, count), .. found.Select<string, Action>((_, i) => () => found[i] = Hash(batch.AsSpan(i * chunkBytes, Math.Min(chunkBytes, count - (i * chunkBytes)))))]);
            hashes.AddRange(found);
            bytes += count;
            if (count < batch.Length)
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
    /// As <see cref="OfFile"/>, on all processors, where nobody wants the hash of the whole: in its place stands the one of the chunks' hashes.
    /// </summary>
    /// <exception cref="IOException">The file cannot be read, or becomes shorter meanwhile.</exception>
    public static ImageManifest OfChunks(string path, int chunkBytes, CancellationToken cancel)
    {
        Check(chunkBytes);
        using var file = File.OpenHandle(path);
        var chunks = new ConcurrentDictionary<int, (string Hash, int Bytes)>();
        var next = -1;
        try
        {
            Parallel.Invoke(new ParallelOptions { CancellationToken = cancel }, [.. Enumerable.Repeat(Work, Environment.ProcessorCount)]);
        }
        catch (AggregateException e) when (e.InnerException is IOException)
        {
            ExceptionDispatchInfo.Throw(e.InnerException);
        }
        var inOrder = chunks.OrderBy(c => c.Key).ToArray();
        if (inOrder.Where((c, i) => c.Key != i || (c.Value.Bytes < chunkBytes && i < inOrder.Length - 1)).Any())
        {
            throw new IOException("It became shorter while it was read.");
        }
        ImmutableArray<string> hashes = [.. inOrder.Select(c => c.Value.Hash)];
        return new ImageManifest(inOrder.Sum(c => (long)c.Value.Bytes), OfHashes(hashes), chunkBytes, hashes);

        void Work()
        {
            var chunk = GC.AllocateUninitializedArray<byte>(chunkBytes);
            while (true)
            {
                cancel.ThrowIfCancellationRequested();
                var index = Interlocked.Increment(ref next);
                var count = ReadFully(file, (long)index * chunkBytes, chunk);
                if (count > 0)
                {
                    chunks[index] = (Hash(chunk.AsSpan(0, count)), count);
                }
                if (count < chunkBytes)
                {
                    return;
                }
            }
        }
    }

    static void Check(int chunkBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(chunkBytes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(chunkBytes, ChunkLimit);
    }

    static string Hash(ReadOnlySpan<byte> chunk) => Convert.ToHexStringLower(SHA256.HashData(chunk));

    static string OfHashes(ImmutableArray<string> hashes) => Hash(Encoding.ASCII.GetBytes(string.Concat(hashes)));

    static int ReadFully(SafeFileHandle file, long offset, Span<byte> into)
    {
        var count = 0;
        while (count < into.Length && RandomAccess.Read(file, into[count..], offset + count) is > 0 and var read)
        {
            count += read;
        }
        return count;
    }

    /// <summary>
    /// The manifest of one stripe. Its whole is proved chunk by chunk: in place of the hash of its bytes stands the one of its chunks' hashes.
    /// </summary>
    public ImageManifest Stripe(Stripe stripe)
    {
        ImmutableArray<string> hashes = [.. ChunkHashes.Where((_, i) => i % stripe.Of == stripe.Index)];
        return new ImageManifest(stripe.Bytes(Bytes), IsUnverified ? "" : OfHashes(hashes), ChunkBytes, hashes);
    }

    /// <summary>Bytes of one chunk: the last may be shorter.</summary>
    internal int LengthOf(int chunk) => (int)Math.Min(ChunkBytes, Bytes - ((long)chunk * ChunkBytes));

    /// <summary>Whether lengths and hashes agree with each other.</summary>
    public bool IsSound =>
        Bytes >= 0 && Sha256.Length == 64 && ChunkBytes is > 0 and <= ChunkLimit
        && ChunkHashes.Length == (Bytes + ChunkBytes - 1) / ChunkBytes
        && ChunkHashes.All(h => h.Length == 64 && h.All(char.IsAsciiHexDigit));
}
