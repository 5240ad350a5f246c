using System.Text.Json.Nodes;

namespace Ka.Lab;

/// <summary>One node's power button, reset button and cables. What is done to a node is done by one process at a time.</summary>
public sealed class VirtualMachine(LabPlaces places, LabFacts facts, Machine machine)
{
    private const long SmallDiskBytes = 64L << 20;

    private Recorded Qemu => new(places.QemuPid(machine), places.QemuPid(machine));

    public bool IsOn => Qemu.IsAlive;

    /// <summary>What is wrong on purpose at the moment.</summary>
    public IReadOnlySet<Breakage> Broken
    {
        get
        {
            var file = places.Broken(machine);
            var words = File.Exists(file) ? File.ReadAllLines(file) : [];
            return words.Select(word => (Known: Spelling.TryBreakage(word, out var how), How: how)).Where(word => word.Known).Select(word => word.How).ToHashSet();
        }
    }

    /// <summary>Starts the machine; a machine that runs already stays as it is. Refused while it is broken by "off".</summary>
    public async Task PowerOn(CancellationToken cancel)
    {
        using var turn = await Turn(cancel);
        await Start(cancel);
    }

    /// <summary>Cuts the power: the guest learns nothing.</summary>
    public async Task PowerOff(CancellationToken cancel)
    {
        using var turn = await Turn(cancel);
        await Qemu.End(TimeSpan.Zero, cancel);
    }

    /// <summary>The reset button. A machine that is off stays off. A pending boot device needs a new QEMU.</summary>
    public async Task Reset(CancellationToken cancel)
    {
        using var turn = await Turn(cancel);
        if (!IsOn)
            return;
        if (Conditions().DiskFirst != StartedDiskFirst)
        {
            await Qemu.End(TimeSpan.Zero, cancel);
            await Start(cancel);
            return;
        }

        File.Delete(places.BootDevice(machine));
        await Qmp.Ask(places.QmpSocket(machine), "system_reset", null, cancel);
    }

    /// <summary>A short press of the power button: the operating system may shut down.</summary>
    public async Task SoftOff(CancellationToken cancel)
    {
        using var turn = await Turn(cancel);
        if (IsOn)
            await Qmp.Ask(places.QmpSocket(machine), "system_powerdown", null, cancel);
    }

    /// <summary>The boot device of the next start only: "pxe", "default" (the disk), or "none" for the usual order.</summary>
    public void SetBootDevice(string device) => File.WriteAllText(places.BootDevice(machine), device);

    public string BootDevice => File.Exists(places.BootDevice(machine)) ? File.ReadAllText(places.BootDevice(machine)).Trim() : "none";

    public async Task Break(Breakage how, CancellationToken cancel)
    {
        using var turn = await Turn(cancel);
        await Remember([.. Broken, how]);
        await Apply(how, broken: true, cancel);
    }

    public async Task Mend(Breakage? how, CancellationToken cancel)
    {
        using var turn = await Turn(cancel);
        var mended = Broken.Where(each => how is null || each == how).ToList();
        await Remember(Broken.Except(mended));
        foreach (var each in mended)
            await Apply(each, broken: false, cancel);
    }

    private Task Remember(IEnumerable<Breakage> broken) =>
        File.WriteAllLinesAsync(places.Broken(machine), broken.Distinct().Select(Spelling.Of));

    private async Task Apply(Breakage how, bool broken, CancellationToken cancel)
    {
        var socket = places.QmpSocket(machine);
        switch (how)
        {
            case Breakage.Cable:
                await Switch.SetCable(places, machine, plugged: !broken, cancel);
                if (IsOn)
                    await Qmp.Ask(socket, "set_link", new JsonObject { ["name"] = "nic0", ["up"] = !broken }, cancel);
                break;
            case Breakage.Hang:
                if (IsOn)
                    await Qmp.Ask(socket, broken ? "stop" : "cont", null, cancel);
                break;
            case Breakage.Off:
                if (broken)
                    await Qemu.End(TimeSpan.Zero, cancel);
                break;
            case Breakage.DiskFull:
                break;
            case Breakage.Slow:
                await Switch.SetSlow(places, machine, broken, cancel);
                if (IsOn)
                    await Qmp.Ask(socket, "block_set_io_throttle", Throttle(broken ? QemuCommandLine.SlowDiskRate : 0), cancel);
                break;
        }
    }

    private static JsonObject Throttle(long bytesPerSecond) => new()
    {
        ["device"] = "disk0",
        ["bps"] = 0,
        ["bps_rd"] = 0,
        ["bps_wr"] = bytesPerSecond,
        ["iops"] = 0,
        ["iops_rd"] = 0,
        ["iops_wr"] = 0,
    };

    private StartConditions Conditions()
    {
        var broken = Broken;
        return new StartConditions(
            DiskFirst: BootDevice == "default",
            Hung: broken.Contains(Breakage.Hang),
            SmallDisk: broken.Contains(Breakage.DiskFull),
            Slow: broken.Contains(Breakage.Slow));
    }

    private bool StartedDiskFirst => File.Exists(places.StartedWith(machine)) && File.ReadAllText(places.StartedWith(machine)) == "disk";

    private async Task Start(CancellationToken cancel)
    {
        if (IsOn)
            return;
        if (Broken.Contains(Breakage.Off))
            throw new LabException($"{machine.Name} is broken (off): it has no power until 'ka-lab mend {machine.Name}'.", 75);
        var conditions = Conditions();
        if (conditions.SmallDisk)
            Disks.Sparse(places.SmallDisk(machine), SmallDiskBytes);
        File.Delete(places.BootDevice(machine));
        await File.WriteAllTextAsync(places.StartedWith(machine), conditions.DiskFirst ? "disk" : "network", cancel);
        var command = QemuCommandLine.Build(places, facts, machine, conditions);
        var started = await Programs.Run("ip", Switch.Inside(places, [QemuCommandLine.Program, .. command]), TimeSpan.FromSeconds(30), cancel);
        await File.WriteAllTextAsync(places.QemuLog(machine), started.Errors, cancel);
        if (started.Status != 0)
            throw new LabException($"QEMU of {machine.Name} ended with {started.Status}: {started.Errors.Trim()}");
        if (Broken.Contains(Breakage.Cable))
            await Apply(Breakage.Cable, broken: true, cancel);
    }

    /// <summary>An exclusive turn at this node; another process that holds it is waited for, 60 s at most.</summary>
    private async Task<FileStream> Turn(CancellationToken cancel)
    {
        var file = $"{places.Node(machine)}/lock";
        for (var tries = 0; ; tries++)
        {
            try
            {
                return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException busy) when (busy is not DirectoryNotFoundException and not FileNotFoundException)
            {
                if (tries == 3000)
                    throw new LabException($"Another process holds {machine.Name} for a minute already.", 75);
                await Task.Delay(20, cancel);
            }
        }
    }
}

/// <summary>The disk images of the virtual machines.</summary>
public static class Disks
{
    /// <summary>An empty sparse file of exactly this size; one of that size is left as it is.</summary>
    public static void Sparse(string file, long bytes)
    {
        if (File.Exists(file) && new FileInfo(file).Length == bytes)
            return;
        File.Delete(file);
        using var disk = File.Create(file);
        disk.SetLength(bytes);
    }
}
