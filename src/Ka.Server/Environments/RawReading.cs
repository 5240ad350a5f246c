using System.Collections.Immutable;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>What a description wants of a disk image.</summary>
/// <param name="Root"><c>partition N</c>, <c>label X</c>, <c>uuid X</c>; null to search.</param>
public sealed record RawWish(RawTarget Target, bool Grow, string? Root, bool Qcow2 = false);

/// <summary>
/// Reads a disk image as it streams by: hashes its blocks, finds its partitions and what is in them. The bytes are taken as what the
/// description says they are; those of another kind are refused, nothing is recognised and converted in silence.
/// </summary>
public sealed class RawReading : IDisposable
{
    readonly BlockHasher _hasher = new();
    readonly byte[] _head = new byte[ImageTable.HeadBytes];
    readonly List<(ImagePartition Partition, byte[] First)> _captures = [];
    ImageTable? _table;
    bool _headRead;

    public BlockHashes? Hashes { get; private set; }

    /// <summary>Partition table, or null when the image has none.</summary>
    public ImageTable? Table => _table;

    /// <summary>Reads to the end.</summary>
    public Fault? Read(Stream stream, CancellationToken cancel)
    {
        var buffer = new byte[ImageTable.HeadBytes];
        int count;
        while ((count = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false)) > 0)
        {
            cancel.ThrowIfCancellationRequested();
            var at = _hasher.Bytes;
            _hasher.Append(buffer.AsSpan(0, count));
            if (_hasher.Bytes > BlockHashes.ImageLimit)
                return Fault.Of(FaultCodes.ArchiveTooLarge, $"the image unpacks to more than {BlockHashes.ImageLimit} bytes");
            if (!_headRead && Head(buffer.AsSpan(0, count)) is { } refused)
                return refused;
            Capture(buffer.AsSpan(0, count), at);
        }
        if (_hasher.Bytes == 0 || _hasher.Bytes % 512 != 0)
            return Fault.Of(FaultCodes.ArchiveInvalid, $"a disk image is a multiple of 512 bytes, this has {_hasher.Bytes}");
        Hashes = _hasher.Finish();
        // The size is known only now: what the table says must lie inside.
        return ImageTable.Read(_head.AsSpan(0, (int)Math.Min(_head.Length, Hashes.Bytes)), Hashes.Bytes).Fault;
    }

    public void Dispose() => _hasher.Dispose();

    /// <summary>The partitions with the file systems in them; of an image without a table the whole as one.</summary>
    public ImmutableArray<ProbedPartition> Partitions() => [.. _captures.Select(c => new ProbedPartition(c.Partition, FileSystemSignature.Read(c.First)))];

    Fault? Head(ReadOnlySpan<byte> first)
    {
        _headRead = true;
        first.CopyTo(_head);
        if (ImageFormats.Recognise(first) is { } format)
            return Fault.Of(FaultCodes.ArchiveInvalid, $"the image is declared raw, but its first bytes are those of {format}", ImageFormats.Advice(format));
        (_table, var broken) = ImageTable.Read(first, long.MaxValue);
        if (broken is not null)
            return broken;
        var partitions = _table?.Partitions ?? [new ImagePartition(0, 0, 0, PartitionType.Linux, false, "")];
        _captures.AddRange(partitions.Select(p => (p, new byte[FileSystemSignature.BytesWithBtrfs])));
        return null;
    }

    void Capture(ReadOnlySpan<byte> piece, long at)
    {
        foreach (var (partition, first) in _captures)
        {
            var (from, to) = (Math.Max(partition.Start, at), Math.Min(partition.Start + first.Length, at + piece.Length));
            if (from < to)
                piece[(int)(from - at)..(int)(to - at)].CopyTo(first.AsSpan((int)(from - partition.Start)));
        }
    }
}

/// <summary>Disk image formats by their first bytes. A raw disk may begin with anything, but never meant to begin with these.</summary>
public static class ImageFormats
{
    static readonly (string Name, int At, byte[] Magic)[] Known =
    [
        ("qcow2", 0, [(byte)'Q', (byte)'F', (byte)'I', 0xFB]),
        ("vmdk", 0, "KDMV"u8.ToArray()),
        ("vmdk", 0, "# Disk DescriptorFile"u8.ToArray()),
        ("vhdx", 0, "vhdxfile"u8.ToArray()),
        ("vhd", 0, "conectix"u8.ToArray()),
        ("vdi", 0x40, [0x7F, 0x10, 0xDA, 0xBE]),
        ("Android sparse", 0, [0x3A, 0xFF, 0x26, 0xED]),
        ("gzip", 0, [0x1F, 0x8B, 8]),
        ("bzip2", 0, "BZh"u8.ToArray()),
        ("xz", 0, [0xFD, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0]),
        ("zstd", 0, [0x28, 0xB5, 0x2F, 0xFD]),
        ("lz4", 0, [0x04, 0x22, 0x4D, 0x18]),
        ("tar", 257, "ustar"u8.ToArray()),
        ("fsarchiver", 0, "FsA"u8.ToArray()),
        ("zip", 0, [(byte)'P', (byte)'K', 3, 4]),
    ];

    /// <summary>The format's name, or null for what can be a disk.</summary>
    public static string? Recognise(ReadOnlySpan<byte> first)
    {
        foreach (var (name, at, magic) in Known)
            if (first.Length >= at + magic.Length && first.Slice(at, magic.Length).SequenceEqual(magic))
                return name;
        return null;
    }

    public static string Advice(string format) => format switch
    {
        "qcow2" => "say 'kind: qcow2'",
        "gzip" or "bzip2" or "xz" or "zstd" or "lz4" => $"say 'compression: {format}'",
        "tar" => "say 'kind: tar'",
        _ => "convert it with qemu-img, naming its format: qemu-img convert -f FORMAT -O raw",
    };
}
