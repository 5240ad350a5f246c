using Ka.Core.Disks;

namespace Ka.Core.Environments;

/// <summary>What a disk image is written over.</summary>
public enum RawTarget
{
    Partition,
    Disk,
}

/// <summary>What is known of an image of kind <see cref="ImageKind.Raw"/> besides its bytes; read from them at registration.</summary>
/// <param name="BlockHashes">Digest of a document in the store: SHA-256 of each block of the uncompressed image (<see cref="BlockHashes"/>).</param>
/// <param name="FileSystem">Of the root inside a whole-disk image, or of the partition; None when Ka cannot mount it.</param>
/// <param name="Grow">The last partition and its file system take what the disk has more than the image.</param>
/// <param name="Partitions">The partition table inside a whole-disk image with its root marked as the deploy partition; null when there is no root to mount.</param>
/// <param name="SectorBytes">Size of the sectors that the image's own table counts in; 0 without one.</param>
/// <param name="SourceSha256">The file that the author gave when it was of another form (qcow2).</param>
/// <param name="CloudInit">The system configures itself by cloud-init: it gets a NoCloud seed.</param>
public sealed record RawImage(
    RawTarget Target,
    string BlockHashes,
    FileSystemKind FileSystem,
    bool Grow = false,
    DiskLayout? Partitions = null,
    int SectorBytes = 0,
    string? SourceSha256 = null,
    bool CloudInit = false)
{
    /// <summary>Whether two registrations come to the same; the table follows from the bytes.</summary>
    public bool SameAs(RawImage? other) => other is not null && this with { Partitions = null } == other with { Partitions = null };
}
