using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;

namespace Ka.Lab;

/// <summary>What `ka-lab up` was asked for.</summary>
/// <param name="Minimal">Directory with vmlinuz and initramfs.zst, or null for STATE/minimal.</param>
/// <param name="Kad">The kad program, or null to look beside ka-lab and in PATH.</param>
public sealed record UpRequest(int Count, string FirmwarePlan, int MemoryMiB, IReadOnlyList<DiskWish> Disks, bool Serve, string? Minimal, string? Kad, int Processors = 1);

/// <summary>
/// A virtual cluster: a network, one BMC per node, disks, and maybe kad. Both directions may be run again after a crash
/// at any point: up clears what is left over first, down removes whatever it finds.
/// </summary>
public sealed class Lab(LabPlaces places)
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const long UsualDisk = 3L << 30;
    private static readonly TimeSpan KadStart = TimeSpan.FromSeconds(30);

    /// <summary>What the lab was made with; refused when there is no such lab.</summary>
    public LabFacts Facts => TryFacts() ?? throw new LabException($"There is no lab '{places.Name}' in {places.State}; make one with 'ka-lab up'.", 69);

    public VirtualMachine Node(string name)
    {
        var facts = Facts;
        return new VirtualMachine(places, facts, facts.Find(name));
    }

    public async Task<LabReport> Up(UpRequest request, CancellationToken cancel)
    {
        var machines = LabFacts.Plan(request.Count, request.FirmwarePlan);
        if (request.Disks.FirstOrDefault(disk => disk.Node is { } node && machines.All(machine => machine.Name != node)) is { } stray)
            throw new LabException($"--disk names '{stray.Node}'; the lab has node1 to node{machines.Count}.", 2);
        Programs.Need(["ip", "setsid", QemuCommandLine.Program, BmcFiles.Program,
            .. machines.Where(machine => machine.IsUefi).Select(machine => QemuCommandLine.UefiCode(machine.Firmware)).Distinct()]);
        var kad = request.Serve ? FindKad(request.Kad) : null;
        var minimal = Path.GetFullPath(request.Minimal ?? $"{places.State}/minimal");
        if (!LabPlaces.IsPlain(minimal))
            throw new LabException($"The directory '{minimal}' must consist of letters, digits, '/', '.', '_', '+' and '-'.", 2);
        Private(places.Run);
        using var turn = Turn();
        if (IsWhole())
            throw new LabException($"The lab '{places.Name}' is up already; take it down with: ka-lab down --name {places.Name}", 75);
        await Clear(cancel);
        Private(places.State);
        await File.WriteAllTextAsync(places.StatePointer, places.State, cancel);
        var accelerator = await Accelerator.Find(minimal, places.AcceleratorMemory, cancel);
        var facts = new LabFacts(places.Name, machines, request.MemoryMiB, UsualDisk, accelerator, minimal, request.Disks) { Processors = request.Processors };
        await File.WriteAllTextAsync(places.Facts, JsonSerializer.Serialize(facts, LabJson.Default.LabFacts), cancel);
        await Furnish(facts, cancel);
        await Switch.Build(places, machines, cancel);
        await Programs.StartDetached(places.RouterPid, places.RouterLog,
            ["ip", .. Switch.Inside(places, [OwnCommand(), "router", "--name", places.Name, "--state", places.State])], cancel);
        await StartBmcs(facts, cancel);
        if (kad is not null)
            await StartKad(kad, cancel);
        return await Report(cancel);
    }

    /// <summary>Ends everything of this lab; with <paramref name="purge"/> its state as well.</summary>
    public async Task Down(bool purge, CancellationToken cancel)
    {
        Private(places.Run);
        using (Turn())
        {
            await Clear(cancel);
            // only what is recognisably a lab's state
            if (purge && File.Exists(places.Facts))
                Directory.Delete(places.State, recursive: true);
            Directory.Delete(places.Run, recursive: true);
        }
    }

    public Task<LabReport> Report(CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        var facts = Facts;
        var kad = KadProcess.IsAlive ? "running" : File.Exists(places.KadPid) ? "ended" : "none";
        var nodes = facts.Machines.Select(machine =>
        {
            var node = new VirtualMachine(places, facts, machine);
            return new NodeReport(
                machine.Name, machine.Mac, machine.Address, Spelling.Of(machine.Firmware), node.IsOn ? "on" : "off",
                machine.BmcAddress, Bmc(machine).IsAlive, [.. node.Broken.Select(Spelling.Of).Order()],
                places.SerialSocket(machine), places.SerialLog(machine));
        }).ToList();
        return Task.FromResult(new LabReport(
            places.Name, places.State, Switch.Exists(places) ? places.Namespace : null, facts.Accelerator, kad, places.KadSocket,
            places.SiteFile, places.BmcPassword, nodes));
    }

    private Recorded Bmc(Machine machine) => new(places.BmcPid(machine), places.BmcLan(machine));

    private Recorded RouterProcess => new(places.RouterPid, places.State);

    private Recorded KadProcess => new(places.KadPid, places.SiteFile);

    private LabFacts? TryFacts()
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(places.Facts), LabJson.Default.LabFacts);
        }
        catch (Exception unreadable) when (unreadable is IOException or JsonException)
        {
            return null;
        }
    }

    private bool IsWhole() => Switch.Exists(places) && TryFacts() is { } facts && RouterProcess.IsAlive && facts.Machines.All(machine => Bmc(machine).IsAlive);

    /// <summary>Ends the recorded processes, then whoever else lives in the namespace, and removes namespace and sockets.</summary>
    private async Task Clear(CancellationToken cancel)
    {
        await KadProcess.End(TimeSpan.FromSeconds(10), cancel);
        await RouterProcess.End(TimeSpan.FromSeconds(2), cancel);
        // by the directories, not by lab.json: an earlier and larger lab may have left some
        foreach (var directory in Directory.Exists(places.State) ? Directory.GetDirectories(places.State, "node*") : [])
        {
            await new Recorded($"{directory}/bmc.pid", $"{directory}/bmc/lan.conf").End(TimeSpan.FromSeconds(2), cancel);
            await new Recorded($"{directory}/qemu.pid", $"{directory}/qemu.pid").End(TimeSpan.Zero, cancel);
            File.Delete($"{directory}/broken");
            File.Delete($"{directory}/boot-device");
        }

        await Switch.Remove(places, cancel);
        foreach (var file in Directory.GetFiles(places.Run).Where(file => file != places.Lock))
            File.Delete(file);
    }

    private async Task Furnish(LabFacts facts, CancellationToken cancel)
    {
        var password = RandomNumberGenerator.GetString("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", 16);
        await WritePrivate(places.BmcPassword, password, cancel);
        await File.WriteAllTextAsync(places.ChassisScript, BmcFiles.Script(places, OwnCommand()), cancel);
        File.SetUnixFileMode(places.ChassisScript, OwnerOnly | UnixFileMode.UserExecute);
        foreach (var machine in facts.Machines)
        {
            Directory.CreateDirectory($"{places.Node(machine)}/bmc/persistent");
            foreach (var (disk, i) in facts.DisksOf(machine).Select((disk, i) => (disk, i)))
                Disks.Sparse(i == 0 ? places.Disk(machine) : places.FurtherDisk(machine, i), disk.Bytes);
            if (machine.IsUefi && !File.Exists(places.UefiVariables(machine)))
                File.Copy(QemuCommandLine.UefiVariables(machine.Firmware), places.UefiVariables(machine));
            await WritePrivate(places.BmcLan(machine), BmcFiles.Lan(places, machine, password), cancel);
            await File.WriteAllTextAsync(places.BmcEmulation(machine), BmcFiles.Emulation(), cancel);
        }

        Directory.CreateDirectory($"{places.Site}/clusters");
        await File.WriteAllTextAsync(places.SiteFile, SiteFiles.Site(places, facts), cancel);
        await File.WriteAllTextAsync(places.ClusterFile, SiteFiles.Cluster(places, facts, OwnCommand()), cancel);
    }

    private async Task StartBmcs(LabFacts facts, CancellationToken cancel)
    {
        foreach (var machine in facts.Machines)
        {
            string[] command = [BmcFiles.Program, "-n", "-c", places.BmcLan(machine), "-f", places.BmcEmulation(machine),
                "-s", $"{places.Node(machine)}/bmc/persistent"];
            await Programs.StartDetached(places.BmcPid(machine), places.BmcLog(machine), ["ip", .. Switch.Inside(places, command)], cancel);
        }

        foreach (var machine in facts.Machines)
            await Until(() => Listens(machine), TimeSpan.FromSeconds(10), () => $"The BMC of {machine.Name} does not listen; see {places.BmcLog(machine)}.", cancel);
    }

    /// <summary>Whether the BMC's UDP port 623 is open, as the kernel shows it to the process itself.</summary>
    private bool Listens(Machine machine)
    {
        // 127.0.1.N:623 in the kernel's spelling
        var socket = $"{machine.Number:X2}01007F:026F ";
        try
        {
            return Bmc(machine).Id is { } id && File.ReadAllText($"/proc/{id}/net/udp").Contains(socket, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private async Task StartKad(string kad, CancellationToken cancel)
    {
        await Programs.StartDetached(places.KadPid, places.KadLog,
            ["ip", .. Switch.Inside(places, [kad, "run", "--config", places.SiteFile])], cancel);
        await Until(() => Accepts() || !KadProcess.IsAlive, KadStart,
            () => $"kad does not accept on {places.KadSocket} within {KadStart.TotalSeconds:0} s; see {places.KadLog}.", cancel);
        if (!KadProcess.IsAlive)
            throw new LabException($"kad ended at once: {File.ReadLines(places.KadLog).LastOrDefault() ?? "without a word"} (see {places.KadLog})");
    }

    private bool Accepts()
    {
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(places.KadSocket));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static string FindKad(string? given)
    {
        if (given is not null)
            return File.Exists(given) ? Path.GetFullPath(given) : throw new LabException($"There is no kad at '{given}'.", 2);
        return Programs.Find($"{AppContext.BaseDirectory}kad") ?? Programs.Find("kad")
            ?? throw new LabException("--serve needs the program 'kad': give --kad, put it beside ka-lab, or into PATH.", 69);
    }

    /// <summary>How a script calls this very program.</summary>
    private static string OwnCommand()
    {
        var own = Environment.ProcessPath ?? throw new LabException("The path of ka-lab itself is unknown.");
        if (Path.GetFileName(own) == "dotnet")
            own = $"{AppContext.BaseDirectory}ka-lab";
        return LabPlaces.IsPlain(own) ? own : throw new LabException($"ka-lab's own path '{own}' must consist of letters, digits, '/', '.', '_', '+' and '-'.", 2);
    }

    private static async Task Until(Func<bool> done, TimeSpan limit, Func<string> complaint, CancellationToken cancel)
    {
        var until = DateTime.UtcNow + limit;
        while (!done())
        {
            await Task.Delay(30, cancel);
            if (DateTime.UtcNow > until)
                throw new LabException(complaint());
        }
    }

    private static void Private(string directory) =>
        Directory.CreateDirectory(directory, OwnerOnly | UnixFileMode.UserExecute);

    private static async Task WritePrivate(string file, string text, CancellationToken cancel)
    {
        File.Delete(file);
        await using var stream = new FileStream(file, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerOnly });
        await using var writer = new StreamWriter(stream);
        await writer.WriteAsync(text.AsMemory(), cancel);
    }

    private FileStream Turn()
    {
        try
        {
            return new FileStream(places.Lock, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            throw new LabException($"Another ka-lab is at work on the lab '{places.Name}'.", 75);
        }
    }
}
