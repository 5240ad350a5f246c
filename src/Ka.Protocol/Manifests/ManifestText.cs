using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.IO.Compression;
using System.Text;
using Ka.Core.Faults;

namespace Ka.Protocol.Manifests;

/// <summary>
/// The manifest as gzip-compressed lines of fields that are separated by tabs. In names, <c>\</c>, DEL and bytes below 32 are written
/// as <c>\ooo</c>; a name is always the last field.
/// <code>
/// ka-files 1 IMAGE-SHA256
/// d MODE UID GID PATH          directory; MODE "-" when the archive only implies it
/// f MODE UID GID BYTES SHA256 PATH
/// h FIRST-PATH PATH            one more name of a file that has its line above
/// l UID GID TARGET PATH        symbolic link
/// c MODE UID GID MAJOR:MINOR PATH   (b: block device)
/// p MODE UID GID PATH          fifo
/// a NAME HEX                   extended attribute of the line above
/// end ENTRIES
/// </code>
/// </summary>
public static class ManifestText
{
    const string Magic = "ka-files 1 ";

    /// <summary>Longest line: two paths, every byte escaped, or one attribute in hex.</summary>
    const int LineLimit = 256 * 1024;

    public static void Write(Stream stream, FileManifest manifest)
    {
        using var packed = new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true);
        using var lines = new BufferedStream(packed, 256 * 1024);
        Put($"{Magic}{manifest.ImageSha256}");
        foreach (var entry in manifest.Entries)
        {
            Put(Line(entry));
            if (entry.SameAs is null)
                foreach (var attribute in entry.Attributes)
                    Put($"a\t{Escape(attribute.Name)}\t{attribute.Value}");
        }
        Put($"end\t{manifest.Entries.Length}");

        void Put(string line)
        {
            lines.Write(ByteText.Encode(line));
            lines.WriteByte((byte)'\n');
        }
    }

    static string Line(ManifestEntry e)
    {
        var owner = string.Create(CultureInfo.InvariantCulture, $"{e.Uid}\t{e.Gid}");
        var mode = e.Mode is { } bits ? Convert.ToString(bits, 8) : "-";
        var path = Escape(e.Path);
        if (e.SameAs is { } first)
            return $"h\t{Escape(first)}\t{path}";
        return e.Type switch
        {
            FileType.File => $"f\t{mode}\t{owner}\t{e.Bytes}\t{e.Sha256}\t{path}",
            FileType.Directory => $"d\t{mode}\t{owner}\t{path}",
            FileType.SymbolicLink => $"l\t{owner}\t{Escape(e.Link!)}\t{path}",
            FileType.CharacterDevice => $"c\t{mode}\t{owner}\t{e.Major}:{e.Minor}\t{path}",
            FileType.BlockDevice => $"b\t{mode}\t{owner}\t{e.Major}:{e.Minor}\t{path}",
            FileType.Fifo => $"p\t{mode}\t{owner}\t{path}",
        };
    }

    /// <summary>Reads a manifest within its limits. A manifest that does not end as it must is none.</summary>
    public static (FileManifest? Manifest, Fault? Fault) Read(Stream stream, CancellationToken cancel)
    {
        try
        {
            using var unpacked = new GZipStream(stream, CompressionMode.Decompress, leaveOpen: true);
            return Read(new ManifestLines(unpacked, LineLimit), cancel);
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            return (null, Fault.Of(FaultCodes.ManifestInvalid, "The file manifest cannot be read.", e.Message));
        }
    }

    static (FileManifest?, Fault?) Read(ManifestLines lines, CancellationToken cancel)
    {
        if (lines.Next() is not { } head || !head.StartsWith(Magic, StringComparison.Ordinal) || head.Length != Magic.Length + 64)
            return Bad(1, "it has no heading of this version");
        var entries = new List<ManifestEntry>();
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        var attributes = new List<FileAttribute>();
        while (lines.Next() is { } line)
        {
            cancel.ThrowIfCancellationRequested();
            var fields = line.Split('\t');
            if (fields is ["a", var name, var value] && entries.Count > 0)
            {
                attributes.Add(new FileAttribute(Unescape(name), value));
                continue;
            }
            TakeAttributes(entries, attributes);
            if (fields is ["end", var count])
                return count == entries.Count.ToString(CultureInfo.InvariantCulture) && lines.Next() is null
                    ? (new FileManifest(head[Magic.Length..], [.. entries]), null)
                    : Bad(lines.Count, "its end does not fit");
            if (Entry(fields, entries, places) is not { } entry || !places.TryAdd(entry.Path, entries.Count))
                return Bad(lines.Count, "it has a line of another form");
            entries.Add(entry);
            if (entries.Count > FileManifest.EntryLimit)
                return Bad(lines.Count, $"it has more than {FileManifest.EntryLimit} entries");
        }
        return Bad(lines.Count, "it has no end");
    }

    static (FileManifest?, Fault?) Bad(int line, string why) => (null, Fault.Of(FaultCodes.ManifestInvalid, $"The file manifest cannot be read: {why}.", $"line {line}"));

    static void TakeAttributes(List<ManifestEntry> entries, List<FileAttribute> attributes)
    {
        if (attributes.Count == 0)
            return;
        entries[^1] = entries[^1] with { Attributes = [.. attributes] };
        attributes.Clear();
    }

    static ManifestEntry? Entry(string[] f, List<ManifestEntry> entries, Dictionary<string, int> places)
    {
        var path = Unescape(f[^1]);
        if (!path.StartsWith('/'))
            return null;
        return f switch
        {
            ["d", var mode, var uid, var gid, _] => Owned(path, FileType.Directory, mode, uid, gid),
            ["f", var mode, var uid, var gid, var bytes, { Length: 64 } sha256, _] when long.TryParse(bytes, NumberStyles.None, CultureInfo.InvariantCulture, out var size) =>
                Owned(path, FileType.File, mode, uid, gid) is { } file ? file with { Bytes = size, Sha256 = sha256 } : null,
            ["h", var first, _] when places.TryGetValue(Unescape(first), out var at) && entries[at].SameAs is null =>
                entries[at] with { Path = path, SameAs = entries[at].Path },
            ["l", var uid, var gid, var target, _] => Owned(path, FileType.SymbolicLink, "777", uid, gid) is { } link ? link with { Link = Unescape(target) } : null,
            ["c", var mode, var uid, var gid, var number, _] => Device(Owned(path, FileType.CharacterDevice, mode, uid, gid), number),
            ["b", var mode, var uid, var gid, var number, _] => Device(Owned(path, FileType.BlockDevice, mode, uid, gid), number),
            ["p", var mode, var uid, var gid, _] => Owned(path, FileType.Fifo, mode, uid, gid),
            _ => null,
        };
    }

    static ManifestEntry? Owned(string path, FileType type, string mode, string uid, string gid)
    {
        if (!uint.TryParse(uid, NumberStyles.None, CultureInfo.InvariantCulture, out var owner) || !uint.TryParse(gid, NumberStyles.None, CultureInfo.InvariantCulture, out var group))
            return null;
        if (mode == "-")
            return new ManifestEntry(path, type, null, owner, group);
        return mode.Length is > 0 and <= 4 && mode.All(c => c is >= '0' and <= '7') ? new ManifestEntry(path, type, Convert.ToInt32(mode, 8), owner, group) : null;
    }

    static ManifestEntry? Device(ManifestEntry? entry, string number) =>
        entry is not null && number.Split(':') is [var a, var b] && uint.TryParse(a, out var major) && uint.TryParse(b, out var minor)
            ? entry with { Major = major, Minor = minor }
            : null;

    static string Escape(string name)
    {
        if (!name.Any(MustEscape))
            return name;
        var text = new StringBuilder(name.Length + 8);
        foreach (var c in name)
            _ = MustEscape(c) ? text.Append('\\').Append(Convert.ToString(c, 8).PadLeft(3, '0')) : text.Append(c);
        return text.ToString();
    }

    static bool MustEscape(char c) => c is < ' ' or '\x7f' or '\\';

    static string Unescape(string name)
    {
        if (!name.Contains('\\', StringComparison.Ordinal))
            return name;
        var text = new StringBuilder(name.Length);
        for (var i = 0; i < name.Length; i++)
        {
            var digits = name[i] == '\\' && i + 3 < name.Length ? name.AsSpan(i + 1, 3) : [];
            if (digits.Length == 3 && digits.IndexOfAnyExceptInRange('0', '7') < 0)
            {
                text.Append((char)((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + digits[2] - '0'));
                i += 3;
            }
            else
                text.Append(name[i]);
        }
        return text.ToString();
    }
}

/// <summary>Lines of bytes, within the limits of a manifest.</summary>
sealed class ManifestLines(Stream stream, int lineLimit)
{
    readonly byte[] _buffer = new byte[64 * 1024];
    readonly ArrayBufferWriter<byte> _line = new();
    int _at, _filled;
    long _total;

    public int Count { get; private set; }

    /// <summary>The next line without its end, or null at the end of the stream.</summary>
    /// <exception cref="InvalidDataException">A limit was reached, or the last line has no end.</exception>
    public string? Next()
    {
        _line.ResetWrittenCount();
        while (true)
        {
            if (_at == _filled && !Fill())
                return _line.WrittenCount == 0 ? null : throw new InvalidDataException("the last line is cut");
            var rest = _buffer.AsSpan(_at, _filled - _at);
            var end = rest.IndexOf((byte)'\n');
            _line.Write(end < 0 ? rest : rest[..end]);
            _at += end < 0 ? rest.Length : end + 1;
            if (_line.WrittenCount > lineLimit)
                throw new InvalidDataException($"a line has more than {lineLimit} bytes");
            if (end < 0)
                continue;
            Count++;
            return ByteText.Decode(_line.WrittenSpan);
        }
    }

    bool Fill()
    {
        (_at, _filled) = (0, stream.Read(_buffer));
        if ((_total += _filled) > FileManifest.TextLimit)
            throw new InvalidDataException($"the manifest has more than {FileManifest.TextLimit} bytes");
        return _filled > 0;
    }
}
