using System.Text.RegularExpressions;

namespace Ka.Lab;

/// <summary>
/// Where a lab keeps its things. State (disks, logs, configuration) may be anywhere; sockets are under /run, because a
/// Unix socket's path holds 107 bytes at most. Both kinds of path are plain, so no consumer needs quoting.
/// </summary>
public sealed partial record LabPlaces(string Name, string State)
{
    public string Namespace => $"ka-{Name}";
    public string Run => $"/run/ka/lab/{Name}";
    public string Facts => $"{State}/lab.json";
    public string AcceleratorMemory => $"{State}/accelerator";
    public string Lock => $"{Run}/lock";

    /// <summary>Says where STATE is, for commands that were not told.</summary>
    public string StatePointer => $"{Run}/state";
    public string KadSocket => $"{Run}/kad.sock";
    public string KadPid => $"{State}/kad.pid";
    public string KadLog => $"{State}/kad.log";
    public string KadState => $"{State}/kad";
    public string RouterPid => $"{State}/router.pid";
    public string RouterLog => $"{State}/router.log";
    public string BmcPassword => $"{State}/bmc.password";
    public string ChassisScript => $"{State}/chassis";
    public string Site => $"{State}/site";
    public string SiteFile => $"{Site}/ka.yaml";
    public string ClusterFile => $"{Site}/clusters/lab.yaml";

    public string Node(Machine machine) => $"{State}/{machine.Name}";
    public string Disk(Machine machine) => $"{Node(machine)}/disk.raw";

    /// <summary>A node's further disks, counted from 1.</summary>
    public string FurtherDisk(Machine machine, int number) => $"{Node(machine)}/disk{number + 1}.raw";
    public string SmallDisk(Machine machine) => $"{Node(machine)}/disk-small.raw";
    public string UefiVariables(Machine machine) => $"{Node(machine)}/uefi-vars.fd";
    public string SerialLog(Machine machine) => $"{Node(machine)}/serial.log";
    public string QemuPid(Machine machine) => $"{Node(machine)}/qemu.pid";
    public string QemuLog(Machine machine) => $"{Node(machine)}/qemu.log";
    public string BmcPid(Machine machine) => $"{Node(machine)}/bmc.pid";
    public string BmcLog(Machine machine) => $"{Node(machine)}/bmc.log";
    public string BmcLan(Machine machine) => $"{Node(machine)}/bmc/lan.conf";
    public string BmcEmulation(Machine machine) => $"{Node(machine)}/bmc/node.emu";
    public string BootDevice(Machine machine) => $"{Node(machine)}/boot-device";
    public string StartedWith(Machine machine) => $"{Node(machine)}/started-with";
    public string Broken(Machine machine) => $"{Node(machine)}/broken";
    public string SerialSocket(Machine machine) => $"{Run}/{machine.Name}.serial";
    public string QmpSocket(Machine machine) => $"{Run}/{machine.Name}.qmp";

    /// <summary>The lab called <paramref name="name"/>: in the given directory, else where it was put up, else the default.</summary>
    public static LabPlaces Locate(string name, string? state)
    {
        if (!NamePattern().IsMatch(name))
            throw new LabException($"'{name}' is no lab name: lower-case letters, digits and '-', 12 at most, a letter first.", 2);
        var pointer = new LabPlaces(name, "").StatePointer;
        state ??= File.Exists(pointer) ? File.ReadAllText(pointer).Trim() : DefaultState(name);
        state = Path.GetFullPath(state);
        if (!PlainPath().IsMatch(state))
            throw new LabException($"The state directory '{state}' must consist of letters, digits, '/', '.', '_', '+' and '-'.", 2);
        return new LabPlaces(name, state.TrimEnd('/'));
    }

    private static string DefaultState(string name)
    {
        var home = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
        if (string.IsNullOrEmpty(home))
            home = $"{Environment.GetFolderPath(Environment.SpecialFolder.UserProfile)}/.local/state";
        return $"{home}/ka/lab/{name}";
    }

    public static bool IsPlain(string path) => PlainPath().IsMatch(path);

    [GeneratedRegex(@"\A[a-z][a-z0-9-]{0,11}\z")]
    private static partial Regex NamePattern();

    [GeneratedRegex(@"\A/[A-Za-z0-9/._+-]+\z")]
    private static partial Regex PlainPath();
}
