using System.Collections.Immutable;
using Ka.Core.Disks;
using Ka.Core.Environments;

namespace Ka.Protocol.Agents;

/// <summary>Where the bytes of a disk image go, or which partition an archive is unpacked into.</summary>
/// <param name="Layout">Null when the whole disk is written.</param>
/// <param name="Partition">Name in the layout; null for the deploy partition.</param>
/// <param name="Bytes">Size of the uncompressed image: more or less is a fault, and a smaller place is refused before a byte changes. 0 for an archive.</param>
/// <param name="SectorBytes">Sectors that the image's own partition table counts in; 0 without one.</param>
public sealed record ImagePlace(DiskSelector Select, DiskLayout? Layout, string? Partition, long Bytes, int SectorBytes = 0);

/// <summary>Reads blocks of a written image back from the disk, past every cache, and compares their SHA-256.</summary>
/// <param name="Hashes">The digests of all blocks one after another (<see cref="BlockHashes"/>), in base 64.</param>
/// <remarks>Result values: <c>blocks</c> (how many were compared).</remarks>
public sealed record VerifyWritten(ImagePlace Place, string Hashes, VerifyMode Mode) : AgentOrder;

/// <summary>
/// Gives the last partition of a written disk image the rest of the disk and grows its file system; a GPT's second header moves to the end.
/// </summary>
/// <remarks>Result values: <c>grown</c> (the partition), <c>bytes</c> (its new size).</remarks>
public sealed record GrowImage(ImagePlace Place) : AgentOrder;

/// <summary>Leaves cloud-init its data (NoCloud): in the root file system, or on a small partition <c>cidata</c> when that cannot be mounted.</summary>
/// <param name="Files">Name to content: <c>user-data</c>, <c>meta-data</c>, <c>network-config</c>.</param>
/// <param name="OnPartition">A partition is made at the end of the disk.</param>
public sealed record SeedCloudInit(DiskSelector Select, ImmutableDictionary<string, string> Files, bool OnPartition) : AgentOrder;
