using System.Collections.Immutable;

namespace Ka.Core.Disks;

/// <summary>What RAID arrays, volume groups, encryption and kept partitions must fulfil.</summary>
static class StackRules
{
    public static void Check(DiskLayout layout, Action<string, string?> add)
    {
        var uses = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var array in layout.RaidArrays())
        {
            CheckArray(layout, array, uses, add);
        }
        foreach (var group in layout.VolumeGroups())
        {
            CheckGroup(layout, group, uses, add);
        }
        foreach (var part in layout.Everything())
        {
            CheckUse(part, uses.ContainsKey(part.Name), add);
        }
        CheckEncryption(layout, add);
    }

    static void CheckArray(DiskLayout layout, RaidArray array, Dictionary<string, string> uses, Action<string, string?> add)
    {
        var name = array.Content.Name;
        if (array.Level is not (0 or 1))
        {
            add($"The level of the array '{name}' must be 0 or 1.", $"{array.Level}");
        }
        if (array.Members.Length < 2)
        {
            add($"The array '{name}' needs two members at least.", $"{array.Members.Length}");
        }
        var partitions = layout.Disks().SelectMany(d => d.Partitions).ToArray();
        foreach (var member in array.Members)
        {
            var partition = partitions.FirstOrDefault(p => p.Name == member);
            if (partition is not { Type: PartitionType.LinuxRaid, Encrypted: false })
            {
                add($"A member of the array '{name}' must be a partition of type raid that is not encrypted itself.", member);
            }
            Take(member, name, uses, add);
        }
        DiskLayoutRules.CheckPartition(PartitionTableKind.Gpt, array.Content with { Bytes = null }, add);
    }

    static void CheckGroup(DiskLayout layout, VolumeGroup group, Dictionary<string, string> uses, Action<string, string?> add)
    {
        if (group.Name.Length is 0 or > DiskLayoutRules.NameLimit || !group.Name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '_' or '-') || group.Name[0] == '-')
        {
            add($"The name of a volume group has 1 to {DiskLayoutRules.NameLimit} characters of a-z, 0-9, '_' and '-'.", group.Name);
        }
        if (layout.VolumeGroups().Count(g => g.Name == group.Name) > 1)
        {
            add("Two volume groups have the same name.", group.Name);
        }
        if (group.Members.IsEmpty || group.Volumes.IsEmpty)
        {
            add($"The volume group '{group.Name}' needs a member and a volume at least.", null);
        }
        foreach (var member in group.Members)
        {
            var partition = layout.Disks().SelectMany(d => d.Partitions).FirstOrDefault(p => p.Name == member);
            if (partition is not { Type: PartitionType.LinuxLvm } && layout.RaidArrays().All(a => a.Content.Name != member))
            {
                add($"A member of the volume group '{group.Name}' must be a partition of type lvm or a RAID array.", member);
            }
            Take(member, group.Name, uses, add);
        }
        for (var i = 0; i < group.Volumes.Length; i++)
        {
            if (group.Volumes[i].Bytes is null && i != group.Volumes.Length - 1)
            {
                add($"Only the last volume of '{group.Name}' can take the rest.", group.Volumes[i].Name);
            }
            if (group.Volumes[i].Name is ['-', ..])
            {
                add("The name of a logical volume begins with no '-'.", group.Volumes[i].Name);
            }
            DiskLayoutRules.CheckPartition(PartitionTableKind.Gpt, group.Volumes[i], add);
        }
    }

    static void Take(string member, string user, Dictionary<string, string> uses, Action<string, string?> add)
    {
        if (!uses.TryAdd(member, user))
        {
            add($"Both '{uses[member]}' and '{user}' use this member.", member);
        }
    }

    static void CheckUse(PartitionSpec part, bool used, Action<string, string?> add)
    {
        if (used && (part.FileSystem != FileSystemKind.None || part.Deploy || part.MountPoint is not null))
        {
            add("What is a member of an array or of a volume group holds no file system of its own.", part.Name);
        }
        if (used && part.Keep)
        {
            add("A kept partition cannot be a member of an array or of a volume group.", part.Name);
        }
        if (part.Keep && (part.Deploy || part.Encrypted))
        {
            add("A kept partition is neither deployed to nor encrypted anew.", part.Name);
        }
        if (part is { Keep: true, Type: PartitionType.EfiSystem or PartitionType.BiosBoot })
        {
            add("The boot loader is written into this partition: it cannot be kept.", part.Name);
        }
        if (part is { Encrypted: true, Type: PartitionType.EfiSystem or PartitionType.BiosBoot })
        {
            add("Firmware and boot loader cannot read an encrypted partition.", part.Name);
        }
    }

    /// <summary>
    /// The key of a node is nowhere on its disks, so only what a person can open at the console may need it: the root with what
    /// lies below it. Kernel and initrd must be readable before that.
    /// </summary>
    static void CheckEncryption(DiskLayout layout, Action<string, string?> add)
    {
        if (!layout.IsEncrypted() || layout.Everything().Count(p => p.Deploy) != 1)
        {
            return;
        }
        var root = layout.Below(layout.Deploy()).Select(p => p.Name).ToImmutableHashSet(StringComparer.Ordinal);
        foreach (var part in layout.Everything().Where(p => p.Encrypted && !root.Contains(p.Name)))
        {
            add("Only the deploy partition, or what lies below it, can be encrypted: the key is not on the disk.", part.Name);
        }
        if (layout.Everything().FirstOrDefault(p => p.MountPoint == "/boot") is not { } boot || layout.Below(boot).Any(p => p.Encrypted))
        {
            add("An encrypted root needs a partition with the mount point /boot that is not encrypted.", null);
        }
    }
}
