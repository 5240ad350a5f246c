using System.Collections.Immutable;
using Ka.Core.Faults;

namespace Ka.Core.Disks;

/// <summary>One entry of the table that a disk has now.</summary>
/// <param name="Name">GPT partition name; null in an MBR.</param>
/// <param name="Type">As sfdisk writes it.</param>
/// <param name="Uuid">GPT partition UUID; null in an MBR.</param>
/// <param name="Attributes">GPT attributes as sfdisk writes them, or null.</param>
public sealed record TableEntry(int Number, long Start, long Bytes, string Type, string? Name = null, string? Uuid = null, string? Attributes = null);

/// <summary>The table that a disk has now.</summary>
/// <param name="Label">As sfdisk names it: <c>gpt</c>, <c>dos</c>.</param>
/// <param name="Id">The table's own identifier, kept with its partitions.</param>
/// <param name="SectorBytes">What its places are counted in.</param>
public sealed record ExistingTable(string Label, string? Id, ImmutableArray<TableEntry> Entries, int SectorBytes = 512);

/// <summary>Finds what a layout keeps in the table of the disk.</summary>
public static class KeptPartitions
{
    /// <summary>The entry of each kept partition, by its name; a GPT's must also bear that name.</summary>
    /// <param name="fault"><c>disk.not_as_kept</c> with all that differs; nothing was changed.</param>
    public static bool TryMatch(
        PartitionTableKind table, ImmutableArray<PartitionSpec> partitions, ExistingTable? existing, out ImmutableDictionary<string, TableEntry> kept, out Fault? fault)
    {
        var found = ImmutableDictionary.CreateBuilder<string, TableEntry>(StringComparer.Ordinal);
        var differs = new List<string>();
        for (var i = 0; i < partitions.Length; i++)
        {
            if (!partitions[i].Keep)
            {
                continue;
            }
            var entry = existing?.Entries.FirstOrDefault(e => e.Number == i + 1);
            if (Against(table, partitions[i], i + 1, existing, entry) is { } reason)
            {
                differs.Add(reason);
            }
            else
            {
                found[partitions[i].Name] = entry!;
            }
        }
        kept = found.ToImmutable();
        fault = differs.Count == 0 ? null : Fault.Of(
            FaultCodes.DiskNotAsKept, "The disk does not hold the partitions that the layout keeps; nothing was erased.", string.Join('\n', differs));
        return fault is null;
    }

    static string? Against(PartitionTableKind table, PartitionSpec spec, int number, ExistingTable? existing, TableEntry? entry)
    {
        var label = table switch { PartitionTableKind.Gpt => "gpt", PartitionTableKind.Mbr => "dos" };
        if (existing is null)
        {
            return $"'{spec.Name}': the disk has no partition table";
        }
        if (existing.Label != label)
        {
            return $"'{spec.Name}': the table is {existing.Label}, the layout wants {label}";
        }
        if (entry is null)
        {
            return $"'{spec.Name}': there is no partition {number}";
        }
        if (table == PartitionTableKind.Gpt && entry.Name != spec.Name)
        {
            return $"'{spec.Name}': partition {number} is named '{entry.Name}'";
        }
        return spec.Bytes is { } bytes && bytes != entry.Bytes ? $"'{spec.Name}': partition {number} has {entry.Bytes} bytes, the layout says {bytes}" : null;
    }
}
