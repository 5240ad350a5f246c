using System.Collections.Immutable;
using System.Text;
using System.Text.RegularExpressions;
using Ka.Core.Disks;

namespace Ka.Agent.Machine;

/// <summary>A disk as <c>/sys/block</c> shows it.</summary>
sealed record ScannedDisk(DiskFacts Facts, bool Rotational);

/// <summary>Finds the disks of the machine without udev: names, buses and stable paths come from sysfs.</summary>
static partial class DiskScan
{
    const int SectorBytes = 512; // sysfs counts in these, whatever the disk's own sectors are

    static readonly ImmutableArray<string> Never = ["ram", "zram", "dm-", "md", "sr", "fd", "nbd"];

    public static ImmutableArray<ScannedDisk> Read(AgentPaths paths)
    {
        var root = Path.Combine(paths.Sys, "block");
        if (!Directory.Exists(root))
        {
            return [];
        }
        return
        [
            .. Directory.EnumerateFileSystemEntries(root)
                .Select(Path.GetFileName)
                .OfType<string>()
                .Where(name => !Never.Any(n => name.StartsWith(n, StringComparison.Ordinal)) && !BootArea().IsMatch(name))
                .Select(name => Scan(root, name))
                .OfType<ScannedDisk>()
                .OrderBy(d => d.Facts.Name, NaturalOrder.Comparer),
        ];
    }

    /// <summary>The disks with the selector's own path resolved, should it be a link that somebody made.</summary>
    public static ImmutableArray<DiskFacts> For(AgentPaths paths, DiskSelector selector)
    {
        var disks = Read(paths).Select(d => d.Facts);
        if (selector.Path is { } path && File.Exists(path) && File.ResolveLinkTarget(path, returnFinalTarget: true) is { } real)
        {
            disks = disks.Select(d => d.Name == real.Name ? d with { Links = [.. d.Links ?? [], path] } : d);
        }
        return [.. disks];
    }

    static ScannedDisk? Scan(string root, string name)
    {
        var entry = Path.Combine(root, name);
        var bytes = long.TryParse(Text(entry, "size"), out var sectors) ? sectors * SectorBytes : 0;
        if (bytes <= 0)
        {
            return null; // no medium, or a loop device without file
        }
        var device = RealPath(root, entry);
        var bus = Bus(name, device);
        var model = Text(entry, "device/model") ?? Text(entry, "device/name");
        var serial = Text(entry, "serial") ?? Text(entry, "device/serial") ?? PageSerial(entry);
        var stable = PathId(device, bus) is { } id ? "/dev/disk/by-path/" + id : null;
        var facts = new DiskFacts(name, stable, bus, bytes, model, serial, ByIdLinks(bus, model, serial));
        return new ScannedDisk(facts, Text(entry, "queue/rotational") == "1");
    }

    /// <summary>The bus, told from the kernel's name and the device's place in the tree.</summary>
    internal static string Bus(string name, string device) =>
        name.StartsWith("nvme", StringComparison.Ordinal) ? "nvme"
        : name.StartsWith("vd", StringComparison.Ordinal) ? "virtio"
        : name.StartsWith("mmc", StringComparison.Ordinal) ? "mmc"
        : name.StartsWith("loop", StringComparison.Ordinal) ? "loop"
        : UsbPort().IsMatch(device) ? "usb"
        : AtaPort().IsMatch(device) ? "sata"
        : ScsiAddress().IsMatch(device) ? "scsi"
        : "other";

    /// <summary>The name that udev's <c>path_id</c> gives to disks on PCI buses; null where Ka does not know how.</summary>
    internal static string? PathId(string device, string bus)
    {
        var pci = PciAddress().Matches(device);
        if (pci.Count == 0)
        {
            return null;
        }
        var prefix = "pci-" + pci[^1].Groups[1].Value;
        switch (bus)
        {
            case "virtio":
                return prefix;
            case "nvme":
                return NvmeNamespace().Match(device) is { Success: true } nvme ? $"{prefix}-nvme-{nvme.Groups[1].Value}" : null;
            case "sata":
                // udev counts the ports of one controller from 1; the lowest of its ataN is port 1, which the tree alone does not tell.
                return AtaPort().Match(device) is { Success: true } ata ? $"{prefix}-ata-{ata.Groups[1].Value}" : null;
            case "scsi":
                return ScsiAddress().Match(device) is { Success: true } scsi ? $"{prefix}-scsi-0:{scsi.Groups[1].Value}" : null;
            default:
                return null;
        }
    }

    static ImmutableArray<string> ByIdLinks(string bus, string? model, string? serial)
    {
        if (serial is null)
        {
            return [];
        }
        var (m, s) = (model?.Replace(' ', '_'), serial.Replace(' ', '_'));
        return bus switch
        {
            "virtio" => [$"/dev/disk/by-id/virtio-{s}"],
            "nvme" when m is not null => [$"/dev/disk/by-id/nvme-{m}_{s}"],
            "sata" when m is not null => [$"/dev/disk/by-id/ata-{m}_{s}"],
            _ => [],
        };
    }

    static string RealPath(string root, string entry)
    {
        var link = new DirectoryInfo(entry).LinkTarget;
        return link is null ? entry : Path.GetFullPath(Path.Combine(root, link));
    }

    internal static string? Text(string directory, string file)
    {
        try
        {
            var text = File.ReadAllText(Path.Combine(directory, file)).Trim(' ', '\n', '\0');
            return text.Length == 0 ? null : text;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>SCSI vital product data, page 0x80: four bytes of header, then the serial.</summary>
    static string? PageSerial(string entry)
    {
        try
        {
            var page = File.ReadAllBytes(Path.Combine(entry, "device/vpd_pg80"));
            var text = page.Length > 4 ? Encoding.ASCII.GetString(page, 4, page.Length - 4).Trim(' ', '\0') : "";
            return text.Length == 0 ? null : text;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [GeneratedRegex(@"^mmcblk\d+(boot\d+|rpmb)$")]
    private static partial Regex BootArea();

    [GeneratedRegex(@"/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])(?=/)")]
    private static partial Regex PciAddress();

    [GeneratedRegex(@"/usb\d+/")]
    private static partial Regex UsbPort();

    [GeneratedRegex(@"/ata(\d+)/")]
    private static partial Regex AtaPort();

    [GeneratedRegex(@"/\d+:(\d+:\d+:\d+)/")]
    private static partial Regex ScsiAddress();

    [GeneratedRegex(@"/nvme\d+n(\d+)$")]
    private static partial Regex NvmeNamespace();
}
