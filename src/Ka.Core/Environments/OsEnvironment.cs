using System.Collections.Immutable;
using Ka.Core.Disks;

namespace Ka.Core.Environments;

/// <summary>What an image is.</summary>
public enum ImageKind
{
    /// <summary>An archive that is unpacked into a fresh file system.</summary>
    Tar,

    /// <summary>The bytes of a disk or partition.</summary>
    Raw,
}

/// <summary>How an image or archive is compressed.</summary>
public enum ImageCompression
{
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Lz4,
}

/// <summary>An image in the content-addressed store.</summary>
/// <param name="Sha256">Lower-case hex digest of the file as it is stored and sent; pinned at registration.</param>
/// <param name="Bytes">Size of that file.</param>
/// <param name="UnpackedBytes">Sum of what it unpacks to, each file rounded up to 4 KiB blocks; of a raw image its uncompressed size.</param>
/// <param name="Raw">What is known of a raw image besides; null for an archive.</param>
public sealed record Image(string Sha256, long Bytes, ImageKind Kind, ImageCompression Compression, long UnpackedBytes, RawImage? Raw = null)
{
    /// <summary>An archive with access lists as text only; else they are attributes like others, or there are none.</summary>
    public bool AclsAsText { get; init; }
}

/// <summary>What starts the kernel from the deployed disk.</summary>
public enum BootLoader
{
    /// <summary>GRUB, or systemd-boot on UEFI nodes where the image brings nothing else for them.</summary>
    Auto,

    Grub,
    SystemdBoot,
}

/// <summary>What the deployed system boots.</summary>
/// <param name="Kernel">Path inside the image.</param>
/// <param name="Initrd">Path inside the image, or null.</param>
/// <param name="Params">Kernel parameters, without <c>root=</c>.</param>
public sealed record BootSpec(string Kernel, string? Initrd, ImmutableArray<string> Params)
{
    /// <summary>What the description asks for.</summary>
    public BootLoader Loader { get; init; }

    /// <summary>
    /// The kernel parameters on one node: the environment's, then the node's own, each once. The only place where they are merged, so
    /// that kexec, GRUB and the scripts' variables say the same.
    /// </summary>
    public ImmutableArray<string> ParamsOn(ImmutableArray<string> ofNode) => [.. Params.Concat(ofNode).Distinct(StringComparer.Ordinal)];
}

/// <summary>A script that runs on the node after the image is unpacked.</summary>
/// <param name="ArchiveSha256">Archive in the store, or null when there is only a script.</param>
/// <param name="ScriptSha256">Script in the store, or null when it is in the archive.</param>
/// <param name="Command">Program inside the archive and its arguments; empty for <c>none</c>.</param>
public sealed record PostInstall(string Name, string? ArchiveSha256, ImageCompression Compression, string? ScriptSha256, ImmutableArray<string> Command, TimeSpan Timeout);

/// <summary>Who may see an environment.</summary>
public enum Visibility
{
    Private,
    Shared,
    Public,
}

/// <summary>
/// A registered operating system: a name, a version and everything that a deployment needs to know. (Plain Environment would
/// clash with <see cref="System.Environment"/>.) What it is never changes once registered; what is said of it may: visibility, destructive tag, alias and labels.
/// </summary>
/// <param name="Os"><c>linux</c>, <c>xen</c>, <c>bsd</c>, <c>windows</c> or <c>other</c>, as Kadeploy3 names them.</param>
/// <param name="FileSystem">Of the root; None when it is a raw image without one that can be mounted.</param>
public sealed record OsEnvironment(
    string Name,
    int Version,
    string Owner,
    string Description,
    string Author,
    Visibility Visibility,
    bool Destructive,
    string Os,
    string Arch,
    Image Image,
    FileSystemKind FileSystem,
    BootSpec Boot,
    ImmutableArray<PostInstall> PostInstalls,
    DateTimeOffset RegisteredAt)
{
    /// <summary>Of an operation that installs nothing.</summary>
    public static readonly OsEnvironment None = new(
        "", 0, "", "", "", Visibility.Private, false, "other", "", new Image("", 0, ImageKind.Tar, ImageCompression.None, 0), FileSystemKind.None, new BootSpec("", null, []), [], DateTimeOffset.UnixEpoch);

    /// <summary>As people write it, <c>NAME:VERSION</c>; empty for none.</summary>
    public string Word => Name.Length == 0 ? "" : $"{Name}:{Version}";

    /// <summary>Another name that leads to it; null for none.</summary>
    public string? Alias { get; init; }

    /// <summary>Words by which people sort their environments.</summary>
    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Prepares the disk in place of partitioning, formatting and mounting; null for the layout of the cluster.</summary>
    public PostInstall? PreInstall { get; init; }

    /// <summary>Files that are rendered for each node.</summary>
    public ImmutableArray<TemplateFile> Files { get; init; } = [];

    /// <summary>What gets a file for the interface that a node boots from.</summary>
    public NetworkStack Network { get; init; }

    /// <summary>The environment's own variables for every script.</summary>
    public ImmutableSortedDictionary<string, string> Variables { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Further images, each for a partition of its own; null for none.</summary>
    public ImmutableArray<ImagePart>? Parts { get; init; }

    /// <summary>Every image with the partition it goes to, in the order of the description; the first is <see cref="Image"/>.</summary>
    public ImmutableArray<ImagePart> Images() => [new ImagePart(null, Image), .. Parts ?? []];
}

/// <summary>One image of an environment that has several.</summary>
/// <param name="Partition">Name of a partition of the layout; null for the deploy partition (or the whole disk).</param>
public sealed record ImagePart(string? Partition, Image Image);
