using Ka.Protocol.Manifests;

namespace Ka.Server.Environments;

/// <summary>
/// How far an archive may go. Each limit is far above what operating systems have and far below what harms the server or a node; tests
/// take smaller ones.
/// </summary>
/// <param name="UnpackedBytes">Length of the decompressed stream.</param>
/// <param name="Ratio">Decompressed bytes for each packed one; looked at once <paramref name="RatioFrom"/> bytes have come. Ordinary systems have 3 to 5.</param>
/// <param name="Entries">Names in all, and those that only a path implies.</param>
/// <param name="PathBytes">Of a name or a link target: the kernel's PATH_MAX without its NUL.</param>
/// <param name="NameBytes">Of one component: the kernel's NAME_MAX.</param>
/// <param name="Depth">Directories above one another.</param>
/// <param name="SparseBytes">Logical size of one sparse file.</param>
/// <param name="HoleBytes">Holes of all sparse files: they are hashed as zeros, here and on every node.</param>
/// <param name="RecordBytes">One name or pax record.</param>
/// <param name="Records">Name and pax records before one entry.</param>
/// <param name="SparsePieces">Pieces of data in one sparse file.</param>
/// <param name="AttributeBytes">Extended attributes of one file: what a file system takes.</param>
public sealed record ArchiveLimits(
    long UnpackedBytes = 1L << 40,
    int Ratio = 200,
    long RatioFrom = 1L << 30,
    int Entries = FileManifest.EntryLimit,
    int PathBytes = 4095,
    int NameBytes = 255,
    int Depth = 256,
    long SparseBytes = 64L << 30,
    long HoleBytes = 256L << 30,
    int RecordBytes = 16 << 20,
    int Records = 64,
    int SparsePieces = 1_000_000,
    int AttributeBytes = 64 << 10)
{
    public static readonly ArchiveLimits Default = new();

    /// <summary>Memory that a decoder may take, MiB: the largest window of zstd and dictionary of xz that a node unpacks.</summary>
    public const int DecoderMebibytes = 128;
}
