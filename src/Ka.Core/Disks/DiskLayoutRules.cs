using System.Collections.Immutable;
using Ka.Core.Faults;

namespace Ka.Core.Disks;

/// <summary>What a layout must fulfil before it may touch a disk.</summary>
public static class DiskLayoutRules
{
    public const long MiB = 1024 * 1024;

    /// <summary>GPT as sfdisk makes it holds 128 entries.</summary>
    public const int GptLimit = 128;

    /// <summary>Primary partitions of an MBR.</summary>
    public const int MbrLimit = 4;

    /// <summary>Longest GPT name that Ka takes, in characters.</summary>
    public const int NameLimit = 16;

    /// <summary>All faults of a layout at once (<c>config.invalid</c>); empty when it is sound.</summary>
    public static ImmutableArray<Fault> Check(DiskLayout layout)
    {
        var faults = ImmutableArray.CreateBuilder<Fault>();
        void Add(string message, string? value = null) => faults.Add(Fault.Of(FaultCodes.ConfigInvalid, message, Cut(value)));

        CheckTables(layout, Add);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var mounts = new HashSet<string>(StringComparer.Ordinal);
        foreach (var partition in layout.Everything())
        {
            if (!seen.Add(partition.Name))
            {
                Add("Two partitions have the same name.", partition.Name);
            }
            if (partition.MountPoint is { } mount && !mounts.Add(mount))
            {
                Add("Two partitions have the same mount point.", mount);
            }
        }
        foreach (var (table, partitions) in layout.Disks())
        {
            for (var i = 0; i < partitions.Length; i++)
            {
                if (partitions[i] is { Bytes: null, Keep: false } rest && i != partitions.Length - 1 && !partitions[i + 1].Keep)
                {
                    Add("Only the last partition can take the rest of the disk.", rest.Name);
                }
                CheckPartition(table, partitions[i], Add);
            }
        }
        StackRules.Check(layout, Add);
        return faults.ToImmutable();
    }

    /// <summary>Bytes of a label that a file system can hold.</summary>
    public static int LabelLimit(FileSystemKind kind) => kind switch
    {
        FileSystemKind.None => 0,
        FileSystemKind.Ext4 => 16,
        FileSystemKind.Xfs => 12,
        FileSystemKind.Btrfs => 255,
        FileSystemKind.Vfat => 11,
        FileSystemKind.Swap => 15,
    };

    /// <summary>The label a partition gets: its own, or its name cut to what the file system holds.</summary>
    public static string LabelOf(PartitionSpec partition, FileSystemKind kind)
    {
        var label = partition.Label ?? partition.Name;
        return label.Length <= LabelLimit(kind) ? label : label[..LabelLimit(kind)];
    }

    static void CheckTables(DiskLayout layout, Action<string, string?> add)
    {
        var deploy = layout.Everything().Count(p => p.Deploy);
        if (deploy != 1)
        {
            add("Exactly one partition must be marked as the deploy partition.", $"{deploy} are");
        }
        foreach (var (table, partitions) in layout.Disks())
        {
            if (partitions.Length == 0)
            {
                add("The layout has no partition.", null);
            }
            var limit = table switch { PartitionTableKind.Gpt => GptLimit, PartitionTableKind.Mbr => MbrLimit };
            if (partitions.Length > limit)
            {
                add($"A table of this kind holds at most {limit} partitions.", $"{partitions.Length}");
            }
        }
    }

    internal static void CheckPartition(PartitionTableKind table, PartitionSpec partition, Action<string, string?> add)
    {
        var name = partition.Name;
        if (name.Length is 0 or > NameLimit || !name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '_' or '-'))
        {
            add($"A partition name has 1 to {NameLimit} characters of a-z, 0-9, '_' and '-'.", name);
        }
        if (partition.Bytes is { } size && (size <= 0 || size % MiB != 0))
        {
            add($"The size of '{Cut(name)}' must be a positive multiple of 1 MiB.", $"{partition.Bytes}");
        }
        if (partition.Label is { } label && !IsLabel(label, partition.FileSystem))
        {
            add($"The label of '{Cut(name)}' must have 1 to {LabelLimit(partition.FileSystem)} characters of A-Z, a-z, 0-9, '.', '_' and '-'.", label);
        }
        if (partition.MountPoint is { } mount && !IsMountPoint(mount, partition.Deploy))
        {
            add($"The mount point of '{Cut(name)}' must be an absolute path without '.', '..', blanks or control characters.", mount);
        }
        if (partition.Deploy && partition.FileSystem == FileSystemKind.Swap)
        {
            add("The deploy partition cannot be swap.", name);
        }
        if (partition.Type == PartitionType.BiosBoot && (table == PartitionTableKind.Mbr || partition.FileSystem != FileSystemKind.None))
        {
            add("A bios-boot partition exists only in a GPT and holds no file system.", name);
        }
    }

    static bool IsLabel(string label, FileSystemKind kind) =>
        label.Length > 0 && (kind == FileSystemKind.None || label.Length <= LabelLimit(kind))
        && label[0] != '-' && label.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    static bool IsMountPoint(string path, bool deploy) =>
        path == "/" ? deploy : !deploy && path.StartsWith('/') && !path.EndsWith('/')
        && path.All(c => c is > ' ' and < (char)127 and not '\\' and not '#')
        && path.Split('/').Skip(1).All(part => part.Length > 0 && part is not "." and not "..");

    static string? Cut(string? value) => value is { Length: > 80 } ? value[..80] + "…" : value;
}
