using System.Collections.Immutable;
using System.Security.Cryptography;
using Ka.Core.Faults;
using Ka.Protocol.Manifests;

namespace Ka.Server.Environments;

/// <summary>One entry of an archive, as GNU tar would unpack it.</summary>
/// <param name="Path">Absolute and normal: <c>/boot/vmlinuz</c>; the root is <c>/</c>. Bytes that are no UTF-8 as <see cref="ByteText"/> says.</param>
/// <param name="Type">'0' file, '1' hard link, '2' symbolic link, '3' character device, '4' block device, '5' directory, '6' fifo.</param>
/// <param name="Link">Target of a symbolic link as written; of a hard link absolute and normal.</param>
/// <param name="Bytes">Content in bytes; of a sparse file the part that is stored.</param>
public sealed record TarEntry(string Path, char Type, string? Link, long Bytes)
{
    public int Mode { get; init; }

    public uint Uid { get; init; }

    public uint Gid { get; init; }

    public uint Major { get; init; }

    public uint Minor { get; init; }

    /// <summary>Logical size of a file.</summary>
    public long Size { get; init; }

    /// <summary>SHA-256 of a file's logical content.</summary>
    public string? Sha256 { get; init; }

    public ImmutableArray<FileAttribute> Attributes { get; init; } = [];
}

/// <summary>
/// Reads a tar archive (POSIX.1-2017 pax, ustar, GNU) from its first header to its end marker and nothing more: what GNU tar
/// lets pass (an archive cut at a block border, a missing end) is an error here, and so is every name that would leave the root.
/// System.Formats.Tar does not tell a cut archive from a whole one, which is why this is not it.
/// </summary>
public sealed class TarWalk
{
    readonly TarInput _input;
    readonly Func<TarEntry, Fault?> _take;
    readonly CancellationToken _cancel;
    readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    TarRecords _records = new();
    long _holes;

    TarWalk(TarInput input, Func<TarEntry, Fault?> take, CancellationToken cancel) => (_input, _take, _cancel) = (input, take, cancel);

    /// <summary>Walks the stream to its end and tells each entry; stops at the first fault, the taker's own included.</summary>
    /// <param name="packedBytes">Length of the file that the stream is made of.</param>
    public static Fault? Walk(Stream stream, long packedBytes, ArchiveLimits limits, Func<TarEntry, Fault?> take, CancellationToken cancel)
    {
        var walk = new TarWalk(new TarInput(stream, packedBytes, limits), take, cancel);
        using (walk._hash)
            return walk.Run();
    }

    Fault? Run()
    {
        var header = new byte[TarFields.Block];
        for (var count = 0; ; count++)
        {
            _cancel.ThrowIfCancellationRequested();
            if (!_input.Fill(header))
                return _input.Stopped ?? Truncated(count);
            if (!header.AsSpan().ContainsAnyExcept((byte)0))
                return _input.Fill(header) ? End(header, count) : _input.Stopped ?? Truncated(count);
            if (!TarFields.ChecksumHolds(header))
                return NoHeader(header, count);
            if (Take(header) is { } fault)
                return fault;
        }
    }

    static Fault NoHeader(byte[] header, int count) => count == 0 && TarFields.Format(header) is { } format
        ? Fault.Of(FaultCodes.ArchiveInvalid, $"the content is no tar archive: it begins like {format}; is it packed twice, or 'compression' wrong?")
        : Fault.Of(FaultCodes.ArchiveInvalid, $"entry {count + 1} has no tar header (wrong checksum)");

    Fault? Take(byte[] header)
    {
        var type = (char)header[156];
        if (!TarFields.TryNumber(header.AsSpan(124, 12), out var size) || size < 0)
            return Fault.Of(FaultCodes.ArchiveInvalid, "an entry has an impossible size");
        switch (type)
        {
            case 'x' or 'X' or 'L' or 'K' or 'g':
                return TakeRecord(type, size);
            case 'M' or 'N':
                return Fault.Of(FaultCodes.ArchiveInvalid, $"the archive has an entry of type '{type}': a part of a volume, or names of tar before 1.11");
        }
        var (records, named) = (_records, _records.EntryName ?? TarFields.Name(header));
        _records = new TarRecords();
        // Before POSIX a name that ends with a slash was the sign of a directory.
        if (type is '\0' or '0' or '7' && named.EndsWith('/'))
            type = '5';
        // Links, devices and directories have no content; a type that is not known is a file (POSIX.1-2017 pax, "typeflag").
        var bytes = type is '1' or '2' or '3' or '4' or '5' or '6' ? 0 : records.Size ?? size;
        if (type == 'V')
            return Skip(bytes);
        if (CheckName(named) is { } unsafeName)
            return unsafeName;
        var entry = new TarEntry(Normal(named), type == 'D' ? '5' : type is >= '1' and <= '6' ? type : '0', null, type == 'D' ? 0 : bytes);
        var (described, fault) = Describe(entry, header, records);
        fault ??= type == 'D' ? Skip(bytes) : entry.Type == '0' ? TakeContent(ref described, type, header, records) : null;
        return fault is not null ? fault with { Message = $"{ByteText.Printable(entry.Path)}: {fault.Message}" } : _take(described);
    }

    Fault? Skip(long bytes) => _input.Skip(bytes) && _input.Skip(TarFields.Padding(bytes)) ? null : _input.Stopped ?? Truncated();

    Fault? TakeRecord(char type, long size)
    {
        if (size > _input.Limits.RecordBytes)
            return Fault.Of(FaultCodes.ArchiveLimit, $"a name record of {size} bytes is too long; {_input.Limits.RecordBytes} are the limit");
        var record = new byte[size];
        if (!_input.Fill(record) || !_input.Skip(TarFields.Padding(size)))
            return _input.Stopped ?? Truncated();
        return type == 'g' ? TarRecords.CheckGlobal(record) : _records.Take(type, record, _input.Limits);
    }

    /// <summary>Why a name cannot be taken, or null.</summary>
    Fault? CheckName(string name, string what = "the name")
    {
        var shown = Cut(name);
        var parts = name.Split('/');
        if (name.StartsWith('/'))
            return Fault.Of(FaultCodes.ArchiveUnsafe, $"{what} '{shown}' is absolute");
        if (parts.Contains(".."))
            return Fault.Of(FaultCodes.ArchiveUnsafe, $"{what} '{shown}' has a part '..' and may leave the root");
        var limits = _input.Limits;
        if (ByteText.Encode(name).Length > limits.PathBytes)
            return Fault.Of(FaultCodes.ArchiveLimit, $"{what} '{shown}' has more than {limits.PathBytes} bytes");
        if (parts.Any(p => p.Length * 4 > limits.NameBytes && ByteText.Encode(p).Length > limits.NameBytes))
            return Fault.Of(FaultCodes.ArchiveLimit, $"{what} '{shown}' has a part of more than {limits.NameBytes} bytes");
        return parts.Count(p => p is not ("" or ".")) > limits.Depth
            ? Fault.Of(FaultCodes.ArchiveLimit, $"{what} '{shown}' is more than {limits.Depth} directories deep")
            : null;
    }

    static string Cut(string name) => ByteText.Printable(name.Length > 80 ? name[..80] + "…" : name);

    (TarEntry Entry, Fault? Fault) Describe(TarEntry entry, byte[] header, TarRecords records)
    {
        if (!TarFields.TryUnsigned(header.AsSpan(100, 8), out var mode) || !TarFields.TryUnsigned(header.AsSpan(108, 8), out var uid) && records.Uid is null
            || !TarFields.TryUnsigned(header.AsSpan(116, 8), out var gid) && records.Gid is null)
            return (entry, Fault.Of(FaultCodes.ArchiveInvalid, "mode or owner is no number"));
        entry = entry with { Mode = (int)(mode & 0xFFF), Uid = records.Uid ?? uid, Gid = records.Gid ?? gid, Attributes = records.Attributes };
        switch (entry.Type)
        {
            case '1' or '2':
                var link = records.Link ?? TarFields.Text(header.AsSpan(157, 100));
                if (link.Length == 0)
                    return (entry, Fault.Of(FaultCodes.ArchiveInvalid, "a link leads nowhere"));
                if (entry.Type == '1')
                    return (entry with { Link = Normal(link) }, CheckName(link, "the target of the hard link"));
                return ByteText.Encode(link).Length > _input.Limits.PathBytes
                    ? (entry, Fault.Of(FaultCodes.ArchiveLimit, $"the link's target has more than {_input.Limits.PathBytes} bytes"))
                    : (entry with { Link = link, Mode = 0x1FF }, null);
            case '3' or '4':
                return TarFields.TryUnsigned(header.AsSpan(329, 8), out var major) && TarFields.TryUnsigned(header.AsSpan(337, 8), out var minor)
                    ? (entry with { Major = major, Minor = minor }, null)
                    : (entry, Fault.Of(FaultCodes.ArchiveInvalid, "a device has no number"));
            default:
                return (entry, null);
        }
    }

    Fault? TakeContent(ref TarEntry entry, char type, byte[] header, TarRecords records)
    {
        var bytes = entry.Bytes;
        SparseMap? map = null;
        Fault? fault = null;
        if (type == 'S')
            (map, fault) = SparseMap.ReadOld(_input, header);
        else if (records.HasMapInContent && records.SparseBytes is { } real)
            (map, fault) = SparseMap.ReadFromContent(_input, real);
        else if (records is { SparseMap: { } pieces, SparseBytes: { } size })
            map = new SparseMap(size, pieces, 0);
        fault ??= map?.Check(bytes, _input.Limits, _holes);
        if (fault is not null)
            return fault;
        var whole = map is null ? _input.Take(bytes, _hash) : map.Hash(_input, _hash, _cancel);
        if (!whole || !_input.Skip(TarFields.Padding(bytes)))
            return _input.Stopped ?? Truncated();
        _holes += map is null ? 0 : map.Bytes - bytes + map.MapBytes;
        entry = entry with { Size = map?.Bytes ?? bytes, Bytes = bytes - (map?.MapBytes ?? 0), Sha256 = Convert.ToHexStringLower(_hash.GetHashAndReset()) };
        return null;
    }

    /// <summary>Makes a name absolute.</summary>
    static string Normal(string name) => "/" + string.Join('/', name.Split('/').Where(p => p is not ("" or ".")));

    /// <summary>Two blocks of zeros were seen; what follows may only be zeros.</summary>
    Fault? End(byte[] second, int entries)
    {
        if (second.AsSpan().ContainsAnyExcept((byte)0))
            return Fault.Of(FaultCodes.ArchiveInvalid, "a block of zeros stands in the middle of the archive");
        var rest = new byte[64 * 1024];
        int n;
        while ((n = _input.Read(rest)) > 0)
        {
            _cancel.ThrowIfCancellationRequested();
            if (rest.AsSpan(0, n).ContainsAnyExcept((byte)0))
                return Fault.Of(FaultCodes.ArchiveInvalid, "bytes follow the end of the archive");
        }
        return _input.Stopped
            ?? (_records.Count > 0 ? Fault.Of(FaultCodes.ArchiveInvalid, "the archive ends after a name record without its entry") : null)
            ?? (entries == 0 ? Fault.Of(FaultCodes.ArchiveInvalid, "the archive is empty") : null);
    }

    static Fault Truncated(int entries) => Fault.Of(FaultCodes.ArchiveTruncated, $"the archive ends after {entries} entries without its end marker");

    internal static Fault Truncated() => Fault.Of(FaultCodes.ArchiveTruncated, "the archive ends in the middle of an entry");
}
