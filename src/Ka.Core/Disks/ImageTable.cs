using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;
using Ka.Core.Faults;

namespace Ka.Core.Disks;

/// <summary>A partition inside a disk image.</summary>
/// <param name="Number">In the table, from 1; numbers may have gaps.</param>
/// <param name="Start">First byte.</param>
/// <param name="IsRootType">Its type says that it is the root file system of an x86-64 system (Discoverable Partitions Specification).</param>
public sealed record ImagePartition(int Number, long Start, long Bytes, PartitionType Type, bool IsRootType, string Name);

/// <summary>Reads the partition table of a disk image: GPT, or the four primary entries of an MBR.</summary>
/// <param name="SectorBytes">What the table counts in: 512 or 4096.</param>
public sealed record ImageTable(PartitionTableKind Kind, int SectorBytes, ImmutableArray<ImagePartition> Partitions)
{
    /// <summary>Bytes from the start of the image that are looked at: header and entries lie here in every image that was made by a partitioning program.</summary>
    public const int HeadBytes = 1 << 20;

    const int EntryLimit = 256;

    static readonly Guid RootType = new("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709");

    /// <summary>The table; null when there is none, which is no fault.</summary>
    /// <param name="head">The first <see cref="HeadBytes"/>, or the whole image when it is smaller.</param>
    public static (ImageTable? Table, Fault? Fault) Read(ReadOnlySpan<byte> head, long imageBytes)
    {
        if (head.Length < 512 || head[510] != 0x55 || head[511] != 0xAA)
        {
            return (null, null);
        }
        foreach (var sector in (int[])[512, 4096])
        {
            if (head.Length >= sector * 3 && head.Slice(sector, 8).SequenceEqual("EFI PART"u8))
            {
                return ReadGpt(head, sector, imageBytes);
            }
        }
        return ReadMbr(head, imageBytes);
    }

    static (ImageTable?, Fault?) ReadGpt(ReadOnlySpan<byte> head, int sector, long imageBytes)
    {
        var header = head.Slice(sector, sector);
        var size = BinaryPrimitives.ReadInt32LittleEndian(header[12..]);
        var at = BinaryPrimitives.ReadInt64LittleEndian(header[72..]);
        var count = BinaryPrimitives.ReadInt32LittleEndian(header[80..]);
        var each = BinaryPrimitives.ReadInt32LittleEndian(header[84..]);
        if (size < 92 || size > sector || at < 2 || at > HeadBytes / sector || count is < 1 or > EntryLimit || each is < 128 or > 512
            || at * sector + (long)count * each > head.Length)
        {
            return Bad("the GPT header has impossible values");
        }
        var checkedHeader = header[..size].ToArray();
        checkedHeader.AsSpan(16, 4).Clear();
        var entries = head.Slice((int)at * sector, count * each);
        if (Crc32(checkedHeader) != BinaryPrimitives.ReadUInt32LittleEndian(header[16..]) || Crc32(entries) != BinaryPrimitives.ReadUInt32LittleEndian(header[88..]))
        {
            return Bad("a checksum of the GPT is wrong");
        }
        var partitions = ImmutableArray.CreateBuilder<ImagePartition>();
        for (var i = 0; i < count; i++)
        {
            var entry = entries.Slice(i * each, each);
            var type = new Guid(entry[..16]);
            if (type == Guid.Empty)
            {
                continue;
            }
            var (first, last) = (BinaryPrimitives.ReadInt64LittleEndian(entry[32..]), BinaryPrimitives.ReadInt64LittleEndian(entry[40..]));
            if (first < 1 || last < first || last >= imageBytes / sector)
            {
                return Bad($"partition {i + 1} ends at sector {last}, the image has {imageBytes / sector}");
            }
            var name = Encoding.Unicode.GetString(entry.Slice(56, 72)).TrimEnd('\0');
            partitions.Add(new ImagePartition(i + 1, first * sector, (last - first + 1) * sector, TypeOf(type), type == RootType, name));
        }
        return (new ImageTable(PartitionTableKind.Gpt, sector, partitions.ToImmutable()), null);
    }

    static (ImageTable?, Fault?) ReadMbr(ReadOnlySpan<byte> head, long imageBytes)
    {
        var partitions = ImmutableArray.CreateBuilder<ImagePartition>();
        for (var i = 0; i < 4; i++)
        {
            var entry = head.Slice(446 + i * 16, 16);
            if ((entry[0] & 0x7F) != 0)
            {
                return (null, null); // the boot sector of a file system ends with the same two bytes
            }
            var (start, sectors) = (BinaryPrimitives.ReadUInt32LittleEndian(entry[8..]), BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]));
            if (entry[4] == 0 || sectors == 0)
            {
                continue;
            }
            if (entry[4] == 0xEE)
            {
                return Bad("the image has a protective MBR without a GPT");
            }
            if (start == 0 || (long)start + sectors > imageBytes / 512)
            {
                return Bad($"partition {i + 1} ends at sector {(long)start + sectors}, the image has {imageBytes / 512}");
            }
            partitions.Add(new ImagePartition(i + 1, start * 512L, sectors * 512L, TypeOf(entry[4]), false, ""));
        }
        return partitions.Count == 0 ? (null, null) : (new ImageTable(PartitionTableKind.Mbr, 512, partitions.ToImmutable()), null);
    }

    static PartitionType TypeOf(Guid type) => Enum.GetValues<PartitionType>()
        .FirstOrDefault(t => Guid.Parse(SfdiskScript.TypeCode(PartitionTableKind.Gpt, t)) == type, PartitionType.Linux);

    static PartitionType TypeOf(byte type) => Enum.GetValues<PartitionType>()
        .FirstOrDefault(t => Convert.ToByte(SfdiskScript.TypeCode(PartitionTableKind.Mbr, t), 16) == type, PartitionType.Linux);

    static (ImageTable?, Fault?) Bad(string why) => (null, Fault.Of(FaultCodes.ArchiveInvalid, $"the partition table of the image is broken: {why}"));

    /// <summary>CRC-32 of IEEE 802.3, as GPT uses it (UEFI specification, 5.3.2).</summary>
    public static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var b in bytes)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) == 0 ? crc >> 1 : (crc >> 1) ^ 0xEDB88320;
            }
        }
        return ~crc;
    }
}
