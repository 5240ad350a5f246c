using System.Buffers.Binary;
using System.Text;

namespace Ka.Core.Disks;

/// <summary>A file system as its first bytes show it.</summary>
/// <param name="Uuid">In the form that fstab and the kernel line take.</param>
public sealed record FileSystemSignature(FileSystemKind Kind, string Uuid, string Label)
{
    /// <summary>Bytes from the start of the partition that must be there.</summary>
    public const int Bytes = 4096;

    /// <summary>btrfs keeps its superblock behind the first 64 KiB.</summary>
    const int BtrfsAt = 0x10000;

    /// <summary>Bytes by which every file system is recognised.</summary>
    public const int BytesWithBtrfs = BtrfsAt + 4096;

    /// <summary>Null when the bytes are none of a file system that Ka mounts.</summary>
    public static FileSystemSignature? Read(ReadOnlySpan<byte> first)
    {
        if (first.Length < Bytes)
        {
            return null;
        }
        // ext4: superblock at 1024, magic 0xEF53 at 0x38, UUID at 0x68, label at 0x78 (kernel: Documentation/filesystems/ext4/super.rst)
        if (BinaryPrimitives.ReadUInt16LittleEndian(first[(1024 + 0x38)..]) == 0xEF53)
        {
            return new FileSystemSignature(FileSystemKind.Ext4, Dashed(first.Slice(1024 + 0x68, 16)), Text(first.Slice(1024 + 0x78, 16)));
        }
        // XFS: magic "XFSB" at 0, UUID at 32, label at 108
        if (first[..4].SequenceEqual("XFSB"u8))
        {
            return new FileSystemSignature(FileSystemKind.Xfs, Dashed(first.Slice(32, 16)), Text(first.Slice(108, 12)));
        }
        // swap: "SWAPSPACE2" at the end of the first page, UUID after three words at 1024, label behind it
        if (first.Slice(4096 - 10, 10).SequenceEqual("SWAPSPACE2"u8))
        {
            return new FileSystemSignature(FileSystemKind.Swap, Dashed(first.Slice(1024 + 12, 16)), Text(first.Slice(1024 + 28, 16)));
        }
        // btrfs: fsid at 0x20 of the superblock, magic at 0x40, label at 0x12B (btrfs wiki, "On-disk format")
        if (first.Length >= BytesWithBtrfs && first.Slice(BtrfsAt + 0x40, 8).SequenceEqual("_BHRfS_M"u8))
        {
            return new FileSystemSignature(FileSystemKind.Btrfs, Dashed(first.Slice(BtrfsAt + 0x20, 16)), Text(first.Slice(BtrfsAt + 0x12B, 256)));
        }
        return Fat(first);
    }

    /// <summary>FAT: signature 55 AA at 510; serial and label at 0x43 and 0x47 for FAT32, at 0x27 and 0x2B for FAT12 and FAT16.</summary>
    static FileSystemSignature? Fat(ReadOnlySpan<byte> first)
    {
        var at = first.Slice(0x52, 5).SequenceEqual("FAT32"u8) ? 0x43 : first.Slice(0x36, 3).SequenceEqual("FAT"u8) ? 0x27 : -1;
        if (first[510] != 0x55 || first[511] != 0xAA || at < 0)
        {
            return null;
        }
        var serial = BinaryPrimitives.ReadUInt32LittleEndian(first[at..]);
        return new FileSystemSignature(FileSystemKind.Vfat, $"{serial >> 16:X4}-{serial & 0xFFFF:X4}", Text(first.Slice(at + 4, 11)).TrimEnd(' '));
    }

    static string Dashed(ReadOnlySpan<byte> uuid) => new Guid(uuid, bigEndian: true).ToString("d");

    static string Text(ReadOnlySpan<byte> field)
    {
        var end = field.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
    }
}
