using Ka.Core.Faults;

namespace Ka.Broadcast.Swarm;

/// <summary>Gives the sink of a node what has come, in order.</summary>
sealed class SwarmFeed(SwarmStock stock, ChunkStore store, Stream sink, ImageManifest manifest, Action<Fault> fail)
{
    long _sunk;

    /// <summary>Bytes that the sink has taken.</summary>
    public long Sunk => Interlocked.Read(ref _sunk);

    /// <summary>The sink refused bytes.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>It has everything and was flushed.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Runs until the sink has everything, or something fails or ends it.</summary>
    public void Run()
    {
        var buffer = new byte[manifest.ChunkBytes];
        for (var chunk = 0; chunk < manifest.ChunkHashes.Length; chunk++)
        {
            if (!stock.Await(chunk) || !Give((long)chunk * buffer.Length, buffer.AsSpan(0, manifest.LengthOf(chunk))))
            {
                return;
            }
        }
        IsFinished = Write([]);
    }

    bool Give(long offset, Span<byte> bytes)
    {
        try
        {
            store.Read(offset, bytes);
        }
        catch (IOException e)
        {
            fail(Fault.Of(FaultCodes.DiskIoError, "The image cannot be read from where the node keeps it.", e.Message));
            return false;
        }
        return Write(bytes);
    }

    /// <summary>Nothing flushes it.</summary>
    bool Write(ReadOnlySpan<byte> bytes)
    {
        try
        {
            sink.Write(bytes);
            if (bytes.IsEmpty)
            {
                sink.Flush();
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            HasFailed = true;
            fail(Fault.Of(FaultCodes.ImageExtractFailed, "The unpacking program took no more bytes.", e.Message));
            return false;
        }
        Interlocked.Add(ref _sunk, bytes.Length);
        return true;
    }
}
