using System.Collections.Immutable;

namespace Ka.Core.Disks;

/// <summary>How a disk is divided: GPT (UEFI specification, chapter 5) or MBR.</summary>
public enum PartitionTableKind
{
    Gpt,
    Mbr,
}

/// <summary>What a partition is for; rendered to the type code of the table in use.</summary>
public enum PartitionType
{
    Linux,
    LinuxSwap,
    EfiSystem,
    BiosBoot,
    LinuxLvm,
    LinuxRaid,
    MicrosoftBasicData,
}

/// <summary>The file systems that the minimal environment can make.</summary>
public enum FileSystemKind
{
    None,
    Ext4,
    Xfs,
    Btrfs,
    Vfat,
    Swap,
}

/// <summary>One partition of a layout, in the order of the table; or what lies on a RAID array or logical volume, which have no type and no number.</summary>
/// <param name="Name">GPT partition name and default label, 1–16 characters of <c>[a-z0-9_-]</c>; unique in the layout.</param>
/// <param name="Bytes">
/// Size in bytes, a multiple of 1 MiB; null means the rest: of the disk (last, or just before a kept partition), of the volume group
/// (last); of a kept partition, the size that it has.
/// </param>
/// <param name="Deploy">The one that receives the image; exactly one in a layout.</param>
/// <param name="Number">Its number in the table when that is not its place in the list: tables of images have gaps.</param>
/// <param name="MountPoint">Where the deployed system mounts it (<c>/boot/efi</c>, <c>/home</c>); null for none. The deploy partition is <c>/</c>.</param>
/// <param name="Keep">It is on the disk already and stays: its bytes, its place and its number.</param>
/// <param name="Encrypted">LUKS2 with the node's own key lies between it and what it holds.</param>
public sealed record PartitionSpec(
    string Name,
    long? Bytes,
    PartitionType Type,
    FileSystemKind FileSystem,
    string? Label = null,
    bool Deploy = false,
    string? MountPoint = null,
    ImmutableArray<string>? FormatOptions = null,
    bool Keep = false,
    bool Encrypted = false,
    int? Number = null);

/// <summary>A software RAID array (md) over partitions, of several disks as a rule.</summary>
/// <param name="Level">0 (stripes) or 1 (mirrors).</param>
/// <param name="Members">Names of partitions of type <c>raid</c>, two at least.</param>
/// <param name="Content">Its name, and what lies on it; its size follows from its members.</param>
public sealed record RaidArray(int Level, ImmutableArray<string> Members, PartitionSpec Content);

/// <summary>An LVM volume group.</summary>
/// <param name="Members">Names of partitions of type <c>lvm</c> and of arrays that hold nothing else.</param>
/// <param name="Volumes">Its logical volumes, in order.</param>
public sealed record VolumeGroup(string Name, ImmutableArray<string> Members, ImmutableArray<PartitionSpec> Volumes);

/// <summary>A disk of a layout besides the first.</summary>
public sealed record FurtherDisk(DiskSelector Select, PartitionTableKind Table, ImmutableArray<PartitionSpec> Partitions);

/// <summary>A declarative disk layout.</summary>
/// <param name="Table">Of the first disk, the one that boots.</param>
/// <param name="Partitions">Of the first disk.</param>
public sealed record DiskLayout(
    PartitionTableKind Table,
    ImmutableArray<PartitionSpec> Partitions,
    ImmutableArray<FurtherDisk>? MoreDisks = null,
    ImmutableArray<RaidArray>? Arrays = null,
    ImmutableArray<VolumeGroup>? Groups = null);

/// <summary>Which disk of a node is the target. All given conditions must hold; the first match in stable order (bus path) is taken.</summary>
/// <param name="Path">A stable path such as <c>/dev/disk/by-path/…</c>, <c>/dev/disk/by-id/…</c>, or a plain device.</param>
/// <param name="Bus"><c>nvme</c>, <c>sata</c>, <c>scsi</c>, <c>virtio</c>, <c>mmc</c>, <c>usb</c>.</param>
/// <param name="MinBytes">Smallest size in bytes.</param>
/// <param name="MaxBytes">Largest size in bytes.</param>
public sealed record DiskSelector(string? Path = null, string? Bus = null, long? MinBytes = null, long? MaxBytes = null, string? Serial = null, string? Model = null);
