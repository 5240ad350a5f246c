using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Server.Environments;
using static Ka.Tests.Images.MadeImage;

namespace Ka.Tests.Images;

public class ReadingImages
{
    static byte[] CloudImage() => Gpt(16 * MiB,
        (1, Linux, 8 * MiB, 4 * MiB, Ext4("root", 1)), (14, BiosBoot, 1 * MiB, 1 * MiB, null), (3, Linux, 4 * MiB, 2 * MiB, Ext4("home", 3)));

    [Fact]
    public void The_checksum_is_that_of_every_other_program() => Assert.Equal(0xCBF43926u, ImageTable.Crc32("123456789"u8));

    [Fact]
    public void Partitions_keep_their_numbers_and_show_what_is_in_them()
    {
        using var reading = new RawReading();
        Assert.Null(reading.Read(new MemoryStream(CloudImage()), CancellationToken.None));
        var partitions = reading.Partitions();
        Assert.Equal([1, 3, 14], partitions.Select(p => p.Partition.Number));
        Assert.Equal(["root", "home", null], partitions.Select(p => p.FileSystem?.Label));
        Assert.Equal("01010101-0101-0101-0101-010101010101", partitions[0].FileSystem!.Uuid);
        Assert.Equal(PartitionType.BiosBoot, partitions[2].Partition.Type);
        var root = ImageRoot.Find(partitions, null);
        Assert.Equal(1, root!.Partition.Number);
        var layout = ImageRoot.Layout(PartitionTableKind.Gpt, partitions, root);
        Assert.Empty(DiskLayoutRules.Check(layout));
        Assert.Equal((1, true), (layout.Partitions[0].Number, layout.Partitions[0].Deploy));
    }

    [Theory]
    [InlineData("label home", 3)]
    [InlineData("partition 3", 3)]
    [InlineData("uuid 01010101-0101-0101-0101-010101010101", 1)]
    [InlineData("partition 14", null)]
    [InlineData("label nothing", null)]
    public void The_root_is_the_one_that_is_named(string wish, int? number)
    {
        using var reading = new RawReading();
        reading.Read(new MemoryStream(CloudImage()), CancellationToken.None);
        Assert.Equal(number, ImageRoot.Find(reading.Partitions(), wish)?.Partition.Number);
    }

    [Fact]
    public void The_type_that_says_root_goes_before_the_size()
    {
        using var reading = new RawReading();
        reading.Read(new MemoryStream(Gpt(16 * MiB, (1, Linux, 8 * MiB, 4 * MiB, Ext4("big", 1)), (2, RootX86, 4 * MiB, 1 * MiB, Ext4("small", 2)))), CancellationToken.None);
        Assert.Equal(2, ImageRoot.Find(reading.Partitions(), null)?.Partition.Number);
    }

    [Fact]
    public void A_table_that_is_broken_or_leaves_the_image_is_refused()
    {
        var whole = CloudImage();
        foreach (var at in (int[])[512 + 40, 1024 + 33])
        {
            var broken = (byte[])whole.Clone();
            broken[at] ^= 1;
            Assert.Contains("checksum", Refusal(broken));
        }
        Assert.Contains("ends at sector", Refusal(whole[..(10 * MiB)]));
        var withoutGpt = (byte[])whole.Clone();
        withoutGpt.AsSpan(512, 8).Clear();
        Assert.Contains("protective MBR", Refusal(withoutGpt));
        var withoutMbr = (byte[])whole.Clone();
        withoutMbr[510] = 0;
        using var reading = new RawReading();
        Assert.Null(reading.Read(new MemoryStream(withoutMbr), CancellationToken.None)); // the kernel would see no table either
        Assert.Null(reading.Table);
    }

    [Fact]
    public void An_mbr_gives_its_primary_partitions()
    {
        var image = new byte[8 * MiB];
        (image[510], image[511]) = (0x55, 0xAA);
        image[446 + 16 + 4] = 0x83;
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(446 + 16 + 8), 2048);
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(446 + 16 + 12), 4096);
        Ext4("r", 9).CopyTo(image, MiB);
        using var reading = new RawReading();
        Assert.Null(reading.Read(new MemoryStream(image), CancellationToken.None));
        var only = Assert.Single(reading.Partitions());
        Assert.Equal((2, (long)MiB, 2L * MiB, "r"), (only.Partition.Number, only.Partition.Start, only.Partition.Bytes, only.FileSystem!.Label));
    }

    [Theory]
    [InlineData("QFI\u00fb", 0, "qcow2")]
    [InlineData("KDMV", 0, "vmdk")]
    [InlineData("# Disk DescriptorFile", 0, "vmdk")]
    [InlineData("vhdxfile", 0, "vhdx")]
    [InlineData("conectix", 0, "vhd")]
    [InlineData("\u007f\u0010\u00da\u00be", 0x40, "vdi")]
    [InlineData(":\u00ff&\u00ed", 0, "Android sparse")]
    [InlineData("\u001f\u008b\b", 0, "gzip")]
    [InlineData("\u0028\u00b5\u002f\u00fd", 0, "zstd")]
    [InlineData("ustar", 257, "tar")]
    public void Bytes_of_another_format_are_refused_by_its_name(string magic, int at, string format)
    {
        var image = CloudImage();
        Encoding.Latin1.GetBytes(magic).CopyTo(image, at);
        Assert.Contains(format, Refusal(image));
    }

    /// <summary>A hybrid image is a disk and an ISO at once; it is written as the bytes that it is.</summary>
    [Fact]
    public void An_iso_in_a_disk_image_is_bytes()
    {
        var image = CloudImage();
        "CD001"u8.CopyTo(image.AsSpan(32769));
        using var reading = new RawReading();
        Assert.Null(reading.Read(new MemoryStream(image), CancellationToken.None));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(513)]
    [InlineData(MiB + 100)]
    public void A_disk_has_whole_sectors(int bytes) => Assert.Contains("multiple of 512", Refusal(new byte[bytes]));

    [Fact]
    public void Every_block_has_its_hash_wherever_the_stream_is_cut()
    {
        var content = new byte[2 * BlockHashes.BlockBytes + 512];
        new Random(3).NextBytes(content);
        using var hasher = new BlockHasher();
        for (int at = 0, piece = 1; at < content.Length; at += piece, piece = Math.Min(piece * 3, content.Length - at))
            hasher.Append(content.AsSpan(at, Math.Min(piece, content.Length - at)));
        var hashes = hasher.Finish();
        Assert.True(hashes.IsSound);
        Assert.Equal((3, 512), (hashes.Count, hashes.SizeOf(2)));
        Assert.Equal(SHA256.HashData(content.AsSpan(BlockHashes.BlockBytes, BlockHashes.BlockBytes)), hashes.Packed.Slice(32, 32).ToArray());
        Assert.True(hashes.Matches(2, content.AsSpan(2 * BlockHashes.BlockBytes)));
        content[^1] ^= 1;
        Assert.False(hashes.Matches(2, content.AsSpan(2 * BlockHashes.BlockBytes)));
        Assert.False((hashes with { Bytes = hashes.Bytes + BlockHashes.BlockBytes }).IsSound);
    }

    [Fact]
    public void A_sample_has_the_ends_and_every_sixteenth_block_and_of_a_small_image_everything()
    {
        var large = new BlockHashes(1600L * BlockHashes.BlockBytes, new byte[1600 * 32]);
        var sample = large.Chosen(VerifyMode.Sample, 5);
        Assert.InRange(sample.Length, 100, 102);
        Assert.Equal((0, 1599), (sample[0], sample[^1]));
        Assert.Equal(1600, Enumerable.Range(0, 16).SelectMany(shift => large.Chosen(VerifyMode.Sample, shift)).Distinct().Count());
        Assert.Equal(1600, large.Chosen(VerifyMode.Full, 5).Length);
        Assert.Empty(large.Chosen(VerifyMode.None, 5));
        Assert.Equal(20, new BlockHashes(20L * BlockHashes.BlockBytes, new byte[20 * 32]).Chosen(VerifyMode.Sample, 1).Length);
    }

    static string Refusal(byte[] image)
    {
        using var reading = new RawReading();
        var fault = reading.Read(new MemoryStream(image), CancellationToken.None);
        Assert.Equal(FaultCodes.ArchiveInvalid, fault?.Code);
        return fault!.Message;
    }
}
