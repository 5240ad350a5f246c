using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Broadcast;

/// <summary>Gives a file that came by another way to a sink, chunk by chunk, and only what has the right hash.</summary>
public sealed class WholeFile(string path, ImageManifest manifest, Stream sink)
{
    long _verified;

    public ChainProgress Progress
    {
        get
        {
            var verified = Interlocked.Read(ref _verified);
            return new ChainProgress(manifest.Bytes, 0, 0, verified, verified, 0, null, 0, 0);
        }
    }

    /// <summary>Runs on a thread of its own. On cancellation a sink that blocks must be broken by its owner.</summary>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public Task<ChainOutcome> Give(CancellationToken cancel) =>
        Task.Factory.StartNew(() => GiveNow(cancel), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    ChainOutcome GiveNow(CancellationToken cancel)
    {
        var sinkFailed = false;
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0, FileOptions.SequentialScan);
            if (file.Length != manifest.Bytes)
            {
                return Bad($"{file.Length} of {manifest.Bytes} bytes");
            }
            var chunk = new byte[manifest.ChunkBytes];
            for (var i = 0; i < manifest.ChunkHashes.Length; i++)
            {
                cancel.ThrowIfCancellationRequested();
                var count = file.ReadAtLeast(chunk, chunk.Length, throwOnEndOfStream: false);
                if (!Convert.FromHexString(manifest.ChunkHashes[i]).AsSpan().SequenceEqual(SHA256.HashData(chunk.AsSpan(0, count))))
                {
                    return Bad($"chunk {i} at offset {(long)i * manifest.ChunkBytes}");
                }
                sinkFailed = true;
                sink.Write(chunk, 0, count);
                sinkFailed = false;
                Interlocked.Add(ref _verified, count);
            }
            sinkFailed = true;
            sink.Flush();
            return new ChainOutcome(null, false, Progress);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            cancel.ThrowIfCancellationRequested();
            return new ChainOutcome(
                sinkFailed ? Fault.Of(FaultCodes.ImageExtractFailed, "The image could not be handed on to what unpacks it.", e.Message)
                : Fault.Of(FaultCodes.DiskIoError, "The image could not be read from where it was put.", e.Message),
                sinkFailed, Progress);
        }
    }

    ChainOutcome Bad(string evidence) => new(Fault.Of(FaultCodes.ImageCorrupt, "What came is not the image that was registered.", evidence), false, Progress);
}
