using System.Buffers.Binary;
using System.Text;
using Ka.Core.Disks;

namespace Ka.Agent.Machine;

/// <summary>Reads the UUID of a file system from its first bytes, in the form that fstab and the kernel line take.</summary>
static class SuperBlock
{
    /// <summary>Bytes from the start of the partition that <see cref="Uuid"/> looks at.</summary>
    public const int Bytes = 4096;

    /// <summary>btrfs keeps its superblock behind the first 64 KiB.</summary>
    const int BtrfsAt = 0x10000;

    /// <summary>LUKS2: magic at 0, the UUID as text at 168, 40 bytes with zeros behind it (LUKS2 On-Disk Format Specification).</summary>
    const int LuksUuidAt = 168, LuksUuidBytes = 40;

    static ReadOnlySpan<byte> LuksMagic => [(byte)'L', (byte)'U', (byte)'K', (byte)'S', 0xba, 0xbe];

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
        // btrfs: fsid at 0x20 of the superblock, magic at 0x40
        FileSystemKind.Btrfs => first.Length >= BtrfsAt + Bytes && first.Slice(BtrfsAt + 0x40, 8).SequenceEqual("_BHRfS_M"u8) ? Dashed(first.Slice(BtrfsAt + 0x20, 16)) : null,
        FileSystemKind.None => null,
    };

    public static string? UuidOf(FileSystemKind kind, string device)
    {
        var first = First(device, kind == FileSystemKind.Btrfs ? BtrfsAt + Bytes : Bytes);
        return first is null ? null : Uuid(kind, first);
    }

    /// <summary>The UUID of a LUKS device, or null when it is none.</summary>
    public static string? LuksUuid(string device) =>
        First(device, Bytes) is { } first && first.AsSpan(0, 6).SequenceEqual(LuksMagic)
            ? Encoding.ASCII.GetString(first, LuksUuidAt, LuksUuidBytes).TrimEnd('\0')
            : null;

    static byte[]? First(string device, int bytes)
    {
        using var file = new FileStream(device, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        var first = new byte[bytes];
        return file.ReadAtLeast(first, bytes, throwOnEndOfStream: false) == bytes ? first : null;
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
