using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>How an upload stands after an attempt to go on with it.</summary>
/// <param name="Offset">Bytes that are there.</param>
public sealed record PartState(long Offset, bool Complete, Fault? Fault)
{
    /// <summary>Another request goes on with it: this one's connection is to be broken.</summary>
    public bool TakenOver { get; init; }
}

/// <summary>
/// Files of which only the beginning has come. A part belongs to who began it: what others send of the same digest is a part of its own, so that nobody spoils it. One at a time
/// appends; who comes later ends the one before, whose connection may be dead without the server knowing. The whole is hashed before it is taken.
/// </summary>
public sealed class FileParts
{
    /// <summary>Parts that nobody has continued for so long are removed.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromDays(1);

    readonly FileStore _files;
    readonly ConcurrentDictionary<string, Turn> _turns = new(StringComparer.Ordinal);

    public FileParts(FileStore files)
    {
        _files = files;
        Directory.CreateDirectory(files.PartsDirectory);
        Remove(Patience, TimeProvider.System.GetUtcNow());
    }

    /// <summary>One who appends: told to end, and waited for.</summary>
    sealed record Turn(CancellationTokenSource Over, TaskCompletionSource Left);

    static string NameOf(string sha256, string owner) => $"{sha256}.{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(owner)))[..32]}";

    string PathOf(string sha256, string owner) => Path.Combine(_files.PartsDirectory, NameOf(sha256, owner));

    /// <summary>Bytes that have come of somebody's upload; null when there is none.</summary>
    public long? Offset(string sha256, string owner) => new FileInfo(PathOf(sha256, owner)) is { Exists: true, Length: var length } ? length : null;

    /// <summary>Every part, the longest idle first, but those that grow now.</summary>
    public StoredFile[] All() => [.. new DirectoryInfo(_files.PartsDirectory).EnumerateFiles().Where(f => !_turns.ContainsKey(f.Name) && f.Exists).Select(f => new StoredFile(f.Name, f.Length, f.LastWriteTimeUtc)).OrderBy(f => f.UsedAt)];

    /// <summary>Removes a part of the list unless it has grown since.</summary>
    /// <returns>Its bytes when it is gone.</returns>
    public long Remove(StoredFile part)
    {
        var path = Path.Combine(_files.PartsDirectory, part.Sha256);
        if (_turns.ContainsKey(part.Sha256) || File.GetLastWriteTimeUtc(path) != part.UsedAt.UtcDateTime)
            return 0;
        File.Delete(path);
        return part.Bytes;
    }

    void Remove(TimeSpan age, DateTimeOffset now)
    {
        foreach (var part in All().Where(p => now - p.UsedAt >= age))
            Remove(part);
    }

    /// <summary>Goes on with an upload, or begins one at 0. What has come before the connection breaks stays.</summary>
    /// <param name="announced">How many bytes this attempt brings; null when nobody knows.</param>
    /// <param name="complete">Whether these are the last ones.</param>
    public async Task<PartState> AppendAsync(string sha256, string owner, long offset, bool complete, Stream content, long? announced, CancellationToken cancel)
    {
        var name = NameOf(sha256, owner);
        if (offset == 0)
            Remove(Patience, TimeProvider.System.GetUtcNow());
        var turn = await TakeAsync(name, cancel);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(turn.Over.Token, cancel);
        try
        {
            return await AppendAsync(sha256, owner, offset, complete, content, announced, either.Token, cancel);
        }
        catch (OperationCanceledException) when (turn.Over.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            return new PartState(Offset(sha256, owner) ?? 0, false, null) { TakenOver = true };
        }
        finally
        {
            _turns.TryRemove(name, out _);
            turn.Left.SetResult();
        }
    }

    async Task<Turn> TakeAsync(string name, CancellationToken cancel)
    {
        var mine = new Turn(new CancellationTokenSource(), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        while (_turns.GetOrAdd(name, mine) is var other && other != mine)
        {
            await other.Over.CancelAsync();
            await other.Left.Task.WaitAsync(cancel);
        }
        return mine;
    }

    static PartState Elsewhere(long offset, string why) => new(offset, false, Fault.Of(FaultCodes.UploadOffset, $"{why}; {offset} bytes are there"));

    async Task<PartState> AppendAsync(string sha256, string owner, long offset, bool complete, Stream content, long? announced, CancellationToken cancel, CancellationToken hashing)
    {
        var path = PathOf(sha256, owner);
        using var share = _files.Room.Open();
        var before = Offset(sha256, owner) ?? 0;
        if (offset != before)
            return Elsewhere(before, $"the upload does not go on at {offset}");
        share.Adopt(Path.GetFileName(path), before);
        if (announced is { } coming && share.Announce(before + coming) is { } full)
            return new PartState(before, false, full);
        var total = before;
        await using (var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, 0))
        {
            file.Position = before;
            var buffer = new byte[256 * 1024];
            int n;
            while ((n = await content.ReadAsync(buffer, cancel)) > 0)
            {
                if (share.Need(total + n) is { } over)
                {
                    file.SetLength(before);
                    return new PartState(before, false, over);
                }
                await file.WriteAsync(buffer.AsMemory(0, n), CancellationToken.None);
                total += n;
            }
            if (DurableFile.Sync(file) is { } fault)
                return new PartState(total, false, fault);
        }
        return complete ? await TakeWholeAsync(sha256, path, total, hashing) : new PartState(total, false, null);
    }

    async Task<PartState> TakeWholeAsync(string sha256, string path, long total, CancellationToken cancel)
    {
        string actual;
        await using (var file = File.OpenRead(path))
            actual = Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel));
        if (actual != sha256)
        {
            File.Delete(path);
            return new PartState(0, false, Fault.Of(FaultCodes.ArchiveDigest, $"the bytes have SHA-256 {actual}, claimed was {sha256}"));
        }
        if (!_files.Use(sha256))
            return new PartState(total, true, _files.Name(path, sha256));
        File.Delete(path);
        return new PartState(total, true, null);
    }
}
