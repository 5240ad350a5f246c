namespace Ka.Lab;

/// <summary>What differs from one power-on of a machine to the next.</summary>
public sealed record StartConditions(bool DiskFirst = false, bool Hung = false, bool SmallDisk = false, bool Slow = false);

/// <summary>The argument list of one machine's QEMU. Pure; each choice was measured under TCG.</summary>
public static class QemuCommandLine
{
    public const string Program = "qemu-system-x86_64";

    public static string UefiCode(Firmware firmware) => $"/usr/share/OVMF/OVMF_CODE_4M{(firmware == Firmware.UefiSecure ? ".secboot" : "")}.fd";

    /// <summary>The variables of a new machine; for Secure Boot with Microsoft's keys, which makes the firmware enforce it.</summary>
    public static string UefiVariables(Firmware firmware) => $"/usr/share/OVMF/OVMF_VARS_4M{(firmware == Firmware.UefiSecure ? ".ms" : "")}.fd";

    /// <summary>Bytes per second of a slow disk.</summary>
    public const long SlowDiskRate = 2_000_000;

    /// <summary>
    /// Without what costs more under TCG than it saves: with AVX OpenSSL's SHA-256 runs at half the rate, and with ERMS ("rep movsb" is fast) the
    /// kernel copies byte by byte.
    /// </summary>
    const string EmulatedProcessor = "max,avx=off,avx2=off,f16c=off,fma=off,vaes=off,erms=off,la57=off";

    public static IReadOnlyList<string> Build(LabPlaces places, LabFacts facts, Machine machine, StartConditions conditions)
    {
        List<string> arguments =
        [
            "-name", $"{facts.Name}-{machine.Name}",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", machine.Firmware == Firmware.UefiSecure ? "q35,smm=on,graphics=off" : "pc,graphics=off",
            "-accel", facts.Accelerator == "kvm" ? "kvm" : "tcg,thread=multi,tb-size=64",
            "-cpu", facts.Accelerator == "kvm" ? "host" : EmulatedProcessor,
            "-smp", $"{facts.Processors}", "-m", $"{facts.MemoryMiB}",
            "-chardev", $"socket,id=serial0,path={places.SerialSocket(machine)},server=on,wait=off,logfile={places.SerialLog(machine)},logappend=on",
            "-serial", "chardev:serial0",
            "-qmp", $"unix:{places.QmpSocket(machine)},server=on,wait=off",
            "-netdev", $"tap,id=net0,ifname={machine.Tap},script=no,downscript=no",
            "-device", $"virtio-net-pci,id=nic0,netdev=net0,mac={machine.Mac},bootindex={(conditions.DiskFirst ? 2 : 1)}{OwnRom(machine)}",
            .. Disks(places, facts, machine, conditions),
            // without a source of randomness sshd waits for entropy
            "-object", "rng-builtin,id=rng0", "-device", "virtio-rng-pci,rng=rng0",
            "-pidfile", places.QemuPid(machine),
            "-daemonize",
        ];
        if (conditions.Hung)
            arguments.Add("-S");
        if (machine.IsUefi)
            arguments.AddRange(Uefi(places, machine));
        return arguments;
    }

    /// <summary>The disks, each with a serial number of its own (node1, node1-2, …); the first one boots.</summary>
    private static IEnumerable<string> Disks(LabPlaces places, LabFacts facts, Machine machine, StartConditions conditions)
    {
        var disks = facts.DisksOf(machine);
        if (disks.Any(disk => disk.Kind == DiskKind.Scsi))
        {
            yield return "-device";
            yield return "virtio-scsi-pci,id=scsi0";
        }

        for (var i = 0; i < disks.Count; i++)
        {
            var file = i > 0 ? places.FurtherDisk(machine, i) : conditions.SmallDisk ? places.SmallDisk(machine) : places.Disk(machine);
            var serial = i == 0 ? machine.Name : $"{machine.Name}-{i + 1}";
            var boots = i == 0 ? $",bootindex={(conditions.DiskFirst ? 1 : 2)}" : "";
            var device = disks[i].Kind switch
            {
                DiskKind.Virtio => "virtio-blk-pci",
                DiskKind.Nvme => "nvme",
                // q35 has AHCI with a disk on each port
                DiskKind.Sata when machine.Firmware == Firmware.UefiSecure => $"ide-hd,bus=ide.{i}",
                // the machine's own PIIX controller, two disks on each of its two ports: cloud kernels have no AHCI
                DiskKind.Sata => $"ide-hd,bus=ide.{i / 2},unit={i % 2}",
                DiskKind.Scsi => $"scsi-hd,bus=scsi0.0,lun={i}",
            };
            yield return "-drive";
            yield return $"file={file},format=raw,if=none,id=disk{i},cache=unsafe,discard=unmap" + (i == 0 ? Throttle(conditions) : "");
            yield return "-device";
            yield return $"{device},drive=disk{i},serial={serial}{boots}";
        }
    }

    private static string Throttle(StartConditions conditions) =>
        conditions.Slow ? $",throttling.bps-write={SlowDiskRate}" : "";

    /// <summary>QEMU's card brings an unsigned iPXE, which OVMF would start even so; with Secure Boot the firmware's own PXE has to do.</summary>
    private static string OwnRom(Machine machine) => machine.Firmware == Firmware.UefiSecure ? ",romfile=" : "";

    /// <summary>
    /// Firmware in flash with the machine's own variables, and no PXE over IPv6, which nobody answers. For Secure Boot only code in
    /// system management mode may write the variables (OvmfPkg/README, SMM_REQUIRE).
    /// </summary>
    private static string[] Uefi(LabPlaces places, Machine machine) =>
    [
        .. machine.Firmware == Firmware.UefiSecure ? ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"] : Array.Empty<string>(),
        "-drive", $"if=pflash,format=raw,unit=0,readonly=on,file={UefiCode(machine.Firmware)}",
        "-drive", $"if=pflash,format=raw,unit=1,file={places.UefiVariables(machine)}",
        "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n",
    ];

    /// <summary>
    /// Boots a bare kernel with a rootless command line: it panics for want of a root, and -no-reboot turns that into the end
    /// of QEMU. Running firmware alone proves nothing: there are hosts whose KVM does that and hangs in a kernel.
    /// </summary>
    public static IReadOnlyList<string> Probe(string accelerator, string kernel) =>
    [
        "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc,graphics=off", "-accel", accelerator, "-cpu", "max",
        "-m", "256", "-serial", "stdio", "-no-reboot", "-kernel", kernel, "-append", "console=ttyS0,115200 panic=-1",
    ];

    public const string ProbeAnswer = "Kernel panic";
}
