using System.Collections.Immutable;
using Ka.Protocol.Agents;

namespace Ka.Agent.Machine;

/// <summary>Reads what the machine is from sysfs and procfs. Nothing here fails: what cannot be read is null.</summary>
static class Inventory
{
    public static NodeInventory Read(AgentPaths paths)
    {
        var dmi = Path.Combine(paths.Sys, "class/dmi/id");
        return new NodeInventory(
            Firmware(paths),
            MemoryBytes(DiskScan.Text(paths.Proc, "meminfo") ?? ""),
            Environment.ProcessorCount,
            DiskScan.Text(dmi, "sys_vendor"),
            DiskScan.Text(dmi, "product_name"),
            DiskScan.Text(dmi, "product_serial"),
            DiskScan.Text(paths.Proc, "sys/kernel/osrelease") ?? "",
            [
                .. DiskScan.Read(paths)
                    .Where(d => d.Facts.Bus != "loop")
                    .Select(d => new DiskSeen(d.Facts.Name, d.Facts.Path, d.Facts.Bus, d.Facts.Bytes, d.Facts.Model, d.Facts.Serial, d.Rotational)),
            ],
            Nics(paths));
    }

    /// <summary>Whether the variable SecureBoot (UEFI 2.10 section 3.3) is 1; efivarfs puts four bytes of attributes before its value.</summary>
    public static bool SecureBoot(AgentPaths paths)
    {
        var variable = Path.Combine(paths.EfiVariables, "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
        return File.Exists(variable) && File.ReadAllBytes(variable) is [_, _, _, _, 1];
    }

    /// <summary><c>uefi</c> when the kernel was given EFI services, else <c>bios</c>.</summary>
    public static string Firmware(AgentPaths paths) => Directory.Exists(Path.Combine(paths.Sys, "firmware/efi")) ? "uefi" : "bios";

    /// <summary>Bytes of memory that may be used without taking any from programs that run.</summary>
    public static long AvailableMemory(AgentPaths paths) => MemoryBytes(File.ReadAllText(Path.Combine(paths.Proc, "meminfo")), "MemAvailable:");

    /// <summary>A line of <c>/proc/meminfo</c> (which counts in KiB) in bytes; the total memory unless another is named.</summary>
    internal static long MemoryBytes(string meminfo, string name = "MemTotal:")
    {
        var line = meminfo.Split('\n').FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal)) ?? "";
        var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 1 && long.TryParse(fields[1], out var kibibytes) ? kibibytes * 1024 : 0;
    }

    static ImmutableArray<NicSeen> Nics(AgentPaths paths)
    {
        var root = Path.Combine(paths.Sys, "class/net");
        if (!Directory.Exists(root))
        {
            return [];
        }
        var nics = ImmutableArray.CreateBuilder<NicSeen>();
        foreach (var entry in Directory.EnumerateFileSystemEntries(root).Order(StringComparer.Ordinal))
        {
            // ARPHRD_ETHER and ARPHRD_INFINIBAND
            if (DiskScan.Text(entry, "type") is not ("1" or "32") || DiskScan.Text(entry, "address") is not { } mac)
            {
                continue;
            }
            var driver = new DirectoryInfo(Path.Combine(entry, "device/driver")).LinkTarget;
            nics.Add(new NicSeen(
                Path.GetFileName(entry),
                mac,
                driver is null ? null : Path.GetFileName(driver),
                DiskScan.Text(entry, "operstate") == "up",
                int.TryParse(DiskScan.Text(entry, "speed"), out var speed) && speed > 0 ? speed : null));
        }
        return nics.ToImmutable();
    }
}
