using System.Text;
using Ka.Core.Disks;

namespace Ka.Agent.Machine;

/// <summary>Reads the UUID of a file system from its first bytes, in the form that fstab and the kernel line take.</summary>
static class SuperBlock
{
    /// <summary>LUKS2: magic at 0, the UUID as text at 168, 40 bytes with zeros behind it (LUKS2 On-Disk Format Specification).</summary>
    const int LuksUuidAt = 168, LuksUuidBytes = 40;

    static ReadOnlySpan<byte> LuksMagic => [(byte)'L', (byte)'U', (byte)'K', (byte)'S', 0xba, 0xbe];

    /// <summary>Null when the bytes are not those of such a file system.</summary>
    public static string? Uuid(FileSystemKind kind, ReadOnlySpan<byte> first) => FileSystemSignature.Read(first) is { } seen && seen.Kind == kind ? seen.Uuid : null;

    public static string? UuidOf(FileSystemKind kind, string device) => Uuid(kind, First(device));

    /// <summary>The UUID of a LUKS device, or null when it is none.</summary>
    public static string? LuksUuid(string device) =>
        First(device) is { Length: >= FileSystemSignature.Bytes } first && first.AsSpan(0, 6).SequenceEqual(LuksMagic)
            ? Encoding.ASCII.GetString(first, LuksUuidAt, LuksUuidBytes).TrimEnd('\0')
            : null;

    static byte[] First(string device)
    {
        using var file = new FileStream(device, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        var first = new byte[FileSystemSignature.BytesWithBtrfs];
        return first[..file.ReadAtLeast(first, first.Length, throwOnEndOfStream: false)];
    }
}
