using System.Buffers.Binary;
using Ka.Core.Disks;

namespace Ka.Agent.Machine;

/// <summary>Reads the UUID of a file system from its first bytes, in the form that fstab and the kernel line take.</summary>
static class SuperBlock
{
    /// <summary>Bytes from the start of the partition that <see cref="Uuid"/> looks at.</summary>
    public const int Bytes = 4096;

    /// <summary>Null when the bytes are not those of such a file system.</summary>
    public static string? Uuid(FileSystemKind kind, ReadOnlySpan<byte> first) => first.Length < Bytes ? null : kind switch
    {
        // ext4: superblock at 1024, magic 0xEF53 at 0x38, UUID at 0x68 (kernel: Documentation/filesystems/ext4/super.rst)
        FileSystemKind.Ext4 => BinaryPrimitives.ReadUInt16LittleEndian(first[(1024 + 0x38)..]) == 0xEF53 ? Dashed(first.Slice(1024 + 0x68, 16)) : null,
        // XFS: magic "XFSB" at 0, UUID at 32
        FileSystemKind.Xfs => first[..4].SequenceEqual("XFSB"u8) ? Dashed(first.Slice(32, 16)) : null,
        // swap: "SWAPSPACE2" at the end of the first page, UUID after three words at 1024
        FileSystemKind.Swap => first.Slice(4096 - 10, 10).SequenceEqual("SWAPSPACE2"u8) ? Dashed(first.Slice(1024 + 12, 16)) : null,
        FileSystemKind.Vfat => Volume(first),
        FileSystemKind.None => null,
    };

    public static string? UuidOf(FileSystemKind kind, string device)
    {
        using var file = new FileStream(device, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        var first = new byte[Bytes];
        return file.ReadAtLeast(first, Bytes, throwOnEndOfStream: false) == Bytes ? Uuid(kind, first) : null;
    }

    /// <summary>FAT: signature 55 AA at 510; the volume serial is at 0x43 for FAT32 and at 0x27 for FAT12 and FAT16.</summary>
    static string? Volume(ReadOnlySpan<byte> first)
    {
        if (first[510] != 0x55 || first[511] != 0xAA)
        {
            return null;
        }
        var at = first.Slice(0x52, 5).SequenceEqual("FAT32"u8) ? 0x43 : first.Slice(0x36, 3).SequenceEqual("FAT"u8) ? 0x27 : -1;
        if (at < 0)
        {
            return null;
        }
        var serial = BinaryPrimitives.ReadUInt32LittleEndian(first[at..]);
        return $"{serial >> 16:X4}-{serial & 0xFFFF:X4}";
    }

    static string Dashed(ReadOnlySpan<byte> uuid) => new Guid(uuid, bigEndian: true).ToString("d");
}
