using System.Text.RegularExpressions;

namespace Ka.Lab;

/// <summary>What a virtual machine starts with.</summary>
public enum Firmware
{
    Bios,
    Uefi,

    /// <summary>UEFI that starts only what Microsoft's keys vouch for.</summary>
    UefiSecure,
}

/// <summary>One virtual node: everything about it follows from its number (from 1) and its firmware.</summary>
public sealed record Machine(int Number, Firmware Firmware)
{
    /// <summary>Addresses 10.77.0.101 and up, below the broadcast address.</summary>
    public const int MostMachines = 150;

    public string Name => $"node{Number}";
    public string Mac => $"52:54:00:77:00:{Number:x2}";
    public string Address => $"10.77.0.{100 + Number}";
    public string BmcAddress => $"127.0.1.{Number}";
    public string Tap => $"tap{Number}";
    public bool IsUefi => Firmware != Firmware.Bios;
}

/// <summary>How a disk is connected.</summary>
public enum DiskKind
{
    Virtio,
    Nvme,
    Sata,
    Scsi,
}

/// <summary>One disk that was asked for.</summary>
/// <param name="Node">Name of the only node that gets it, or null for all.</param>
public sealed record DiskWish(string? Node, DiskKind Kind, long Bytes);

/// <summary>What a lab was made with; lives in STATE/lab.json.</summary>
/// <param name="Accelerator">"kvm" or "tcg", found by trying.</param>
/// <param name="Disks">Disks other than one of <paramref name="DiskBytes"/> on virtio for each node.</param>
public sealed record LabFacts(
    string Name, IReadOnlyList<Machine> Machines, int MemoryMiB, long DiskBytes, string Accelerator, string Minimal, IReadOnlyList<DiskWish>? Disks = null)
{
    /// <summary>Of each node.</summary>
    public int Processors { get; init; } = 1;

    /// <summary>The disks of a node, the one it boots from first: those asked for it alone, else those for all, else the usual one.</summary>
    public IReadOnlyList<DiskWish> DisksOf(Machine machine)
    {
        var wishes = Disks ?? [];
        var own = wishes.Where(wish => wish.Node == machine.Name).ToList();
        var general = wishes.Where(wish => wish.Node is null).ToList();
        return own.Count > 0 ? own : general.Count > 0 ? general : [new DiskWish(null, DiskKind.Virtio, DiskBytes)];
    }

    public Machine Find(string node) =>
        Machines.FirstOrDefault(machine => machine.Name == node || $"{machine.Number}" == node)
        ?? throw new LabException($"The lab '{Name}' has no node '{node}'; it has node1 to node{Machines.Count}.", 2);

    /// <summary>The firmware of each node: all the same, or (mixed) the first half BIOS and the second half UEFI.</summary>
    public static IReadOnlyList<Machine> Plan(int count, string firmware) =>
        [.. Enumerable.Range(1, count).Select(number => new Machine(number, firmware switch
        {
            "bios" => Firmware.Bios,
            "uefi" => Firmware.Uefi,
            "uefi-secure" => Firmware.UefiSecure,
            _ => number <= (count + 1) / 2 ? Firmware.Bios : Firmware.Uefi,
        }))];
}

/// <summary>What may be wrong with a node on purpose; each lasts until it is mended.</summary>
public enum Breakage
{
    /// <summary>The network cable is out.</summary>
    Cable,

    /// <summary>The processor stands still, also after a power cycle.</summary>
    Hang,

    /// <summary>No power, and the BMC cannot give it any.</summary>
    Off,

    /// <summary>From the next power-on the disk is far too small (64 MiB).</summary>
    DiskFull,

    /// <summary>10 Mbit/s towards the node and 2 MB/s onto its disk.</summary>
    Slow,
}

/// <summary>How names, sizes and firmware are written in the lab's commands and files.</summary>
public static partial class Spelling
{
    public static string Of(Breakage breakage) => breakage switch
    {
        Breakage.Cable => "cable",
        Breakage.Hang => "hang",
        Breakage.Off => "off",
        Breakage.DiskFull => "disk-full",
        Breakage.Slow => "slow",
    };

    public static string Of(Firmware firmware) => firmware switch
    {
        Firmware.Bios => "bios",
        Firmware.Uefi => "uefi",
        Firmware.UefiSecure => "uefi-secure",
    };

    public static bool TryBreakage(string text, out Breakage breakage)
    {
        foreach (var known in Enum.GetValues<Breakage>())
        {
            breakage = known;
            if (Of(known) == text)
                return true;
        }

        breakage = default;
        return false;
    }

    /// <summary>Bytes from "3G", "512M", "1GiB" or a plain number; powers of 1024.</summary>
    public static bool TrySize(string text, out long bytes)
    {
        bytes = 0;
        var match = SizePattern().Match(text);
        if (!match.Success || !long.TryParse(match.Groups[1].ValueSpan, out var number))
            return false;
        var shift = match.Groups[2].Value.ToUpperInvariant() switch { "" => 0, "K" => 10, "M" => 20, "G" => 30, _ => 40 };
        if (number <= 0 || number > long.MaxValue >> shift)
            return false;
        bytes = number << shift;
        return true;
    }

    public static string Of(DiskKind kind) => kind switch
    {
        DiskKind.Virtio => "virtio",
        DiskKind.Nvme => "nvme",
        DiskKind.Sata => "sata",
        DiskKind.Scsi => "scsi",
    };

    /// <summary>A disk from <c>[NODE=][KIND:]SIZE</c>.</summary>
    public static bool TryDisk(string text, out DiskWish wish)
    {
        wish = new DiskWish(null, DiskKind.Virtio, 0);
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        var node = equals < 0 ? null : text[..equals];
        var rest = text[(equals + 1)..];
        var colon = rest.IndexOf(':', StringComparison.Ordinal);
        var word = colon < 0 ? "virtio" : rest[..colon];
        foreach (var kind in Enum.GetValues<DiskKind>())
        {
            if (Of(kind) == word && TrySize(rest[(colon + 1)..], out var bytes) && bytes >= 1 << 20 && node is not "")
            {
                wish = new DiskWish(node, kind, bytes);
                return true;
            }
        }

        return false;
    }

    [GeneratedRegex(@"\A([0-9]{1,18})(?:([KMGTkmgt])(?:iB)?)?\z")]
    private static partial Regex SizePattern();
}
