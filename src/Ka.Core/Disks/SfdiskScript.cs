using System.Collections.Immutable;
using System.Text;
using Ka.Core.Faults;

namespace Ka.Core.Disks;

/// <summary>Where one partition lies.</summary>
/// <param name="Number">Its number in the table, from 1.</param>
/// <param name="Start">First byte on the disk.</param>
/// <param name="Bytes">Size in bytes.</param>
/// <param name="Kept">The entry that stays, or null for a new one.</param>
public sealed record PartitionPlace(PartitionSpec Partition, int Number, long Start, long Bytes, TableEntry? Kept = null);

/// <summary>Renders a layout to the script that <c>sfdisk</c> (util-linux) reads on its standard input.</summary>
public static class SfdiskScript
{
    const long MiB = DiskLayoutRules.MiB;

    /// <summary>MBR counts sectors in 32 bits; with 512-byte sectors that is 2 TiB.</summary>
    const long MbrReach = (1L << 32) * 512;

    /// <summary>Space kept free before the first partition: the table itself and GRUB's core on an MBR.</summary>
    public const long Head = MiB;

    /// <summary>Places the partitions of the first disk; see the other overload.</summary>
    /// <param name="faults">Every fault of the layout, or <c>disk.too_small</c>; empty on success.</param>
    public static bool TryPlace(DiskLayout layout, long diskBytes, out ImmutableArray<PartitionPlace> places, out ImmutableArray<Fault> faults)
    {
        places = [];
        faults = DiskLayoutRules.Check(layout);
        if (!faults.IsEmpty)
        {
            return false;
        }
        var placed = TryPlace(layout.Table, layout.Partitions, diskBytes, ImmutableDictionary<string, TableEntry>.Empty, out places, out var fault);
        faults = fault is null ? [] : [fault];
        return placed;
    }

    /// <summary>
    /// Places the partitions of one disk one after another from 1 MiB on, aligned to 1 MiB, so that the same layout gives the same
    /// table everywhere. Kept ones stay where they are, and the others lie between them in the layout's order.
    /// </summary>
    /// <param name="diskBytes">Size of the disk in bytes.</param>
    /// <param name="kept">Where the kept ones are; one that is missing here counts as 1 MiB.</param>
    /// <param name="fault"><c>disk.too_small</c>, or <c>disk.not_as_kept</c> when the kept ones leave no room.</param>
    public static bool TryPlace(
        PartitionTableKind table, ImmutableArray<PartitionSpec> partitions, long diskBytes, ImmutableDictionary<string, TableEntry> kept,
        out ImmutableArray<PartitionPlace> places, out Fault? fault)
    {
        places = [];
        fault = null;
        var end = End(table, diskBytes);
        var needed = Head + partitions.Sum(p => p.Bytes ?? MiB);
        if (kept.IsEmpty && needed > end)
        {
            fault = Fault.Of(FaultCodes.DiskTooSmall, "The layout does not fit on the disk.", $"needs {needed / MiB} MiB, usable {Math.Max(0, end) / MiB} MiB of {diskBytes} bytes");
            return false;
        }
        var start = Head;
        var placed = ImmutableArray.CreateBuilder<PartitionPlace>();
        for (var i = 0; i < partitions.Length; i++)
        {
            var partition = partitions[i];
            var entry = kept.GetValueOrDefault(partition.Name);
            // what the next kept partition, or the end of the disk, leaves
            var next = partitions.Skip(i + 1).Select(p => kept.GetValueOrDefault(p.Name)).FirstOrDefault(e => e is not null);
            var limit = next is null ? end : next.Start / MiB * MiB;
            var bytes = entry?.Bytes ?? partition.Bytes ?? limit - start;
            if (entry is null ? bytes < MiB || start + bytes > limit : placed.Count > 0 && entry.Start < placed[^1].Start + placed[^1].Bytes)
            {
                fault = Crowded(partition, start, bytes, limit, next is null);
                return false;
            }
            placed.Add(new PartitionPlace(partition, placed.Count + 1, entry?.Start ?? start, bytes, entry));
            start = entry is null ? start + bytes : (entry.Start + bytes + MiB - 1) / MiB * MiB;
        }
        places = placed.ToImmutable();
        return true;
    }

    static Fault Crowded(PartitionSpec partition, long start, long bytes, long limit, bool atEnd) => Fault.Of(
        atEnd ? FaultCodes.DiskTooSmall : FaultCodes.DiskNotAsKept,
        $"There is no room for partition '{partition.Name}' {(atEnd ? "before the end of the disk" : "before the next kept partition")}; nothing was erased.",
        $"from {start / MiB} MiB, {bytes / MiB} MiB wanted, up to {limit / MiB} MiB free");

    /// <summary>Renders the first disk with explicit starts and sizes.</summary>
    /// <param name="diskBytes">Size of the disk in bytes.</param>
    /// <param name="faults">As of <see cref="TryPlace(DiskLayout, long, out ImmutableArray{PartitionPlace}, out ImmutableArray{Fault})"/>.</param>
    public static bool TryRender(DiskLayout layout, long diskBytes, out string script, out ImmutableArray<Fault> faults)
    {
        script = TryPlace(layout, diskBytes, out var places, out faults) ? Render(layout.Table, places, null) : "";
        return faults.IsEmpty;
    }

    /// <param name="existing">The table that is rewritten around its kept partitions, or null for a new one.</param>
    public static string Render(PartitionTableKind table, ImmutableArray<PartitionPlace> places, ExistingTable? existing)
    {
        var text = new StringBuilder();
        text.Append("label: ").Append(table switch { PartitionTableKind.Gpt => "gpt", PartitionTableKind.Mbr => "dos" }).Append('\n');
        if (existing?.Id is { } id)
        {
            text.Append("label-id: ").Append(id).Append('\n');
        }
        foreach (var (partition, _, start, bytes, kept) in places)
        {
            // a kept partition may begin at any sector
            text.Append(kept is null
                ? $"start={start / MiB}MiB, size={bytes / MiB}MiB, type={TypeCode(table, partition.Type)}"
                : $"start={start / existing!.SectorBytes}, size={bytes / existing.SectorBytes}, type={kept.Type}");
            if (table == PartitionTableKind.Gpt)
            {
                text.Append(", name=").Append(Quote(partition.Name));
                text.Append(kept?.Uuid is { } uuid ? $", uuid={uuid}" : "");
                text.Append(kept?.Attributes is { } attributes ? $", attrs={Quote(attributes)}" : "");
            }
            else if (partition.Deploy)
            {
                text.Append(", bootable"); // some BIOSes boot no disk without an active partition
            }
            text.Append('\n');
        }
        return text.ToString();
    }

    /// <summary>The type as sfdisk writes it: GUIDs of the Discoverable Partitions and UEFI specifications, or MBR type bytes in hex.</summary>
    public static string TypeCode(PartitionTableKind table, PartitionType type) => (table, type) switch
    {
        (PartitionTableKind.Gpt, PartitionType.Linux) => "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        (PartitionTableKind.Gpt, PartitionType.LinuxSwap) => "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
        (PartitionTableKind.Gpt, PartitionType.EfiSystem) => "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
        (PartitionTableKind.Gpt, PartitionType.BiosBoot) => "21686148-6449-6E6F-744E-656564454649",
        (PartitionTableKind.Gpt, PartitionType.LinuxLvm) => "E6D6D379-F507-44C2-A23C-238F2A3DF928",
        (PartitionTableKind.Gpt, PartitionType.LinuxRaid) => "A19D880F-05FC-4D3B-A006-743F0F84911E",
        (PartitionTableKind.Gpt, PartitionType.MicrosoftBasicData) => "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
        (PartitionTableKind.Mbr, PartitionType.Linux) => "83",
        (PartitionTableKind.Mbr, PartitionType.LinuxSwap) => "82",
        (PartitionTableKind.Mbr, PartitionType.EfiSystem) => "ef",
        (PartitionTableKind.Mbr, PartitionType.BiosBoot) => "da",
        (PartitionTableKind.Mbr, PartitionType.LinuxLvm) => "8e",
        (PartitionTableKind.Mbr, PartitionType.LinuxRaid) => "fd",
        (PartitionTableKind.Mbr, PartitionType.MicrosoftBasicData) => "c",
    };

    /// <summary>End of the usable space in bytes: GPT keeps a second table in the last MiB, MBR reaches no further than 2 TiB.</summary>
    static long End(PartitionTableKind table, long diskBytes) => table switch
    {
        PartitionTableKind.Gpt => (diskBytes / MiB * MiB) - MiB,
        PartitionTableKind.Mbr => Math.Min(diskBytes / MiB * MiB, MbrReach),
    };

    /// <summary>Quotes as sfdisk's own dump does: double quotes, with everything but plain characters as <c>\xNN</c>.</summary>
    public static string Quote(string value)
    {
        var quoted = new StringBuilder("\"");
        foreach (var b in Encoding.UTF8.GetBytes(value))
        {
            var plain = char.IsAsciiLetterOrDigit((char)b) || (char)b is '_' or '-' or '.' or ' ';
            quoted.Append(plain ? ((char)b).ToString() : $"\\x{b:x2}");
        }
        return quoted.Append('"').ToString();
    }
}
