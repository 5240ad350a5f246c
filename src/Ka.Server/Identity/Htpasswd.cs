using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Ka.Server.Identity;

/// <summary>
/// Names and passwords in a file as <c>htpasswd -B</c> writes it, read again when it changes. Only bcrypt counts: a line of another
/// kind lets nobody in. The hashing is the system's own crypt(3) (libxcrypt).
/// </summary>
public sealed partial class Htpasswd(string path, byte[] cacheKey) : IDisposable
{
    /// <summary>Most checks at once, each some tenths of a second of one processor; and most that wait.</summary>
    const int AtOnce = 2, Waiting = 32;

    /// <summary>Longest password in bytes that bcrypt looks at; a longer one is refused rather than cut.</summary>
    const int PasswordLimit = 72;

    const int FileLimit = 4 * 1024 * 1024, MostCost = 14, CacheLimit = 1000;

    /// <summary>Checked against for a name that does not exist, so that it takes as long as one that does. Of a password that nobody knows.</summary>
    const string Nobody = "$2y$10$abcdefghijklmnopqrstuuKUDuTPfVvsz1WFmVdMyTnyxNFWOtHBe";

    readonly SemaphoreSlim _turns = new(AtOnce);
    readonly Lock _gate = new();
    readonly HashSet<string> _good = new(StringComparer.Ordinal);
    (DateTime Written, long Length) _read;
    ImmutableDictionary<string, string> _hashes = ImmutableDictionary<string, string>.Empty;
    int _waiting;

    /// <summary>Whether the password is that of the name; null when too many are being checked.</summary>
    public async Task<bool?> AcceptsAsync(string name, string password, CancellationToken cancel)
    {
        var bytes = Encoding.UTF8.GetBytes(password);
        if (bytes.Length is 0 or > PasswordLimit || password.Contains('\0'))
            return false;
        var hash = Hashes().GetValueOrDefault(name);
        var proof = Convert.ToHexString(HMACSHA256.HashData(cacheKey, Encoding.UTF8.GetBytes($"{name}\0{hash}\0{password}")));
        lock (_gate)
            if (hash is not null && _good.Contains(proof))
                return true;
        if (Interlocked.Increment(ref _waiting) > Waiting)
        {
            Interlocked.Decrement(ref _waiting);
            return null;
        }
        try
        {
            await _turns.WaitAsync(cancel);
            try
            {
                var good = await Task.Run(() => Matches(password, hash ?? Nobody), cancel) && hash is not null;
                if (good)
                    Remember(proof);
                return good;
            }
            finally
            {
                _turns.Release();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    void Remember(string proof)
    {
        lock (_gate)
        {
            if (_good.Count >= CacheLimit)
                _good.Clear();
            _good.Add(proof);
        }
    }

    ImmutableDictionary<string, string> Hashes()
    {
        var file = new FileInfo(path);
        lock (_gate)
        {
            if (!file.Exists || file.Length > FileLimit)
                return _hashes = ImmutableDictionary<string, string>.Empty;
            if (_read == (file.LastWriteTimeUtc, file.Length))
                return _hashes;
            _read = (file.LastWriteTimeUtc, file.Length);
            _good.Clear();
            return _hashes = Read(File.ReadAllText(path));
        }
    }

    /// <summary>The bcrypt lines of a file; a name that stands twice counts as its first.</summary>
    public static ImmutableDictionary<string, string> Read(string text)
    {
        var hashes = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var line in text.Split('\n'))
            if (line.TrimEnd('\r').Split(':', 2) is [var name, var hash] && name.Length > 0 && name[0] != '#' && IsBcrypt(hash))
                hashes.TryAdd(name, hash);
        return hashes.ToImmutable();
    }

    static bool IsBcrypt(string hash) =>
        hash.Length == 60 && hash[..4] is "$2y$" or "$2b$" or "$2a$" && hash[6] == '$' && int.TryParse(hash.AsSpan(4, 2), out var cost) && cost is >= 4 and <= MostCost;

    /// <summary>Whether a password gives this bcrypt hash.</summary>
    public static bool Matches(string password, string hash)
    {
        nint memory = 0;
        var size = 0;
        try
        {
            var made = Marshal.PtrToStringAnsi(Crypt(password, hash, ref memory, ref size)) ?? "*";
            return CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(made), Encoding.ASCII.GetBytes(hash));
        }
        finally
        {
            unsafe
            {
                if (memory != 0)
                {
                    CryptographicOperations.ZeroMemory(new Span<byte>((void*)memory, size));
                    NativeMemory.Free((void*)memory);
                }
            }
        }
    }

    public void Dispose() => _turns.Dispose();

    /// <summary>crypt_ra(3): the result is within the memory, which it makes with malloc.</summary>
    [LibraryImport("libcrypt.so.1", EntryPoint = "crypt_ra", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Crypt(string phrase, string setting, ref nint memory, ref int size);
}
