using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Ka.Core.Disks;
using Ka.Core.Environments;

namespace Ka.Protocol.Agents;

/// <summary>A typed order to an agent. Each is idempotent: carried out twice it leaves the node as once.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "do")]
[JsonDerivedType(typeof(PartitionDisk), "partition")]
[JsonDerivedType(typeof(FormatPartitions), "format")]
[JsonDerivedType(typeof(MountTarget), "mount")]
[JsonDerivedType(typeof(ReceiveImage), "receive")]
[JsonDerivedType(typeof(VerifyTarget), "verify")]
[JsonDerivedType(typeof(RunScript), "script")]
[JsonDerivedType(typeof(SetIdentity), "identity")]
[JsonDerivedType(typeof(InstallKeys), "keys")]
[JsonDerivedType(typeof(InstallHostCertificate), "host-certificate")]
[JsonDerivedType(typeof(PutFile), "put")]
[JsonDerivedType(typeof(WriteFiles), "files")]
[JsonDerivedType(typeof(ConfigureNetwork), "network")]
[JsonDerivedType(typeof(InstallBootloader), "bootloader")]
[JsonDerivedType(typeof(SyncTarget), "sync")]
[JsonDerivedType(typeof(KexecTarget), "kexec")]
[JsonDerivedType(typeof(RebootNode), "reboot")]
[JsonDerivedType(typeof(VerifyWritten), "verify-written")]
[JsonDerivedType(typeof(GrowImage), "grow")]
[JsonDerivedType(typeof(SeedCloudInit), "seed")]
[JsonDerivedType(typeof(MakeRoom), "make-room")]
public abstract record AgentOrder;

/// <summary>Chooses the disk, wipes old signatures and writes the partition table with sfdisk, or runs the site's script instead.</summary>
/// <param name="Script">When given, this script partitions in place of sfdisk.</param>
/// <param name="NeedBytes">What the image unpacks to: a disk on which it cannot fit is refused before anything is erased.</param>
/// <param name="Key">For layouts with something encrypted.</param>
/// <remarks>
/// Makes arrays, encrypted devices and volume groups as well. Kept partitions are checked first and stay.
/// Result values: <c>device</c> (<c>/dev/vda</c>), <c>bytes</c>, <c>partition.NAME</c> (<c>/dev/vda3</c>).
/// </remarks>
public sealed record PartitionDisk(DiskSelector Select, DiskLayout Layout, ScriptSpec? Script, long NeedBytes = 0, DiskKey? Key = null) : AgentOrder;

/// <summary>The key of a node's encrypted devices: what a person types at its console. Never printed by accident.</summary>
public sealed record DiskKey(string Value)
{
    public override string ToString() => "(a key)";
}

/// <summary>Makes the file systems of the layout on the disk that was partitioned.</summary>
/// <param name="OnlyDeploy">Only the deploy partition (a fresh start for a second broadcast).</param>
public sealed record FormatPartitions(DiskSelector Select, DiskLayout Layout, FileSystemKind DeployFileSystem, bool OnlyDeploy) : AgentOrder;

/// <summary>Mounts the deploy partition on the target directory, and the ESP and others below it.</summary>
public sealed record MountTarget(DiskSelector Select, DiskLayout Layout, FileSystemKind DeployFileSystem) : AgentOrder;

/// <summary>Joins a chain: takes the image from a predecessor, gives it to whoever asks, verifies every chunk, unpacks or writes it.</summary>
/// <param name="Key">Hex secret of this broadcast; a peer that does not know it gets nothing.</param>
/// <param name="ChunkBytes">Size of every chunk but the last.</param>
/// <param name="ChunkHashes">SHA-256 (hex) of each chunk, in order. They come over the control channel only.</param>
/// <param name="Upstreams">Where to ask, in order of preference: the predecessor, then others, the server last.</param>
/// <param name="Successors">How many direct successors the plan gives this node (0 for the tail).</param>
/// <param name="Place">Where a raw image is written, or an archive that is not the root is unpacked; null for the mounted target.</param>
public sealed record ReceiveImage(
    string Key,
    string ImageSha256,
    long Bytes,
    int ChunkBytes,
    ImmutableArray<string> ChunkHashes,
    ImageKind Kind,
    ImageCompression Compression,
    ImmutableArray<PeerAddress> Upstreams,
    int Successors,
    ImagePlace? Place = null) : AgentOrder
{
    /// <summary>The archive keeps access lists as text only: GNU tar takes them with <c>--acls</c>, without which it takes those kept as attributes.</summary>
    public bool AclsAsText { get; init; }

    /// <summary>Bytes that the node keeps of the stream for its successors; null for the agent's own choice.</summary>
    public int? RingBytes { get; init; }

    /// <summary>The image comes in stripes, each by a tree of its own; empty for one stream.</summary>
    public ImmutableArray<StripeSources> Stripes { get; init; } = [];

    /// <summary>The bytes come by BitTorrent and not by the chain; they are proved by the same hashes.</summary>
    public TorrentFetch? Torrent { get; init; }

    /// <summary>The bytes come from a swarm of nodes, chunk by chunk.</summary>
    public SwarmFetch? Swarm { get; init; }

    /// <summary>The bytes come by multicast, and by the chain what does not.</summary>
    public MulticastFetch? Multicast { get; init; }

    /// <summary>The site's own program has put the image at <see cref="AgentProtocol.WholeImagePath"/>.</summary>
    public bool IsPlaced { get; init; }
}

/// <summary>Makes the directory of <see cref="AgentProtocol.WholeImagePath"/>, in memory or on the mounted target.</summary>
/// <param name="RoomOnTarget">Bytes that the target must have free to hold the image as well; 0 when it may lie in memory only.</param>
/// <remarks>Result value: <c>image</c>, the path of the file that is to be brought.</remarks>
public sealed record MakeRoom(long Bytes, long RoomOnTarget) : AgentOrder;

/// <summary>Hears datagrams of a group.</summary>
/// <param name="Sender">Where the node says how it stands.</param>
public sealed record MulticastFetch(string Group, int Port, PeerAddress Sender);

/// <summary>A node's place in the tree of one stripe: as <see cref="ReceiveImage"/> says it for the whole.</summary>
public sealed record StripeSources(ImmutableArray<PeerAddress> Upstreams, int Successors);

/// <summary>Takes the image's chunks from other nodes, in any order, and gives them to others.</summary>
/// <param name="Peers">In the order in which they are turned to.</param>
/// <param name="IsFirstHand">It takes from the server from the start; else when nothing comes.</param>
/// <param name="Place">In the order of the nodes.</param>
/// <param name="RoomOnTarget">Bytes that the mounted target must have free to hold the image as well; 0 when it may lie in memory only.</param>
public sealed record SwarmFetch(ImmutableArray<PeerAddress> Peers, PeerAddress Server, bool IsFirstHand, int Place, long RoomOnTarget);

/// <summary>Fetches the image whole by BitTorrent before it is unpacked.</summary>
/// <param name="Metainfo">The <c>.torrent</c> file in base 64.</param>
/// <param name="Tools">Digest of an archive with <c>aria2c</c> and what it links to; null where the node's own is to be used.</param>
/// <param name="RoomOnTarget">Bytes that the mounted target must have free to hold the image as well; 0 when it may lie in memory only.</param>
public sealed record TorrentFetch(string Metainfo, string? Tools, long RoomOnTarget);

/// <summary>Where a source of a broadcast listens.</summary>
public sealed record PeerAddress(string Host, int Port);

/// <summary>Compares the unpacked image with its file manifest, as the disk gives it back. Comes before anything else is written to the target.</summary>
/// <param name="ManifestSha256">Digest of the manifest, which the agent fetches; it must belong to <paramref name="ImageSha256"/>.</param>
/// <param name="Seed">Chooses the files whose content a sample reads.</param>
/// <param name="Kernel">Path inside the image; read in any case.</param>
public sealed record VerifyTarget(string ManifestSha256, string ImageSha256, VerifyMode Mode, ulong Seed, string? Kernel, string? Initrd) : AgentOrder
{
    /// <summary>Mount points of partitions that other images fill: left out.</summary>
    public ImmutableArray<string> Elsewhere { get; init; } = [];

    /// <summary>The other partitions were not made anew: what more lies on them is no fault.</summary>
    public bool OnlyRootIsNew { get; init; }
}

/// <summary>A script with its variables.</summary>
/// <param name="Name">For messages.</param>
/// <param name="ArchiveSha256">An archive that is fetched and unpacked first, or null.</param>
/// <param name="ArchiveCompression">Its compression.</param>
/// <param name="FileSha256">The script itself when it is not in the archive, or null.</param>
/// <param name="Command">Program name inside the archive (or empty for <paramref name="FileSha256"/>), then its arguments.</param>
/// <param name="Variables">The <c>KADEPLOY_*</c> variables that the server knows; the agent adds those of the disk.</param>
public sealed record ScriptSpec(
    string Name,
    string? ArchiveSha256,
    ImageCompression ArchiveCompression,
    string? FileSha256,
    ImmutableArray<string> Command,
    ImmutableDictionary<string, string> Variables,
    int TimeoutSeconds);

/// <summary>Runs a script in the minimal environment, the target mounted, with a deadline and an output cap.</summary>
/// <param name="Prepares">Of a pre-install: the disks that it works on. They are named to it and nothing of them is in use when it starts.</param>
public sealed record RunScript(ScriptSpec Script, DisksToPrepare? Prepares = null) : AgentOrder;

/// <summary>The disks that a pre-install works on, before anything else of the deployment does.</summary>
/// <param name="DeployFileSystem">What the environment wants on the deploy partition; None leaves the layout's.</param>
public sealed record DisksToPrepare(DiskSelector Select, DiskLayout Layout, FileSystemKind DeployFileSystem);

/// <summary>Gives the unpacked system its own identity: hostname, hosts, fstab by UUID, empty machine-id, fresh ssh host keys.</summary>
/// <remarks>Result value: <c>hostKey</c>, the public ed25519 host key (<c>ssh-ed25519 AAAA…</c>) by which the deployed system is recognised.</remarks>
/// <param name="KeepFstab">The image brings its own partitions and an fstab that fits them.</param>
public sealed record SetIdentity(string HostName, DiskSelector Select, DiskLayout Layout, FileSystemKind DeployFileSystem, bool KeepFstab = false) : AgentOrder;

/// <summary>Adds lines to root's authorized_keys, in the target and in the running minimal environment.</summary>
public sealed record InstallKeys(ImmutableArray<string> AuthorizedKeys) : AgentOrder;

/// <summary>Puts the certificate of the host key into the target and names it in its sshd configuration (OpenSSH PROTOCOL.certkeys).</summary>
/// <param name="Certificate">The one line of <c>ssh_host_ed25519_key-cert.pub</c>.</param>
/// <remarks>Result value: <c>hostCertificate</c>, <c>yes</c>, or <c>no</c> where the target has no OpenSSH server or its configuration takes in no directory.</remarks>
public sealed record InstallHostCertificate(string Certificate) : AgentOrder;

/// <summary>Fetches a file and puts it into a directory, which is made when it is missing.</summary>
/// <param name="Destination">Absolute directory once the variables (<c>$NAME</c>, <c>${NAME}</c>) in it are replaced.</param>
/// <param name="Variables">As for a script.</param>
public sealed record PutFile(string FileSha256, string FileName, string Destination, ImmutableDictionary<string, string> Variables) : AgentOrder;

/// <summary>Lets the target ask DHCP on the interface that the node boots from, by the stack that its description names.</summary>
/// <param name="Mac">Of that interface.</param>
/// <remarks>Result value: <c>files</c>. An image without the stack, or that does not use it, is refused.</remarks>
public sealed record ConfigureNetwork(NetworkStack Stack, string Mac) : AgentOrder;

/// <summary>Writes small files of the target, rendered for this node; links in their place are followed inside the target only.</summary>
public sealed record WriteFiles(ImmutableArray<RenderedFile> Files) : AgentOrder;

/// <param name="Path">Absolute path in the deployed system.</param>
/// <param name="Mode">Permission bits.</param>
public sealed record RenderedFile(string Path, string Text, int Mode);

/// <summary>Installs the boot loader of the unpacked system for the firmware the node booted with, and writes its configuration.</summary>
public sealed record InstallBootloader(BootTarget Boot, DiskSelector Select, DiskLayout Layout) : AgentOrder;

/// <param name="Kernel">Path inside the image, as the description names it.</param>
/// <param name="Params">Kernel parameters without <c>root=</c>; the agent adds <c>root=UUID=…</c>.</param>
public sealed record BootTarget(string Kernel, string? Initrd, ImmutableArray<string> Params, BootLoader Loader = BootLoader.Auto);

/// <summary>Flushes the target (syncfs and fsync, checked), unmounts it, and checks that nothing is left mounted.</summary>
/// <param name="Unmount">False leaves it mounted, read-only.</param>
public sealed record SyncTarget(bool Unmount) : AgentOrder;

/// <summary>Loads kernel and initrd of the target for kexec, syncs, unmounts, answers, and then jumps.</summary>
/// <param name="Key">Opens an encrypted root at this one boot; it is handed over in memory only.</param>
public sealed record KexecTarget(BootTarget Boot, DiskSelector Select, DiskLayout Layout, FileSystemKind DeployFileSystem, DiskKey? Key = null) : AgentOrder;

/// <summary>Syncs, unmounts, answers, and then reboots through the firmware.</summary>
public sealed record RebootNode : AgentOrder;
