using System.Collections.Immutable;
using System.Security.Cryptography;

namespace Ka.Core.Environments;

/// <summary>SHA-256 of every block of an uncompressed disk image: the proof that a disk holds it.</summary>
/// <param name="Bytes">Size of the image; the last block may be shorter.</param>
/// <param name="Packed">The digests one after another, 32 bytes each.</param>
public sealed record BlockHashes(long Bytes, ReadOnlyMemory<byte> Packed)
{
    public const int BlockBytes = 4 << 20;

    /// <summary>Largest image in bytes: its hashes still fit into one message to an agent.</summary>
    public const long ImageLimit = 1L << 40;

    /// <summary>Fewest blocks that a sample has, when there are so many.</summary>
    public const int SampleLeast = 32;

    /// <summary>A sample reads one block of so many.</summary>
    public const int SampleStride = 16;

    public int Count => Packed.Length / SHA256.HashSizeInBytes;

    public bool IsSound => Bytes is > 0 and <= ImageLimit && Packed.Length == (Bytes + BlockBytes - 1) / BlockBytes * SHA256.HashSizeInBytes;

    public int SizeOf(int block) => (int)Math.Min(BlockBytes, Bytes - (long)block * BlockBytes);

    public bool Matches(int block, ReadOnlySpan<byte> content) =>
        SHA256.HashData(content).AsSpan().SequenceEqual(Packed.Span.Slice(block * SHA256.HashSizeInBytes, SHA256.HashSizeInBytes));

    /// <summary>The blocks that are read back, in order: the first, the last and every so many between.</summary>
    /// <param name="shift">Where between them the sample begins; another on each node.</param>
    public ImmutableArray<int> Chosen(VerifyMode mode, int shift) => mode switch
    {
        VerifyMode.None => [],
        VerifyMode.Full => [.. Enumerable.Range(0, Count)],
        VerifyMode.Sample => Sample(Math.Clamp(Count / SampleLeast, 1, SampleStride), shift),
    };

    ImmutableArray<int> Sample(int stride, int shift) =>
        [.. Enumerable.Range(0, Count).Where(b => b == 0 || b == Count - 1 || (b + shift) % stride == 0)];
}

/// <summary>Hashes an image block by block as it streams by.</summary>
public sealed class BlockHasher : IDisposable
{
    readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    readonly MemoryStream _packed = new();
    int _inBlock;

    public long Bytes { get; private set; }

    public void Append(ReadOnlySpan<byte> content)
    {
        Bytes += content.Length;
        while (!content.IsEmpty)
        {
            var taken = Math.Min(content.Length, BlockHashes.BlockBytes - _inBlock);
            _hash.AppendData(content[..taken]);
            content = content[taken..];
            if ((_inBlock += taken) == BlockHashes.BlockBytes)
            {
                End();
            }
        }
    }

    public BlockHashes Finish()
    {
        if (_inBlock > 0)
        {
            End();
        }
        return new BlockHashes(Bytes, _packed.ToArray());
    }

    public void Dispose()
    {
        _hash.Dispose();
        _packed.Dispose();
    }

    void End()
    {
        _packed.Write(_hash.GetHashAndReset());
        _inBlock = 0;
    }
}
