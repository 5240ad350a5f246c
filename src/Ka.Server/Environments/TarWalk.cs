using System.Buffers.Binary;
using System.Text;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>One entry of an archive.</summary>
/// <param name="Path">Absolute and normal: <c>/boot/vmlinuz</c>; the root is <c>/</c>.</param>
/// <param name="Link">Target of a symbolic or hard link.</param>
/// <param name="Bytes">Content in bytes; of a sparse file the part that is stored.</param>
public sealed record TarEntry(string Path, char Type, string? Link, long Bytes);

/// <summary>
/// Reads a tar archive (POSIX.1-2017 pax, ustar, GNU) from its first header to its end marker and nothing more: what GNU tar
/// lets pass (an archive cut at a block border, a missing end) is an error here. System.Formats.Tar does not tell a cut archive
/// from a whole one, which is why this is not it.
/// </summary>
public static class TarWalk
{
    const int Block = 512;

    /// <summary>Longest pax or GNU name record that is read.</summary>
    const int RecordLimit = 1024 * 1024;

    /// <summary>Most entries that are read.</summary>
    public const int EntryLimit = 5_000_000;

    /// <summary>Walks the stream to its end and tells each entry.</summary>
    public static Fault? Walk(Stream stream, Action<TarEntry> entry, CancellationToken cancel)
    {
        var header = new byte[Block];
        var pending = new Pending();
        for (var count = 0; ; count++)
        {
            cancel.ThrowIfCancellationRequested();
            if (!Fill(stream, header))
                return Truncated(count);
            if (!header.AsSpan().ContainsAnyExcept((byte)0))
                return Fill(stream, header) ? End(stream, header, count) : Truncated(count);
            if (!ChecksumHolds(header))
                return Fault.Of(FaultCodes.ArchiveInvalid, $"entry {count + 1} has no tar header (wrong checksum)");
            if (count == EntryLimit)
                return Fault.Of(FaultCodes.ArchiveInvalid, $"the archive has more than {EntryLimit} entries");
            if (Take(stream, header, pending, entry) is { } fault)
                return fault;
        }
    }

    sealed class Pending
    {
        public string? Name, Link;
        public long? Size;
    }

    static Fault? Take(Stream stream, byte[] header, Pending pending, Action<TarEntry> entry)
    {
        var type = (char)header[156];
        if (!TryNumber(header.AsSpan(124, 12), out var size) || size < 0)
            return Fault.Of(FaultCodes.ArchiveInvalid, "an entry has an impossible size");
        switch (type)
        {
            case 'x' or 'L' or 'K':
                if (size > RecordLimit)
                    return Fault.Of(FaultCodes.ArchiveInvalid, $"a name record of {size} bytes is too long");
                var record = new byte[size];
                if (!Fill(stream, record) || !Skip(stream, Padding(size)))
                    return Truncated(null);
                if (type == 'x')
                    ReadPax(record, pending);
                else if (type == 'L')
                    pending.Name = Text(record);
                else
                    pending.Link = Text(record);
                return null;
            case 'g':
                return Skip(stream, size + Padding(size)) ? null : Truncated(null);
        }
        if (type == 'S' && !SkipSparseMap(stream, header))
            return Truncated(null);
        var bytes = pending.Size ?? size;
        // Links, devices and directories have none; a type that is not known is a file (POSIX.1-2017 pax, "typeflag").
        var hasData = type is not ('1' or '2' or '3' or '4' or '5' or '6');
        if (hasData && !Skip(stream, bytes + Padding(bytes)))
            return Truncated(null);
        var name = pending.Name ?? HeaderName(header);
        var link = type is '1' or '2' ? pending.Link ?? Text(header.AsSpan(157, 100)) : null;
        (pending.Name, pending.Link, pending.Size) = (null, null, null);
        entry(new TarEntry(Normal(name), type is '\0' or '7' or 'S' ? '0' : type, link, hasData ? bytes : 0));
        return null;
    }

    /// <summary>Old GNU sparse files carry further maps in blocks of their own (GNU tar manual, "Sparse formats").</summary>
    static bool SkipSparseMap(Stream stream, byte[] header)
    {
        var more = header[482] != 0;
        var block = new byte[Block];
        while (more)
        {
            if (!Fill(stream, block))
                return false;
            more = block[504] != 0;
        }
        return true;
    }

    static void ReadPax(ReadOnlySpan<byte> record, Pending pending)
    {
        while (!record.IsEmpty)
        {
            var space = record.IndexOf((byte)' ');
            if (space <= 0 || !int.TryParse(Encoding.ASCII.GetString(record[..space]), out var length) || length <= space || length > record.Length)
                return;
            var line = Encoding.UTF8.GetString(record[(space + 1)..(length - 1)]);
            var equals = line.IndexOf('=', StringComparison.Ordinal);
            var (key, value) = equals < 0 ? (line, "") : (line[..equals], line[(equals + 1)..]);
            switch (key)
            {
                case "path" when pending.Name is null:
                case "GNU.sparse.name":
                    pending.Name = value;
                    break;
                case "linkpath":
                    pending.Link = value;
                    break;
                case "size" when long.TryParse(value, out var size) && size >= 0:
                    pending.Size = size;
                    break;
            }
            record = record[length..];
        }
    }

    static string HeaderName(byte[] header)
    {
        var name = Text(header.AsSpan(0, 100));
        var ustar = header.AsSpan(257, 6).SequenceEqual("ustar\0"u8);
        var prefix = ustar ? Text(header.AsSpan(345, 155)) : "";
        return prefix.Length > 0 ? prefix + "/" + name : name;
    }

    /// <summary>Makes a name absolute; <c>..</c> stays and is for the reader to refuse.</summary>
    static string Normal(string name) => "/" + string.Join('/', name.Split('/').Where(p => p is not ("" or ".")));

    static bool ChecksumHolds(ReadOnlySpan<byte> header)
    {
        if (!TryNumber(header.Slice(148, 8), out var stored))
            return false;
        var sum = 0;
        for (var i = 0; i < Block; i++)
            sum += i is >= 148 and < 156 ? ' ' : header[i];
        return sum == stored;
    }

    /// <summary>Octal text, or GNU's base-256 when the first bit is set.</summary>
    static bool TryNumber(ReadOnlySpan<byte> field, out long value)
    {
        value = 0;
        if ((field[0] & 0x80) != 0)
        {
            value = BinaryPrimitives.ReadInt64BigEndian(field[^8..]);
            return true;
        }
        foreach (var b in field)
        {
            if (b is 0 or (byte)' ')
                continue;
            if (b is < (byte)'0' or > (byte)'7')
                return false;
            value = value * 8 + (b - '0');
        }
        return true;
    }

    static string Text(ReadOnlySpan<byte> field)
    {
        var end = field.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
    }

    static long Padding(long size) => (Block - size % Block) % Block;

    static bool Fill(Stream stream, byte[] buffer) => stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false) == buffer.Length;

    static bool Skip(Stream stream, long bytes)
    {
        var buffer = new byte[(int)Math.Min(bytes, 128 * 1024)];
        while (bytes > 0)
        {
            var n = stream.Read(buffer, 0, (int)Math.Min(bytes, buffer.Length));
            if (n == 0)
                return false;
            bytes -= n;
        }
        return true;
    }

    /// <summary>Two blocks of zeros were seen; what follows may only be zeros.</summary>
    static Fault? End(Stream stream, byte[] second, int entries)
    {
        if (second.AsSpan().ContainsAnyExcept((byte)0))
            return Fault.Of(FaultCodes.ArchiveInvalid, "a block of zeros stands in the middle of the archive");
        var rest = new byte[64 * 1024];
        int n;
        while ((n = stream.Read(rest)) > 0)
            if (rest.AsSpan(0, n).ContainsAnyExcept((byte)0))
                return Fault.Of(FaultCodes.ArchiveInvalid, "bytes follow the end of the archive");
        return entries == 0 ? Fault.Of(FaultCodes.ArchiveInvalid, "the archive is empty") : null;
    }

    static Fault Truncated(int? entries) =>
        Fault.Of(FaultCodes.ArchiveTruncated, entries is { } n ? $"the archive ends after {n} entries without its end marker" : "the archive ends in the middle of an entry");
}
