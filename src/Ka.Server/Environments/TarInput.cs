using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>The decompressed archive, counted while it is read. When a limit is reached the stream ends and <see cref="Stopped"/> says why.</summary>
/// <param name="packedBytes">Length of the file it comes from.</param>
sealed class TarInput(Stream stream, long packedBytes, ArchiveLimits limits)
{
    static readonly byte[] Zeros = new byte[256 * 1024];

    readonly byte[] _buffer = new byte[256 * 1024];
    long _read;

    public ArchiveLimits Limits => limits;

    public Fault? Stopped { get; private set; }

    /// <summary>False when the stream ends before the buffer is full.</summary>
    public bool Fill(Span<byte> buffer) => Took(stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false), buffer.Length);

    public int Read(Span<byte> buffer)
    {
        var count = stream.Read(buffer);
        return Took(count, count) ? count : 0;
    }

    public bool Skip(long bytes) => Take(bytes, null);

    /// <summary>Reads so many bytes and hashes them.</summary>
    public bool Take(long bytes, IncrementalHash? hash)
    {
        while (bytes > 0)
        {
            var count = stream.Read(_buffer, 0, (int)Math.Min(bytes, _buffer.Length));
            if (count == 0 || !Took(count, count))
                return false;
            hash?.AppendData(_buffer, 0, count);
            bytes -= count;
        }
        return true;
    }

    /// <summary>Hashes a hole.</summary>
    public static void TakeZeros(long bytes, IncrementalHash hash, CancellationToken cancel)
    {
        for (; bytes > 0; bytes -= Math.Min(bytes, Zeros.Length))
        {
            cancel.ThrowIfCancellationRequested();
            hash.AppendData(Zeros, 0, (int)Math.Min(bytes, Zeros.Length));
        }
    }

    bool Took(int count, int wanted)
    {
        _read += count;
        if (_read > limits.UnpackedBytes)
            Stopped ??= Fault.Of(FaultCodes.ArchiveLimit, $"the archive unpacks to more than {limits.UnpackedBytes} bytes");
        else if (_read > limits.RatioFrom && _read / limits.Ratio > packedBytes)
            Stopped ??= Fault.Of(FaultCodes.ArchiveLimit, $"the archive unpacks to more than {limits.Ratio} times its {packedBytes} bytes");
        return count == wanted && Stopped is null;
    }
}
