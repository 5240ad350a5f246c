using System.IO.Enumeration;
using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>Files by their SHA-256: what has a name here has exactly these bytes, for ever.</summary>
public sealed class FileStore
{
    readonly string _root;

    /// <summary>Largest file that is taken, bytes.</summary>
    public const long SizeLimit = 512L << 30;

    /// <param name="limit">Bytes that the store may hold; null for as much as the disk holds.</param>
    public FileStore(string root, long? limit = null)
    {
        _root = root;
        Room = new StoreRoom(limit, Held);
        Directory.CreateDirectory(Path.Combine(root, "incoming"));
        // What a crash left half written has no name yet and is worth nothing.
        foreach (var left in Directory.EnumerateFiles(Path.Combine(root, "incoming")))
            File.Delete(left);
    }

    public StoreRoom Room { get; }

    /// <summary>Where files lie that have not come whole.</summary>
    internal string PartsDirectory => Path.Combine(_root, "parts");

    public static bool IsDigest(string text) => text.Length == 64 && text.All(char.IsAsciiHexDigitLower);

    public string PathOf(string sha256) => IsDigest(sha256)
        ? Path.Combine(_root, sha256[..2], sha256)
        : throw new ArgumentException("not a SHA-256 in lower-case hex", nameof(sha256));

    public bool Has(string sha256) => File.Exists(PathOf(sha256));

    /// <summary>Whether a file is there; if so it is used now, so that it is not collected before whoever asks has it where it is referred to.</summary>
    public bool Use(string sha256)
    {
        Touch(sha256, TimeProvider.System.GetUtcNow());
        return Has(sha256);
    }

    /// <summary>Sets when a file was last used; kept as the file's own time, across restarts.</summary>
    public void Touch(string sha256, DateTimeOffset now)
    {
        if (Has(sha256))
            File.SetLastWriteTimeUtc(PathOf(sha256), now.UtcDateTime);
    }

    /// <summary>Every file that has its digest as name.</summary>
    public IEnumerable<StoredFile> All() => new FileSystemEnumerable<StoredFile>(
        _root, (ref FileSystemEntry file) => new StoredFile(file.FileName.ToString(), file.Length, file.LastWriteTimeUtc), Below)
    {
        ShouldIncludePredicate = (ref FileSystemEntry file) => !file.IsDirectory && file.FileName.Length == 64 && IsDigest(file.FileName.ToString()) && Path.GetFileName(file.Directory).SequenceEqual(file.FileName[..2]),
    };

    static readonly EnumerationOptions Below = new() { RecurseSubdirectories = true, MaxRecursionDepth = 1, AttributesToSkip = 0 };

    /// <summary>Bytes of all files, also of what is kept beside them and of parts.</summary>
    long Held(IReadOnlySet<string> without) => new FileSystemEnumerable<long>(_root, (ref FileSystemEntry file) => file.Length, Below)
    {
        ShouldIncludePredicate = (ref FileSystemEntry file) => !file.IsDirectory && !Path.GetFileName(file.Directory).SequenceEqual("incoming") && (without.Count == 0 || !without.Contains(file.FileName.ToString())),
    }.Sum();

    /// <summary>Takes bytes under the digest that the sender claims; other bytes leave nothing behind. Bytes that are there already are only hashed.</summary>
    /// <param name="announced">How many will come; null when nobody knows.</param>
    /// <param name="limit">Most bytes that are taken.</param>
    public async Task<Fault?> PutAsync(string sha256, Stream content, CancellationToken cancel, long? announced = null, long limit = SizeLimit)
    {
        using var share = Room.Open();
        var known = Use(sha256);
        if ((announced > limit ? TooLarge(limit) : known ? null : share.Announce(announced ?? 0)) is { } refused)
            return refused;
        var temporary = Path.Combine(_root, "incoming", Path.GetRandomFileName());
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            await using (var file = known ? null : new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0))
            {
                var buffer = new byte[256 * 1024];
                long total = 0;
                int n;
                while ((n = await content.ReadAsync(buffer, cancel)) > 0)
                {
                    if (((total += n) > limit ? TooLarge(limit) : known ? null : share.Need(total)) is { } full)
                        return full;
                    hash.AppendData(buffer, 0, n);
                    if (file is not null)
                        await file.WriteAsync(buffer.AsMemory(0, n), cancel);
                }
                if (file is not null && DurableFile.Sync(file) is { } fault)
                    return fault;
            }
            var actual = Convert.ToHexStringLower(hash.GetHashAndReset());
            if (actual != sha256)
                return Fault.Of(FaultCodes.ArchiveDigest, $"the bytes have SHA-256 {actual}, claimed was {sha256}");
            return !known ? Name(temporary, sha256)
                : Use(sha256) ? null
                : Fault.Of(FaultCodes.StoreFull, "the store let go of its copy of the file while it came; send it again");
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    static Fault TooLarge(long limit) => Fault.Of(FaultCodes.RequestTooLarge, $"files larger than {limit} bytes are not taken");

    /// <summary>Name of a file for work on the same disk; gone after a restart at the latest.</summary>
    public string Scratch() => Path.Combine(_root, "incoming", Path.GetRandomFileName());

    /// <summary>Takes what is written and names it by its digest.</summary>
    public (string? Sha256, Fault? Fault) Add(Action<Stream> write)
    {
        using var share = Room.Open();
        var temporary = Path.Combine(_root, "incoming", Path.GetRandomFileName());
        try
        {
            string sha256;
            using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None))
            {
                write(file);
                if (DurableFile.Sync(file) is { } fault)
                    return (null, fault);
                if (share.Announce(file.Length) is { } full)
                    return (null, full);
                file.Position = 0;
                sha256 = Convert.ToHexStringLower(SHA256.HashData(file));
            }
            return (sha256, Name(temporary, sha256));
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    internal Fault? Name(string temporary, string sha256)
    {
        var directory = Path.GetDirectoryName(PathOf(sha256))!;
        Directory.CreateDirectory(directory);
        File.Move(temporary, PathOf(sha256), overwrite: true);
        return DurableFile.SyncDirectory(directory);
    }

    public void Remove(string sha256) => File.Delete(PathOf(sha256));

    /// <summary>Whether a file is still as it was listed: nobody has asked for it since.</summary>
    public bool IsStill(StoredFile file) => File.GetLastWriteTimeUtc(PathOf(file.Sha256)) == file.UsedAt.UtcDateTime;
}
