using Ka.Core.Disks;

namespace Ka.Agent.Machine;

/// <summary>Reads the UUID of a file system from its first bytes.</summary>
static class SuperBlock
{
    /// <summary>Null when the bytes are not those of such a file system.</summary>
    public static string? Uuid(FileSystemKind kind, ReadOnlySpan<byte> first) => FileSystemSignature.Read(first) is { } seen && seen.Kind == kind ? seen.Uuid : null;

    public static string? UuidOf(FileSystemKind kind, string device)
    {
        using var file = new FileStream(device, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        var first = new byte[FileSystemSignature.Bytes];
        return file.ReadAtLeast(first, first.Length, throwOnEndOfStream: false) == first.Length ? Uuid(kind, first) : null;
    }
}
