using System.Buffers.Binary;
using System.Text;
using Ka.Core.Disks;

namespace Ka.Tests.Images;

/// <summary>Disk images made by hand: what a partitioning program and mkfs leave, and nothing more.</summary>
static class MadeImage
{
    public const int MiB = 1 << 20;

    public static readonly Guid Linux = new("0FC63DAF-8483-4772-8E79-3D69D8477DE4");
    public static readonly Guid RootX86 = new("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709");
    public static readonly Guid BiosBoot = new("21686148-6449-6E6F-744E-656564454649");

    /// <summary>A GPT with these partitions; starts and sizes in bytes.</summary>
    public static byte[] Gpt(int bytes, params (int Number, Guid Type, int Start, int Size, byte[]? Content)[] partitions)
    {
        var image = new byte[bytes];
        image[510] = 0x55;
        image[511] = 0xAA;
        image[446 + 4] = 0xEE;
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(446 + 8), 1);
        BinaryPrimitives.WriteInt32LittleEndian(image.AsSpan(446 + 12), bytes / 512 - 1);
        foreach (var (number, type, start, size, content) in partitions)
        {
            var entry = image.AsSpan(1024 + (number - 1) * 128, 128);
            type.TryWriteBytes(entry);
            new Guid(number, 0, 0, new byte[8]).TryWriteBytes(entry[16..]);
            BinaryPrimitives.WriteInt64LittleEndian(entry[32..], start / 512);
            BinaryPrimitives.WriteInt64LittleEndian(entry[40..], (start + size) / 512 - 1);
            content?.CopyTo(image, start);
        }
        var header = image.AsSpan(512, 92);
        "EFI PART"u8.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], 0x10000);
        BinaryPrimitives.WriteInt32LittleEndian(header[12..], 92);
        BinaryPrimitives.WriteInt64LittleEndian(header[24..], 1);
        BinaryPrimitives.WriteInt64LittleEndian(header[72..], 2);
        BinaryPrimitives.WriteInt32LittleEndian(header[80..], 128);
        BinaryPrimitives.WriteInt32LittleEndian(header[84..], 128);
        BinaryPrimitives.WriteUInt32LittleEndian(header[88..], ImageTable.Crc32(image.AsSpan(1024, 128 * 128)));
        BinaryPrimitives.WriteUInt32LittleEndian(header[16..], ImageTable.Crc32(header));
        return image;
    }

    /// <summary>The first 4 KiB of an ext4.</summary>
    public static byte[] Ext4(string label, byte uuid)
    {
        var first = new byte[4096];
        BinaryPrimitives.WriteUInt16LittleEndian(first.AsSpan(1024 + 0x38), 0xEF53);
        first.AsSpan(1024 + 0x68, 16).Fill(uuid);
        Encoding.ASCII.GetBytes(label).CopyTo(first, 1024 + 0x78);
        return first;
    }
}
