using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Ka.Lab;

/// <summary>The command line of ka-lab. The one place where a <see cref="LabException"/> becomes a sentence and a status.</summary>
public static partial class Commands
{
    private static readonly Option<string> NameOption = new("--name")
    {
        Description = "The lab's name (several labs live side by side)",
        DefaultValueFactory = _ => "lab",
        Recursive = true,
    };

    private static readonly Option<string?> StateOption = new("--state")
    {
        Description = "Directory of disks, logs and configuration (default $XDG_STATE_HOME/ka/lab/NAME)",
        Recursive = true,
    };

    public static async Task<int> Run(string[] arguments)
    {
        var root = new RootCommand("A virtual cluster of real machines: QEMU nodes, BMCs and a switch in a network namespace.")
        {
            NameOption, StateOption,
            Up(), Down(), Status(), Power(), Break(), Mend(), ConsoleCommand(), Ssh(), Exec(), ChassisCommand(), RouterCommand(),
        };
        var parsed = root.Parse(arguments);
        try
        {
            var status = await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
            return parsed.Errors.Count > 0 ? 2 : status;
        }
        catch (LabException refused)
        {
            await Console.Error.WriteLineAsync($"ka-lab: {refused.Message}");
            return refused.ExitCode;
        }
        catch (OperationCanceledException)
        {
            return 130;
        }
    }

    private static LabPlaces Places(ParseResult parsed) => LabPlaces.Locate(parsed.GetValue(NameOption)!, parsed.GetValue(StateOption));

    private static Argument<string> NodeArgument() => new("NODE") { Description = "node1, or just 1" };

    private static Command Up()
    {
        var count = new Argument<int>("N") { Description = $"How many nodes, 1 to {Machine.MostMachines}" };
        var firmware = new Option<string>("--firmware") { Description = "bios, uefi, uefi-secure (Secure Boot enforced), or mixed: first half bios, second half uefi", DefaultValueFactory = _ => "mixed" };
        firmware.AcceptOnlyFromAmong("bios", "uefi", "uefi-secure", "mixed");
        var memory = new Option<int>("--memory") { Description = "MiB per node, 256 to 65536", DefaultValueFactory = _ => 448 };
        var processors = new Option<int>("--cpus") { Description = "Processors per node, 1 to 16", DefaultValueFactory = _ => 1 };
        var disk = new Option<string[]>("--disk")
        {
            Description = "A disk as [NODE=][KIND:]SIZE, once for each (sparse; KIND virtio, nvme, sata or scsi; for one node in place of those for all; default virtio:3G)",
        };
        var serve = new Option<bool>("--serve") { Description = "Also start kad inside the lab" };
        var minimal = new Option<string?>("--minimal") { Description = "Directory with vmlinuz and initramfs.zst (default STATE/minimal)" };
        var kad = new Option<string?>("--kad") { Description = "The kad program (default: beside ka-lab, or in PATH)" };
        var command = new Command("up", "Make a lab: network, BMCs, disks, site configuration; every node is off") { count, firmware, memory, processors, disk, serve, minimal, kad };
        command.SetAction(async (parsed, cancel) =>
        {
            var disks = new List<DiskWish>();
            if (parsed.GetValue(count) is < 1 or > Machine.MostMachines)
                throw new LabException($"N is {parsed.GetValue(count)}; expected 1 to {Machine.MostMachines}.", 2);
            if (parsed.GetValue(memory) is < 256 or > 65536)
                throw new LabException($"--memory is {parsed.GetValue(memory)}; expected 256 to 65536 (MiB).", 2);
            if (parsed.GetValue(processors) is < 1 or > 16)
                throw new LabException($"--cpus is {parsed.GetValue(processors)}; expected 1 to 16.", 2);
            foreach (var text in parsed.GetValue(disk) ?? [])
                disks.Add(Spelling.TryDisk(text, out var wish) ? wish : throw new LabException($"--disk is '{text}'; expected [NODE=][KIND:]SIZE such as 3G, nvme:512M or node2=sata:1G.", 2));
            NeedRoot();
            var report = await new Lab(Places(parsed)).Up(new UpRequest(
                parsed.GetValue(count), parsed.GetValue(firmware)!, parsed.GetValue(memory), disks,
                parsed.GetValue(serve), parsed.GetValue(minimal), parsed.GetValue(kad), parsed.GetValue(processors)), cancel);
            Show(report);
            return 0;
        });
        return command;
    }

    private static Command Down()
    {
        var purge = new Option<bool>("--purge") { Description = "Delete disks, logs and configuration as well" };
        var command = new Command("down", "End every process of the lab and remove its network; works on what a crash has left, too") { purge };
        command.SetAction(async (parsed, cancel) =>
        {
            NeedRoot();
            await new Lab(Places(parsed)).Down(parsed.GetValue(purge), cancel);
            return 0;
        });
        return command;
    }

    private static Command Status()
    {
        var output = new Option<string>("-o", "--output") { Description = "text or json", DefaultValueFactory = _ => "text" };
        output.AcceptOnlyFromAmong("text", "json");
        var command = new Command("status", "Show the lab and its nodes") { output };
        command.SetAction(async (parsed, cancel) =>
        {
            var report = await new Lab(Places(parsed)).Report(cancel);
            if (parsed.GetValue(output) == "json")
                Console.WriteLine(JsonSerializer.Serialize(report, LabJson.Default.LabReport));
            else
                Show(report);
            return 0;
        });
        return command;
    }

    private static void Show(LabReport report)
    {
        Console.WriteLine($"lab {report.Name}: network {report.Network ?? "none"}, {report.Accelerator}, kad {report.Kad}, state {report.State}");
        Console.WriteLine($"site {report.Site}");
        Console.WriteLine($"{"NODE",-9}{"POWER",-7}{"FIRMWARE",-13}{"ADDRESS",-14}{"MAC",-19}{"BMC",-13}BROKEN");
        foreach (var node in report.Nodes)
        {
            var bmc = node.BmcAlive ? node.Bmc : "ended";
            Console.WriteLine($"{node.Node,-9}{node.Power,-7}{node.Firmware,-13}{node.Address,-14}{node.Mac,-19}{bmc,-13}{string.Join(',', node.Broken)}".TrimEnd());
        }
    }

    private static void NeedRoot()
    {
        if (EffectiveUser() != 0)
            throw new LabException("A lab makes network namespaces and taps, which needs root.", 77);
    }

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint EffectiveUser();
}
