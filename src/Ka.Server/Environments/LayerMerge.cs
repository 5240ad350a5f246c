using System.Collections.Immutable;
using System.Security.Cryptography;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>One layer of a container image, or a part of an environment put below them.</summary>
/// <param name="Path">Archive in the store.</param>
/// <param name="DiffId">SHA-256 of the uncompressed archive as the image's configuration tells it, or null.</param>
/// <param name="Takes">Which of its paths are used; null for all.</param>
public sealed record ImageLayer(string Path, ImageCompression Compression, string? DiffId, Func<string, bool>? Takes = null);

/// <summary>
/// Makes one archive of the layers of a container image (OCI image specification, "Layer Filesystem Changeset"). Works on the archives
/// alone: nothing is unpacked, so devices, setuid bits and owners need no right on the server and harm nobody. Entries that count are
/// copied byte for byte with everything that belongs to them.
/// </summary>
public sealed class LayerMerge(ImmutableArray<ImageLayer> layers)
{
    public const int LayerLimit = 128;

    /// <summary>Largest sum of all layers uncompressed, bytes.</summary>
    public const long SizeLimit = 256L << 30;

    const string Whiteout = ".wh.", Opaque = ".wh..wh..opq";

    /// <summary>Where an entry lies in its uncompressed layer, its name records included.</summary>
    sealed record Placed(TarEntry Entry, long From, long To);

    readonly Dictionary<string, char> _above = new(StringComparer.Ordinal);
    readonly HashSet<string> _hidden = new(StringComparer.Ordinal);
    readonly HashSet<string> _opaque = new(StringComparer.Ordinal);
    long _bytes;

    /// <summary>Writes the merged archive. Lower layers come first, so that directories are there before what is in them.</summary>
    public Fault? Write(Stream output, CancellationToken cancel)
    {
        if (layers.Length > LayerLimit)
            return Fault.Of(FaultCodes.ArchiveInvalid, $"the image has {layers.Length} layers, at most {LayerLimit} are taken");
        var kept = new List<(long From, long To)>[layers.Length];
        for (var i = layers.Length - 1; i >= 0; i--)
        {
            var (placed, fault) = Read(layers[i], cancel);
            if (fault is null)
                (kept[i], fault) = Choose(placed, layers[i].Takes);
            if (fault is not null)
                return Fault.Of(fault.Code, $"layer {i + 1} of {layers.Length}: {fault.Message}", fault.Evidence);
        }
        for (var i = 0; i < layers.Length; i++)
            if (Copy(layers[i], kept[i], output, cancel) is { } fault)
                return fault;
        output.Write(new byte[1024]); // the end marker
        return null;
    }

    (List<Placed> Entries, Fault? Fault) Read(ImageLayer layer, CancellationToken cancel)
    {
        var entries = new List<Placed>();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var (from, packedBytes) = (0L, new FileInfo(layer.Path).Length);
        var fault = Registration.Read(layer.Path, layer.Compression, stream =>
        {
            var counted = new CountedStream(stream, hash);
            var broken = TarWalk.Walk(counted, packedBytes, ArchiveLimits.Default, entry =>
            {
                entries.Add(new Placed(entry, from, counted.Bytes));
                from = counted.Bytes;
                return null;
            }, cancel);
            return broken ?? ((_bytes += counted.Bytes) > SizeLimit ? Fault.Of(FaultCodes.ArchiveTooLarge, $"the layers unpack to more than {SizeLimit} bytes") : null);
        }, cancel);
        if (fault is null && layer.DiffId is { } expected && Convert.ToHexStringLower(hash.GetHashAndReset()) is var found && found != expected)
            fault = Fault.Of(FaultCodes.ArchiveDigest, $"the uncompressed layer has SHA-256 {found}, the image's configuration says {expected}");
        return (entries, fault);
    }

    /// <summary>The ranges of a layer that count under those above it; then the layer itself is above.</summary>
    (List<(long, long)> Kept, Fault? Fault) Choose(List<Placed> entries, Func<string, bool>? takes)
    {
        var kept = new List<(long, long)>();
        var linked = entries.Where(e => e.Entry.Type == '1').ToLookup(e => Absolute(e.Entry.Link!), StringComparer.Ordinal);
        foreach (var (entry, from, to) in entries)
        {
            if (entry.Path.Split('/').Contains(".."))
                return (kept, Fault.Of(FaultCodes.ArchiveInvalid, $"the archive has a name that leaves the root: {entry.Path}"));
            if (Name(entry.Path).StartsWith(Whiteout, StringComparison.Ordinal) || takes?.Invoke(entry.Path) == false)
                continue;
            if (Counts(entry))
            {
                kept.Add((from, to));
                continue;
            }
            // A file goes, a name that shares its content stays: the content is in the entry that goes.
            if (linked[entry.Path].FirstOrDefault(l => takes?.Invoke(l.Entry.Path) != false && Counts(l.Entry)) is not { } link)
                continue;
            if (!_above.ContainsKey(entry.Path))
                return (kept, Fault.Of(FaultCodes.ArchiveInvalid, $"a later layer removes {entry.Path}, whose content {link.Entry.Path} shares", "build the image with this in one layer"));
            kept.Add((from, to)); // the later layer's own file replaces it when the archive is unpacked
        }
        foreach (var (entry, _, _) in entries.Where(e => takes?.Invoke(e.Entry.Path) != false))
            Put(entry);
        return (kept, null);
    }

    /// <summary>Whether nothing above hides or replaces an entry.</summary>
    bool Counts(TarEntry entry)
    {
        if (_hidden.Contains(entry.Path) || (_above.TryGetValue(entry.Path, out var type) && !(type == '5' && entry.Type == '5')))
            return false;
        for (var parent = Parent(entry.Path); ; parent = Parent(parent))
        {
            if (_opaque.Contains(parent) || _hidden.Contains(parent) || (parent != "/" && _above.GetValueOrDefault(parent, '5') != '5'))
                return entry.Path == "/";
            if (parent == "/")
                return true;
        }
    }

    void Put(TarEntry entry)
    {
        var (name, parent) = (Name(entry.Path), Parent(entry.Path));
        if (name == Opaque)
            _opaque.Add(parent);
        else if (name.StartsWith(Whiteout, StringComparison.Ordinal))
            _hidden.Add((parent == "/" ? "/" : parent + "/") + name[Whiteout.Length..]);
        else
            _above[entry.Path] = entry.Type;
    }

    static Fault? Copy(ImageLayer layer, List<(long From, long To)> kept, Stream output, CancellationToken cancel) => Registration.Read(layer.Path, layer.Compression, stream =>
    {
        var buffer = new byte[256 * 1024];
        var at = 0L;
        foreach (var (from, to) in kept)
        {
            cancel.ThrowIfCancellationRequested();
            if (!Move(stream, null, from - at, buffer) || !Move(stream, output, to - from, buffer))
                return Fault.Of(FaultCodes.ArchiveTruncated, "a layer has changed while it was read");
            at = to;
        }
        while (stream.Read(buffer) > 0)
        {
            // the decompressor judges its input at the end only
        }
        return null;
    }, cancel);

    static bool Move(Stream from, Stream? to, long bytes, byte[] buffer)
    {
        while (bytes > 0)
        {
            var n = from.Read(buffer, 0, (int)Math.Min(bytes, buffer.Length));
            if (n == 0)
                return false;
            to?.Write(buffer, 0, n);
            bytes -= n;
        }
        return true;
    }

    static string Name(string path) => path[(path.LastIndexOf('/') + 1)..];

    static string Parent(string path) => path.LastIndexOf('/') is > 0 and var at ? path[..at] : "/";

    static string Absolute(string link) => "/" + string.Join('/', link.Split('/').Where(p => p is not ("" or ".")));
}

/// <summary>Counts and hashes what is read of a stream.</summary>
sealed class CountedStream(Stream inner, IncrementalHash hash) : Stream
{
    public long Bytes { get; private set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => Bytes;
        set => throw new NotSupportedException();
    }

    public override int Read(Span<byte> buffer)
    {
        var count = inner.Read(buffer);
        hash.AppendData(buffer[..count]);
        Bytes += count;
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
