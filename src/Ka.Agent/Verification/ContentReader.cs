using System.Collections.Concurrent;
using System.Security.Cryptography;
using Ka.Agent.Machine;
using Ka.Protocol.Manifests;

namespace Ka.Agent.Verification;

/// <summary>Reads files back and hashes them on a thread of its own, so that the disk works while the walk goes on.</summary>
sealed class ContentReader : IDisposable
{
    /// <summary>Files that wait open.</summary>
    const int Ahead = 32;

    readonly BlockingCollection<(ManifestEntry Entry, int Descriptor)> _waiting = new(Ahead);
    readonly List<(ManifestEntry Entry, int Error, string Sha256)> _wrong = [];
    readonly Action<long> _progress;
    readonly CancellationToken _cancel;
    readonly Task _reading;

    /// <param name="progress">Takes the bytes read so far.</param>
    public ContentReader(Action<long> progress, CancellationToken cancel)
    {
        (_progress, _cancel) = (progress, cancel);
        _reading = Task.Factory.StartNew(ReadAll, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Files read; whole after <see cref="Finish"/>.</summary>
    public long Files { get; private set; }

    public long Bytes { get; private set; }

    /// <summary>Takes an open file, which it closes.</summary>
    public void Add(ManifestEntry entry, int descriptor) => _waiting.Add((entry, descriptor), CancellationToken.None);

    /// <summary>Waits until everything is read, and tells what is not as it should be.</summary>
    /// <exception cref="OperationCanceledException">The check was cancelled.</exception>
    public void Finish(EntryComparison compare)
    {
        End();
        _cancel.ThrowIfCancellationRequested();
        foreach (var (entry, error, sha256) in _wrong)
        {
            if (error != 0)
                compare.Unreadable(entry.Path, error);
            else
                compare.Aspect(entry, "content", $"sha256:{entry.Sha256}", $"sha256:{sha256}");
        }
    }

    public void Dispose()
    {
        End();
        _waiting.Dispose();
    }

    void End()
    {
        _waiting.CompleteAdding();
        _reading.Wait(CancellationToken.None);
    }

    void ReadAll()
    {
        var buffer = new byte[1 << 20];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (entry, descriptor) in _waiting.GetConsumingEnumerable(CancellationToken.None))
        {
            var error = _cancel.IsCancellationRequested ? 0 : Hash(descriptor, buffer, hash);
            NativeFiles.Close(descriptor);
            var found = Convert.ToHexStringLower(hash.GetHashAndReset());
            if (error != 0 || found != entry.Sha256)
                _wrong.Add((entry, error, found));
            Files++;
        }
    }

    /// <summary>Past the page cache. Zero, or the errno.</summary>
    int Hash(int descriptor, byte[] buffer, IncrementalHash hash)
    {
        NativeFiles.Forget(descriptor);
        int error, count;
        while ((error = NativeFiles.Read(descriptor, buffer, out count)) == 0 && count > 0 && !_cancel.IsCancellationRequested)
        {
            hash.AppendData(buffer, 0, count);
            Bytes += count;
            _progress(Bytes);
        }
        return error;
    }
}
