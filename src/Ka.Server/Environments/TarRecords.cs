using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Ka.Core.Faults;
using Ka.Protocol.Manifests;

namespace Ka.Server.Environments;

/// <summary>What name and pax records say about the entry that follows them.</summary>
sealed class TarRecords
{
    readonly SortedDictionary<string, string> _attributes = new(StringComparer.Ordinal);

    public int Count { get; private set; }

    public string? Name { get; private set; }

    public string? Link { get; private set; }

    public long? Size { get; private set; }

    public uint? Uid { get; private set; }

    public uint? Gid { get; private set; }

    public ImmutableArray<FileAttribute> Attributes => _attributes.Count == 0 ? [] : [.. _attributes.Select(a => new FileAttribute(a.Key, a.Value))];

    // GNU's sparse files in pax form (GNU tar manual, "Sparse Formats").
    public long? SparseBytes { get; private set; }

    public bool HasMapInContent { get; private set; }

    public List<(long Offset, long Bytes)>? SparseMap { get; private set; }

    string? _sparseName;
    int _attributeBytes;
    long? _offset;

    /// <summary>The name that holds: that of a sparse file stands in a record of its own.</summary>
    public string? EntryName => _sparseName ?? Name;

    public Fault? Take(char type, ReadOnlySpan<byte> record, ArchiveLimits limits)
    {
        if (++Count > limits.Records)
            return Fault.Of(FaultCodes.ArchiveLimit, $"more than {limits.Records} name records stand before one entry");
        switch (type)
        {
            case 'L':
                Name = TarFields.Text(record);
                return null;
            case 'K':
                Link = TarFields.Text(record);
                return null;
            default:
                return TakePax(record, limits);
        }
    }

    /// <summary>A global header may only carry what does not change any entry.</summary>
    public static Fault? CheckGlobal(ReadOnlySpan<byte> record)
    {
        while (NextRecord(ref record, out var key, out _) is var more and not false)
        {
            if (more is null)
                return Broken();
            if (key is not ("comment" or "charset" or "hdrcharset" or "mtime" or "atime" or "ctime"))
                return Fault.Of(FaultCodes.ArchiveUnsafe, $"a global header changes '{ByteText.Printable(key)}' of every entry");
        }
        return null;
    }

    Fault? TakePax(ReadOnlySpan<byte> record, ArchiveLimits limits)
    {
        while (NextRecord(ref record, out var key, out var value) is var more and not false)
        {
            if (more is null || !TakeKey(key, value, limits))
                return Broken();
            if (_attributeBytes > limits.AttributeBytes)
                return Fault.Of(FaultCodes.ArchiveLimit, $"the extended attributes of one file have more than {limits.AttributeBytes} bytes");
            if (SparseMap?.Count > limits.SparsePieces)
                return Fault.Of(FaultCodes.ArchiveLimit, $"a sparse file has more than {limits.SparsePieces} pieces");
        }
        return null;
    }

    /// <summary>One "LENGTH KEY=VALUE\n". False at the end, null when it is broken.</summary>
    static bool? NextRecord(ref ReadOnlySpan<byte> rest, out string key, out ReadOnlySpan<byte> value)
    {
        key = "";
        value = default;
        if (rest.IsEmpty)
            return false;
        var space = rest.IndexOf((byte)' ');
        if (space is <= 0 or > 10 || !int.TryParse(Encoding.ASCII.GetString(rest[..space]), NumberStyles.None, CultureInfo.InvariantCulture, out var length)
            || length <= space + 1 || length > rest.Length || rest[length - 1] != '\n')
            return null;
        var line = rest[(space + 1)..(length - 1)];
        var equals = line.IndexOf((byte)'=');
        if (equals <= 0)
            return null;
        key = ByteText.Decode(line[..equals]);
        value = line[(equals + 1)..];
        rest = rest[length..];
        return true;
    }

    bool TakeKey(string key, ReadOnlySpan<byte> value, ArchiveLimits limits)
    {
        const string Attribute = "SCHILY.xattr.";
        if (key.StartsWith(Attribute, StringComparison.Ordinal))
        {
            // GNU tar writes '=' of a name as %3D and '%' as %25.
            var name = key[Attribute.Length..].Replace("%3D", "=", StringComparison.Ordinal).Replace("%25", "%", StringComparison.Ordinal);
            _attributeBytes += value.Length;
            return name.Length > 0 && Set(name, Convert.ToHexStringLower(value));
        }
        switch (key)
        {
            case "path":
                return (Name = Clean(value)) is not null;
            case "linkpath":
                return (Link = Clean(value)) is not null;
            case "size":
                return (Size = Number(value)) is not null;
            case "uid":
                return (Uid = Owner(value)) is not null;
            case "gid":
                return (Gid = Owner(value)) is not null;
            case "SCHILY.acl.access":
                return AccessList("system.posix_acl_access", value);
            case "SCHILY.acl.default":
                return AccessList("system.posix_acl_default", value);
            default:
                return !key.StartsWith("GNU.sparse.", StringComparison.Ordinal) || Sparse(key["GNU.sparse.".Length..], value, limits);
        }
    }

    bool Sparse(string key, ReadOnlySpan<byte> value, ArchiveLimits limits)
    {
        switch (key)
        {
            case "name":
                return (_sparseName = Clean(value)) is not null;
            case "size" or "realsize":
                return (SparseBytes = Number(value)) is not null;
            case "major":
                HasMapInContent = value.SequenceEqual("1"u8);
                return value.SequenceEqual("0"u8) || HasMapInContent;
            case "minor":
                return Number(value) is not null;
            case "numblocks":
                SparseMap = [];
                return Number(value) is not null;
            case "offset":
                return (_offset = Number(value)) is not null;
            case "numbytes" when _offset is { } offset && Number(value) is { } bytes:
                (SparseMap ??= []).Add((offset, bytes));
                _offset = null;
                return true;
            case "map":
                return Map(value, limits);
            default:
                return false;
        }
    }

    bool Map(ReadOnlySpan<byte> value, ArchiveLimits limits)
    {
        SparseMap = [];
        long? offset = null;
        foreach (var range in value.Split((byte)','))
        {
            if (Number(value[range]) is not { } number)
                return value.IsEmpty;
            if (offset is { } at)
                SparseMap.Add((at, number));
            offset = offset is null ? number : null;
            if (SparseMap.Count > limits.SparsePieces)
                return true; // refused by the caller
        }
        return offset is null;
    }

    bool Set(string name, string value)
    {
        _attributes[name] = value;
        return true;
    }

    /// <summary>The text of an access list as the kernel keeps it; names of users stay open, because only the node can resolve them.</summary>
    bool AccessList(string name, ReadOnlySpan<byte> value)
    {
        _attributeBytes += value.Length;
        if (!_attributes.ContainsKey(name) && AccessListText.ToAttribute(ByteText.Decode(value)) is { } attribute)
            _attributes[name] = attribute;
        return true;
    }

    static string? Clean(ReadOnlySpan<byte> value) => value.Contains((byte)0) ? null : ByteText.Decode(value);

    static long? Number(ReadOnlySpan<byte> value) =>
        long.TryParse(Encoding.ASCII.GetString(value), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    static uint? Owner(ReadOnlySpan<byte> value) => Number(value) is { } number and <= uint.MaxValue ? (uint)number : null;

    static Fault Broken() => Fault.Of(FaultCodes.ArchiveInvalid, "a pax record is broken");
}

/// <summary>Access lists as archives write them (acl(5), "SCHILY.acl") and as the kernel keeps them (linux/posix_acl_xattr.h).</summary>
static class AccessListText
{
    /// <summary>Stands for any value, or none.</summary>
    public const string Open = "?";

    /// <summary>Hex of the kernel's form; <see cref="Open"/> when names of users stand in it; null when the mode says as much.</summary>
    public static string? ToAttribute(string text)
    {
        var entries = new List<(int Order, ushort Tag, ushort Permissions, uint Id)>();
        foreach (var line in text.Split(['\n', ','], StringSplitOptions.RemoveEmptyEntries))
        {
            var parts = line.Split('#')[0].Trim().Split(':');
            if (parts.Length == 1 && parts[0].Length == 0)
                continue;
            if (parts.Length < 3 || Entry(parts) is not { } entry)
                return Open;
            entries.Add(entry);
        }
        if (entries.Count <= 3)
            return null;
        var bytes = new byte[4 + 8 * entries.Count];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, 2);
        var at = 4;
        foreach (var (_, tag, permissions, id) in entries.OrderBy(e => e.Order).ThenBy(e => e.Id))
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(at), tag);
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(at + 2), permissions);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at + 4), id);
            at += 8;
        }
        return Convert.ToHexStringLower(bytes);
    }

    static (int, ushort, ushort, uint)? Entry(string[] parts)
    {
        var named = parts[1].Length > 0;
        var id = uint.MaxValue;
        if (named && !uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out id))
            return null;
        var permissions = (ushort)((parts[2].Contains('r') ? 4 : 0) | (parts[2].Contains('w') ? 2 : 0) | (parts[2].Contains('x') ? 1 : 0));
        return (parts[0], named) switch
        {
            ("user" or "u", false) => (0, 0x01, permissions, id),
            ("user" or "u", true) => (1, 0x02, permissions, id),
            ("group" or "g", false) => (2, 0x04, permissions, id),
            ("group" or "g", true) => (3, 0x08, permissions, id),
            ("mask" or "m", false) => (4, 0x10, permissions, id),
            ("other" or "o", false) => (5, 0x20, permissions, id),
            _ => null,
        };
    }
}
