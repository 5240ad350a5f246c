using System.Collections.Immutable;

namespace Ka.Protocol.Manifests;

/// <summary>What a name of a file system stands for.</summary>
public enum FileType
{
    File,
    Directory,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Fifo,
}

/// <summary>An extended attribute; file capabilities and access lists are such.</summary>
/// <param name="Value">Lower-case hex.</param>
public sealed record FileAttribute(string Name, string Value);

/// <summary>One name of the unpacked image and what must be found there.</summary>
/// <param name="Path">Absolute inside the image; the root is <c>/</c>. Bytes that are no UTF-8 as <see cref="ByteText"/> says.</param>
/// <param name="Mode">The twelve permission bits; null for a directory that the archive only implies.</param>
public sealed record ManifestEntry(string Path, FileType Type, int? Mode, uint Uid, uint Gid)
{
    /// <summary>Logical size of a file: holes count.</summary>
    public long Bytes { get; init; }

    /// <summary>SHA-256 of a file's logical content, lower-case hex.</summary>
    public string? Sha256 { get; init; }

    /// <summary>Target of a symbolic link.</summary>
    public string? Link { get; init; }

    /// <summary>When another name of the same file comes before: that name. Everything else of this entry then equals that one's.</summary>
    public string? SameAs { get; init; }

    /// <summary>Device number.</summary>
    public uint Major { get; init; }

    public uint Minor { get; init; }

    /// <summary>Ordered by name.</summary>
    public ImmutableArray<FileAttribute> Attributes { get; init; } = [];
}

/// <summary>
/// Every file of an image as its archive says it: made once at registration, bound to the image by its digest, and what a disk is
/// checked against. <see cref="ManifestText"/> is its form on disk and wire.
/// </summary>
/// <param name="Entries">In the order of the archive, which is about the order on the disk.</param>
public sealed record FileManifest(string ImageSha256, ImmutableArray<ManifestEntry> Entries)
{
    /// <summary>Most entries of a manifest, and so of an archive.</summary>
    public const int EntryLimit = 1_000_000;

    /// <summary>Most bytes of a manifest's text.</summary>
    public const long TextLimit = 1L << 30;

    /// <summary>Most bytes of a manifest as it is stored and sent.</summary>
    public const long PackedLimit = 256L << 20;
}
