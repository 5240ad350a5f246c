using Microsoft.Win32.SafeHandles;

namespace Ka.Broadcast.Swarm;

/// <summary>Where the chunks of an image lie while it comes in any order. Calls may come from several threads at once.</summary>
public abstract class ChunkStore : IDisposable
{
    /// <exception cref="IOException">The store takes no more.</exception>
    public abstract void Write(long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Fills the span.</summary>
    /// <exception cref="IOException">It is not there to be read.</exception>
    public abstract void Read(long offset, Span<byte> into);

    public abstract void Dispose();
}

/// <summary>A file of the image's length.</summary>
public sealed class FileChunkStore : ChunkStore
{
    readonly SafeFileHandle _file;

    FileChunkStore(SafeFileHandle file) => _file = file;

    /// <exception cref="IOException">The file cannot be made.</exception>
    public static FileChunkStore Create(string path) =>
        new(File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.Read));

    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static FileChunkStore Open(string path) =>
        new(File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read));

    public override void Write(long offset, ReadOnlySpan<byte> bytes) => RandomAccess.Write(_file, bytes, offset);

    public override void Read(long offset, Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            var count = RandomAccess.Read(_file, into, offset);
            if (count == 0)
            {
                throw new IOException($"the image ends at {offset}");
            }
            offset += count;
            into = into[count..];
        }
    }

    public override void Dispose() => _file.Dispose();
}
