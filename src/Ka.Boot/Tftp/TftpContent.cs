using Microsoft.Win32.SafeHandles;

namespace Ka.Boot.Tftp;

/// <summary>What one transfer reads: bytes in memory, or a file as it was when opened.</summary>
public sealed class TftpContent : IDisposable
{
    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly SafeFileHandle? _file;

    private TftpContent(ReadOnlyMemory<byte> bytes, SafeFileHandle? file) =>
        (_bytes, _file, Length) = (bytes, file, file is null ? bytes.Length : RandomAccess.GetLength(file));

    /// <summary>Bytes in all.</summary>
    public long Length { get; }

    /// <summary>Content in memory.</summary>
    public static TftpContent Of(ReadOnlyMemory<byte> bytes) => new(bytes, null);

    /// <summary>A file. Throws <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/> when it cannot be opened.</summary>
    public static TftpContent Open(string path) => new(default, File.OpenHandle(path, share: FileShare.Read | FileShare.Delete));

    /// <summary>Fills the buffer from an offset. False when the bytes cannot be read.</summary>
    public bool TryRead(long offset, Span<byte> into)
    {
        if (_file is null)
        {
            _bytes.Span.Slice((int)offset, into.Length).CopyTo(into);
            return true;
        }

        try
        {
            for (var done = 0; done < into.Length;)
            {
                var count = RandomAccess.Read(_file, into[done..], offset + done);
                if (count == 0)
                {
                    return false;
                }

                done += count;
            }

            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file?.Dispose();
}

/// <summary>A file that a client may read.</summary>
/// <param name="Node">Whose file it is; null for what everybody may read.</param>
/// <param name="Fetched">What to note when the last block was acknowledged; null for nothing.</param>
public sealed record TftpOffer(TftpContent Content, BootNode? Node = null, BootEventKind? Fetched = null);

/// <summary>What to note of a packet.</summary>
/// <param name="Detail">One sentence or a file name; never the key in a path.</param>
public sealed record TftpNote(BootEventKind Kind, BootNode? Node, string Detail);
