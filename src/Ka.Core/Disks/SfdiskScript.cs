using System.Collections.Immutable;
using System.Text;
using Ka.Core.Faults;

namespace Ka.Core.Disks;

/// <summary>Where one partition lies.</summary>
/// <param name="Number">Its number in the table, from 1.</param>
/// <param name="Start">First byte on the disk.</param>
/// <param name="Bytes">Size in bytes.</param>
public sealed record PartitionPlace(PartitionSpec Partition, int Number, long Start, long Bytes);

/// <summary>Renders a layout to the script that <c>sfdisk</c> (util-linux) reads on its standard input.</summary>
public static class SfdiskScript
{
    const long MiB = DiskLayoutRules.MiB;

    /// <summary>MBR counts sectors in 32 bits; with 512-byte sectors that is 2 TiB.</summary>
    const long MbrReach = (1L << 32) * 512;

    /// <summary>Space kept free before the first partition: the table itself and GRUB's core on an MBR.</summary>
    public const long Head = MiB;

    /// <summary>Places the partitions one after another from 1 MiB on, aligned to 1 MiB, so that the same layout gives the same table everywhere.</summary>
    /// <param name="diskBytes">Size of the disk in bytes.</param>
    /// <param name="faults">Every fault of the layout, or <c>disk.too_small</c>; empty on success.</param>
    public static bool TryPlace(DiskLayout layout, long diskBytes, out ImmutableArray<PartitionPlace> places, out ImmutableArray<Fault> faults)
    {
        places = [];
        faults = DiskLayoutRules.Check(layout);
        if (!faults.IsEmpty)
        {
            return false;
        }
        var end = End(layout.Table, diskBytes);
        var needed = Head + layout.Partitions.Sum(p => p.Bytes ?? MiB);
        if (needed > end)
        {
            faults = [Fault.Of(FaultCodes.DiskTooSmall, "The layout does not fit on the disk.", $"needs {needed / MiB} MiB, usable {Math.Max(0, end) / MiB} MiB of {diskBytes} bytes")];
            return false;
        }
        var start = Head;
        var placed = ImmutableArray.CreateBuilder<PartitionPlace>();
        foreach (var partition in layout.Partitions)
        {
            var bytes = partition.Bytes ?? end - start;
            placed.Add(new PartitionPlace(partition, placed.Count + 1, start, bytes));
            start += bytes;
        }
        places = placed.ToImmutable();
        return true;
    }

    /// <summary>Renders with explicit starts and sizes.</summary>
    /// <param name="diskBytes">Size of the disk in bytes.</param>
    /// <param name="faults">As of <see cref="TryPlace"/>.</param>
    public static bool TryRender(DiskLayout layout, long diskBytes, out string script, out ImmutableArray<Fault> faults)
    {
        script = "";
        if (!TryPlace(layout, diskBytes, out var places, out faults))
        {
            return false;
        }
        var text = new StringBuilder();
        text.Append("label: ").Append(layout.Table switch { PartitionTableKind.Gpt => "gpt", PartitionTableKind.Mbr => "dos" }).Append('\n');
        foreach (var (partition, _, start, bytes) in places)
        {
            text.Append($"start={start / MiB}MiB, size={bytes / MiB}MiB, type={TypeCode(layout.Table, partition.Type)}");
            if (layout.Table == PartitionTableKind.Gpt)
            {
                text.Append(", name=").Append(Quote(partition.Name));
            }
            else if (partition.Deploy)
            {
                text.Append(", bootable"); // some BIOSes boot no disk without an active partition
            }
            text.Append('\n');
        }
        script = text.ToString();
        return true;
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
