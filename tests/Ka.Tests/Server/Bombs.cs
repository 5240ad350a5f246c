using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Compression;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Server.Environments;

namespace Ka.Tests.Server;

/// <summary>Archives that are small and would become much. Each is stopped at the limit that its fault names; limits that would take long to reach are lowered.</summary>
public sealed class Bombs : IDisposable
{
    const int MiB = 1 << 20;

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    static readonly ArchiveLimits Small = new(UnpackedBytes: 8 * MiB, RatioFrom: MiB, Entries: 1000);

    Fault? Read(byte[] archive, ImageCompression compression, ArchiveLimits? limits = null)
    {
        var path = _directory["bomb"];
        File.WriteAllBytes(path, archive);
        return Registration.ReadArchive(path, compression, CancellationToken.None, limits).Fault;
    }

    void Stopped(string named, byte[] archive, ImageCompression compression = ImageCompression.None, ArchiveLimits? limits = null)
    {
        var fault = Read(archive, compression, limits);
        Assert.True(fault?.Code == FaultCodes.ArchiveLimit, $"{fault?.ToString() ?? "was taken"} {fault?.Evidence}");
        Assert.Contains(named, fault!.Message);
    }

    byte[] Packed(ImageCompression compression, byte[] content)
    {
        var path = _directory["content"];
        File.WriteAllBytes(path, content);
        var program = compression.ToString().ToLowerInvariant();
        var start = new ProcessStartInfo(program, ["-c", path]) { RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var packed = new MemoryStream();
        process.StandardOutput.BaseStream.CopyTo(packed);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return packed.ToArray();
    }

    [Theory]
    [InlineData(ImageCompression.Gzip)]
    [InlineData(ImageCompression.Bzip2)]
    [InlineData(ImageCompression.Xz)]
    [InlineData(ImageCompression.Zstd)]
    [InlineData(ImageCompression.Lz4)]
    public void Much_from_little_is_stopped_at_the_ratio(ImageCompression compression) =>
        Stopped("times its", Packed(compression, new TarBuilder().Entry("zeros", '0', new byte[6 * MiB]).End()), compression, Small);

    [Fact]
    public void An_image_that_is_merely_empty_in_parts_is_none() =>
        Assert.Null(Read(Packed(ImageCompression.Zstd, new TarBuilder().Entry("zeros", '0', new byte[6 * MiB]).End()), ImageCompression.Zstd));

    [Fact]
    public void Too_many_bytes_are_stopped()
    {
        var noise = new byte[9 * MiB];
        new Random(1).NextBytes(noise);
        Stopped("unpacks to more than", new TarBuilder().Entry("noise", '0', noise).End(), limits: Small);
    }

    [Fact]
    public void Too_many_bytes_behind_the_end_are_stopped() => Stopped("unpacks to more than", [.. new TarBuilder().File("a").End(), .. new byte[9 * MiB]], limits: Small with { Ratio = 1000 });

    [Fact]
    public void Too_many_entries_are_stopped()
    {
        var tar = new TarBuilder();
        for (var i = 0; i < 1001; i++)
            tar.File($"f{i}", "");
        Stopped("more than 1000 entries", tar.End(), limits: Small);
    }

    [Fact]
    public void Directories_that_are_only_implied_count() => Stopped("more than 1000 entries", Implied(), limits: Small);

    static byte[] Implied()
    {
        var tar = new TarBuilder();
        for (var i = 0; i < 20; i++)
            tar.Pax(("path", $"d{i}/" + string.Concat(Enumerable.Repeat("x/", 90)) + "f")).File("f", "");
        return tar.End();
    }

    [Fact]
    public void A_deep_tree_is_stopped() => Stopped("directories deep", new TarBuilder().Pax(("path", string.Concat(Enumerable.Repeat("a/", 1500)) + "f")).File("f").End());

    [Fact]
    public void A_long_path_is_stopped() => Stopped("more than 4095 bytes", new TarBuilder().Pax(("path", string.Join('/', Enumerable.Repeat(new string('a', 200), 30)))).File("f").End());

    [Fact]
    public void A_long_name_is_stopped() => Stopped("a part of more than 255 bytes", new TarBuilder().Long('L', new string('a', 256)).File("f").End());

    [Fact]
    public void A_long_link_is_stopped() => Stopped("the link's target", new TarBuilder().Pax(("linkpath", new string('a', 5000))).Symbolic("f", "x").End());

    [Fact]
    public void A_huge_record_is_stopped_before_it_is_read() => Stopped("too long", new TarBuilder().Entry("x", 'x', size: 1L << 32).WithoutEnd());

    [Fact]
    public void Record_upon_record_is_stopped()
    {
        var tar = new TarBuilder();
        for (var i = 0; i < 100; i++)
            tar.Long('L', "name");
        Stopped("name records", tar.File("f").End());
    }

    [Fact]
    public void Huge_attributes_are_stopped() => Stopped("extended attributes", new TarBuilder().Pax(("SCHILY.xattr.user.x", new string('x', 70_000))).File("f").End());

    [Theory]
    [InlineData(1L << 60)]
    [InlineData((64L << 30) + 1)]
    public void A_sparse_file_of_an_exbibyte_is_stopped(long bytes)
    {
        Stopped("a sparse file says", new TarBuilder().Pax(("GNU.sparse.size", $"{bytes}"), ("GNU.sparse.map", "0,4")).File("f").End());
        Stopped("a sparse file says", new TarBuilder().Pax(("GNU.sparse.size", $"{bytes}"), ("GNU.sparse.offset", "0"), ("GNU.sparse.numbytes", "4")).File("f").End());
        var map = new byte[512];
        "1\n0\n4\n"u8.CopyTo(map);
        Stopped(
            "a sparse file says",
            new TarBuilder().Pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "f"), ("GNU.sparse.realsize", $"{bytes}")).Entry("f", '0', [.. map, 1, 2, 3, 4]).End());
        Stopped("a sparse file says", new TarBuilder().Entry("f", 'S', change: h => TarBuilder.Binary(h, 483, 12, bytes)).End());
    }

    [Fact]
    public void Many_large_holes_are_stopped_in_sum()
    {
        var tar = new TarBuilder();
        for (var i = 0; i < 3; i++)
            tar.Pax(("GNU.sparse.size", $"{MiB}"), ("GNU.sparse.map", "0,4")).File($"f{i}");
        Stopped("holes of all sparse files", tar.End(), limits: ArchiveLimits.Default with { HoleBytes = 5 * MiB / 2 });
    }

    [Fact]
    public void A_sparse_map_without_end_is_stopped()
    {
        var map = new byte[512];
        "999999999\n"u8.CopyTo(map);
        Stopped("more than 1000000 pieces", new TarBuilder().Pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "4")).Entry("f", '0', map).End());
    }

    [Fact]
    public void A_zstd_window_of_two_gibibytes_is_stopped() =>
        // RFC 8878: magic, frame header without size and checksum, window descriptor of exponent 21 (2^31), one raw block.
        Stopped("needs more than 128 MiB", [0x28, 0xB5, 0x2F, 0xFD, 0x00, 21 << 3, 0x09, 0x00, 0x00, 0x41], ImageCompression.Zstd);

    [Fact]
    public void An_xz_dictionary_of_four_gibibytes_is_stopped()
    {
        // The .xz file format 1.2: block header after the 12 bytes of the stream header; LZMA2's property is the dictionary's size.
        var packed = Packed(ImageCompression.Xz, new TarBuilder().File("f").End());
        var length = (packed[12] + 1) * 4;
        var property = packed.AsSpan(12, length).IndexOf((byte)0x21) + 12 + 2;
        packed[property] = 40;
        BinaryPrimitives.WriteUInt32LittleEndian(packed.AsSpan(12 + length - 4), Crc32(packed.AsSpan(12, length - 4)));
        Stopped("needs more than 128 MiB", packed, ImageCompression.Xz);
    }

    [Fact]
    public void What_is_packed_twice_is_named()
    {
        var once = new MemoryStream();
        using (var gzip = new GZipStream(once, CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write(new TarBuilder().File("f").End());
        var twice = new MemoryStream();
        using (var gzip = new GZipStream(twice, CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write([.. once.ToArray(), .. new byte[1024]]);
        Assert.Contains("begins like gzip", Read(twice.ToArray(), ImageCompression.Gzip)?.Message);
        Assert.Contains("begins like gzip", Read(once.ToArray(), ImageCompression.Zstd)?.Message);
        Assert.Contains("begins like gzip", Read(once.ToArray(), ImageCompression.None)?.Message);
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    public void An_impossible_size_harms_nobody(long size)
    {
        var fault = Read(new TarBuilder().Entry("f", '0', change: h => TarBuilder.Binary(h, 124, 12, size)).End(), ImageCompression.None);
        Assert.True(fault?.Code == FaultCodes.ArchiveInvalid || fault?.Code == FaultCodes.ArchiveTruncated, $"{fault}");
    }

    static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var b in bytes)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ (0xEDB88320u & (uint)-(int)(crc & 1));
        }
        return ~crc;
    }
}
