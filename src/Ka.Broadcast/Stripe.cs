namespace Ka.Broadcast;

/// <summary>Every <paramref name="Of"/>th chunk of an image, beginning with number <paramref name="Index"/>: a stream of its own.</summary>
public readonly record struct Stripe(int Index, int Of, int ChunkBytes)
{
    /// <summary>Two stripes go down two trees.</summary>
    public const int Pair = 2;

    /// <summary>The image as one stream.</summary>
    public static readonly Stripe Whole = new(0, 1, int.MaxValue);

    /// <summary>Length in bytes of this stripe of an image.</summary>
    public long Bytes(long imageBytes)
    {
        if (Of == 1)
        {
            return imageBytes;
        }
        var chunks = (imageBytes + ChunkBytes - 1) / ChunkBytes;
        var mine = (chunks - Index + Of - 1) / Of;
        var lastIsMine = chunks > 0 && (chunks - 1) % Of == Index;
        return (mine * ChunkBytes) - (lastIsMine ? (chunks * ChunkBytes) - imageBytes : 0);
    }

    /// <summary>Where in the image an offset of the stripe lies.</summary>
    public long InImage(long offset) => Of == 1 ? offset : ((offset / ChunkBytes * Of) + Index) * ChunkBytes + (offset % ChunkBytes);

    /// <summary>How many bytes from an offset of the stripe on lie together in the image as well.</summary>
    public long Together(long offset) => Of == 1 ? long.MaxValue : ChunkBytes - (offset % ChunkBytes);
}
