using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>Files by their SHA-256: what has a name here has exactly these bytes, for ever.</summary>
public sealed class FileStore
{
    readonly string _root;

    /// <summary>Largest file that is taken, bytes.</summary>
    public const long SizeLimit = 512L << 30;

    public FileStore(string root)
    {
        _root = root;
        Directory.CreateDirectory(Path.Combine(root, "incoming"));
        // What a crash left half written has no name yet and is worth nothing.
        foreach (var left in Directory.EnumerateFiles(Path.Combine(root, "incoming")))
            File.Delete(left);
    }

    public static bool IsDigest(string text) => text.Length == 64 && text.All(char.IsAsciiHexDigitLower);

    public string PathOf(string sha256) => IsDigest(sha256)
        ? Path.Combine(_root, sha256[..2], sha256)
        : throw new ArgumentException("not a SHA-256 in lower-case hex", nameof(sha256));

    public bool Has(string sha256) => File.Exists(PathOf(sha256));

    /// <summary>Notes that somebody is about to use a file, so that it is not collected before they have.</summary>
    public void Touch(string sha256, DateTimeOffset now) => File.SetLastWriteTimeUtc(PathOf(sha256), now.UtcDateTime);

    /// <summary>Every file that has its digest as name.</summary>
    public IEnumerable<StoredFile> All() =>
        from path in Directory.EnumerateFiles(_root, "*", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 1, AttributesToSkip = 0 })
        let file = new FileInfo(path)
        where IsDigest(file.Name) && file.Directory!.Name == file.Name[..2]
        select new StoredFile(file.Name, file.Length, new DateTimeOffset(file.LastWriteTimeUtc));

    /// <summary>Takes bytes under the digest that the sender claims; other bytes leave nothing behind.</summary>
    /// <param name="limit">Most bytes that are taken.</param>
    public async Task<Fault?> PutAsync(string sha256, Stream content, CancellationToken cancel, long limit = SizeLimit)
    {
        var temporary = Path.Combine(_root, "incoming", Path.GetRandomFileName());
        try
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            await using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 0))
            {
                var buffer = new byte[256 * 1024];
                long total = 0;
                int n;
                while ((n = await content.ReadAsync(buffer, cancel)) > 0)
                {
                    hash.AppendData(buffer, 0, n);
                    await file.WriteAsync(buffer.AsMemory(0, n), cancel);
                    if ((total += n) > limit)
                        return Fault.Of(FaultCodes.RequestTooLarge, $"files larger than {limit} bytes are not taken");
                }
                if (DurableFile.Sync(file) is { } fault)
                    return fault;
            }
            var actual = Convert.ToHexStringLower(hash.GetHashAndReset());
            if (actual != sha256)
                return Fault.Of(FaultCodes.ArchiveDigest, $"the bytes have SHA-256 {actual}, claimed was {sha256}");
            return Name(temporary, sha256);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    /// <summary>Name of a file for work on the same disk; gone after a restart at the latest.</summary>
    public string Scratch() => Path.Combine(_root, "incoming", Path.GetRandomFileName());
    /// <summary>Takes what is written and names it by its digest.</summary>
    public (string? Sha256, Fault? Fault) Add(Action<Stream> write)
    {
        var temporary = Path.Combine(_root, "incoming", Path.GetRandomFileName());
        try
        {
            string sha256;
            using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None))
            {
                write(file);
                if (DurableFile.Sync(file) is { } fault)
                    return (null, fault);
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

    Fault? Name(string temporary, string sha256)
    {
        var directory = Path.GetDirectoryName(PathOf(sha256))!;
        Directory.CreateDirectory(directory);
        File.Move(temporary, PathOf(sha256), overwrite: true);
        return DurableFile.SyncDirectory(directory);
    }

    public void Remove(string sha256) => File.Delete(PathOf(sha256));
}
