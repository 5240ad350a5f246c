using Ka.Lab;

namespace Ka.Tests.Lab;

public class LabTexts
{
    private static readonly LabPlaces Places = new("lab", "/var/lib/ka/lab");

    private static LabFacts Facts(int count, string firmware = "mixed") =>
        new("lab", LabFacts.Plan(count, firmware), 448, 3L << 30, "tcg", "/var/lib/ka/minimal");

    [Fact]
    public void A_node_is_named_and_addressed_after_its_number()
    {
        var machine = new Machine(12, Firmware.Bios);
        Assert.Equal(("node12", "52:54:00:77:00:0c", "10.77.0.112", "127.0.1.12"), (machine.Name, machine.Mac, machine.Address, machine.BmcAddress));
    }

    [Theory]
    [InlineData(1, "mixed", "b")]
    [InlineData(3, "mixed", "bbu")]
    [InlineData(4, "mixed", "bbuu")]
    [InlineData(2, "uefi", "uu")]
    [InlineData(2, "bios", "bb")]
    [InlineData(2, "uefi-secure", "ss")]
    public void Firmware_is_dealt_out_by_plan(int count, string plan, string expected) =>
        Assert.Equal(expected, string.Concat(LabFacts.Plan(count, plan).Select(machine => machine.Firmware switch { Firmware.Bios => 'b', Firmware.Uefi => 'u', Firmware.UefiSecure => 's' })));

    [Theory]
    [InlineData("3G", 3L << 30)]
    [InlineData("512M", 512L << 20)]
    [InlineData("1GiB", 1L << 30)]
    [InlineData("4096", 4096L)]
    public void Sizes_are_powers_of_1024(string text, long bytes)
    {
        Assert.True(Spelling.TrySize(text, out var read));
        Assert.Equal(bytes, read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("-1G")]
    [InlineData("3 G")]
    [InlineData("3P")]
    [InlineData("99999999999999T")]
    public void Other_sizes_are_refused(string text) => Assert.False(Spelling.TrySize(text, out _));

    [Fact]
    public void Every_breakage_has_a_word_that_reads_back()
    {
        foreach (var breakage in Enum.GetValues<Breakage>())
        {
            Assert.True(Spelling.TryBreakage(Spelling.Of(breakage), out var read));
            Assert.Equal(breakage, read);
        }
    }

    [Fact]
    public void A_machine_boots_from_the_network_first_unless_told_otherwise()
    {
        var facts = Facts(1);
        var usual = string.Join(' ', QemuCommandLine.Build(Places, facts, facts.Machines[0], new StartConditions()));
        Assert.Contains("mac=52:54:00:77:00:01,bootindex=1", usual, StringComparison.Ordinal);
        Assert.Contains("serial=node1,bootindex=2", usual, StringComparison.Ordinal);
        var disk = string.Join(' ', QemuCommandLine.Build(Places, facts, facts.Machines[0], new StartConditions(DiskFirst: true)));
        Assert.Contains("serial=node1,bootindex=1", disk, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("3G", null, DiskKind.Virtio, 3L << 30)]
    [InlineData("nvme:512M", null, DiskKind.Nvme, 512L << 20)]
    [InlineData("node2=sata:1G", "node2", DiskKind.Sata, 1L << 30)]
    [InlineData("node2=1G", "node2", DiskKind.Virtio, 1L << 30)]
    public void A_disk_is_asked_for_by_node_kind_and_size(string text, string? node, DiskKind kind, long bytes)
    {
        Assert.True(Spelling.TryDisk(text, out var wish));
        Assert.Equal(new DiskWish(node, kind, bytes), wish);
    }

    [Theory]
    [InlineData("ide:3G")]
    [InlineData("nvme")]
    [InlineData("=3G")]
    [InlineData("1K")]
    public void Other_disks_are_refused(string text) => Assert.False(Spelling.TryDisk(text, out _));

    [Fact]
    public void Every_disk_has_its_controller_its_file_and_a_serial_of_its_own()
    {
        var facts = Facts(2) with { Disks = [new DiskWish(null, DiskKind.Nvme, 1 << 30), new DiskWish("node2", DiskKind.Scsi, 1 << 30), new DiskWish("node2", DiskKind.Sata, 1 << 30)] };
        var first = string.Join(' ', QemuCommandLine.Build(Places, facts, facts.Machines[0], new()));
        Assert.Contains("nvme,drive=disk0,serial=node1,bootindex=2", first, StringComparison.Ordinal);
        Assert.DoesNotContain("virtio-scsi-pci", first, StringComparison.Ordinal);
        var second = string.Join(' ', QemuCommandLine.Build(Places, facts, facts.Machines[1], new()));
        Assert.Contains("-device virtio-scsi-pci,id=scsi0", second, StringComparison.Ordinal);
        Assert.Contains("scsi-hd,bus=scsi0.0,lun=0,drive=disk0,serial=node2,bootindex=2", second, StringComparison.Ordinal);
        Assert.Contains($"file={Places.FurtherDisk(facts.Machines[1], 1)},format=raw,if=none,id=disk1", second, StringComparison.Ordinal);
        Assert.Contains("ide-hd,bus=ide.0,unit=1,drive=disk1,serial=node2-2", second, StringComparison.Ordinal);
        Assert.Equal([new DiskWish(null, DiskKind.Virtio, 3L << 30)], Facts(1).DisksOf(facts.Machines[0]));
    }

    [Fact]
    public void Only_uefi_machines_get_flash()
    {
        var facts = Facts(2);
        Assert.DoesNotContain(QemuCommandLine.Build(Places, facts, facts.Machines[0], new()), word => word.Contains("pflash", StringComparison.Ordinal));
        Assert.Contains($"if=pflash,format=raw,unit=1,file={Places.UefiVariables(facts.Machines[1])}", QemuCommandLine.Build(Places, facts, facts.Machines[1], new()));
    }

    [Fact]
    public void A_secure_machine_guards_its_variables_and_brings_no_unsigned_card_rom()
    {
        var facts = Facts(1, "uefi-secure");
        var words = QemuCommandLine.Build(Places, facts, facts.Machines[0], new());
        Assert.Contains("q35,smm=on,graphics=off", words);
        Assert.Contains("driver=cfi.pflash01,property=secure,value=on", words);
        Assert.Contains("if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", words);
        Assert.Contains(words, word => word.StartsWith("virtio-net-pci,", StringComparison.Ordinal) && word.EndsWith(",romfile=", StringComparison.Ordinal));
        Assert.Contains("  firmware: uefi\n  secureBoot: true\n", SiteFiles.Cluster(Places, facts, "/usr/bin/ka-lab"), StringComparison.Ordinal);
    }

    [Fact]
    public void Start_conditions_reach_the_command_line()
    {
        var facts = Facts(1);
        var words = QemuCommandLine.Build(Places, facts, facts.Machines[0], new StartConditions(Hung: true, SmallDisk: true, Slow: true));
        Assert.Contains("-S", words);
        Assert.Contains(words, word => word.StartsWith($"file={Places.SmallDisk(facts.Machines[0])},", StringComparison.Ordinal)
            && word.EndsWith(",throttling.bps-write=2000000", StringComparison.Ordinal));
    }

    [Fact]
    public void No_socket_path_is_too_long_for_the_kernel()
    {
        var places = LabPlaces.Locate("a23456789012", "/tmp/x");
        var machine = new Machine(Machine.MostMachines, Firmware.Bios);
        Assert.All([places.SerialSocket(machine), places.QmpSocket(machine), places.KadSocket], path => Assert.True(path.Length < 108));
    }

    [Theory]
    [InlineData("Lab")]
    [InlineData("../x")]
    [InlineData("")]
    [InlineData("a234567890123")]
    public void Strange_lab_names_are_refused(string name) => Assert.Equal(2, Assert.Throws<LabException>(() => LabPlaces.Locate(name, "/tmp/x")).ExitCode);

    [Theory]
    [InlineData("/tmp/a b")]
    [InlineData("/tmp/a\"b")]
    [InlineData("/tmp/$(id)")]
    public void State_directories_that_need_quoting_are_refused(string state) =>
        Assert.Equal(2, Assert.Throws<LabException>(() => LabPlaces.Locate("lab", state)).ExitCode);

    [Fact]
    public void The_cluster_file_lists_every_node_and_groups_the_uefi_ones()
    {
        var text = SiteFiles.Cluster(Places, Facts(4), "/usr/bin/ka-lab");
        Assert.Contains("  node3: { mac: \"52:54:00:77:00:03\", address: 10.77.0.103, power: { host: 127.0.1.3 } }\n", text, StringComparison.Ordinal);
        Assert.Contains("  uefi: { nodes: \"node[3-4]\", firmware: uefi }\n", text, StringComparison.Ordinal);
        Assert.Contains("  firmware: bios\n", text, StringComparison.Ordinal);
        Assert.Contains($"  console: [/usr/bin/ka-lab, console, --name, lab, --state, {Places.State}, \"{{node}}\"]\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cluster_of_one_firmware_needs_no_group()
    {
        Assert.DoesNotContain("groups:", SiteFiles.Cluster(Places, Facts(2, "bios"), "/usr/bin/ka-lab"), StringComparison.Ordinal);
        var uefi = SiteFiles.Cluster(Places, Facts(2, "uefi"), "/usr/bin/ka-lab");
        Assert.DoesNotContain("groups:", uefi, StringComparison.Ordinal);
        Assert.Contains("  firmware: uefi\n", uefi, StringComparison.Ordinal);
    }

    [Fact]
    public void The_site_file_names_the_sockets_and_the_minimal_environment()
    {
        var text = SiteFiles.Site(Places, Facts(1));
        Assert.Contains("users: [\"unix:/run/ka/lab/lab/kad.sock\"]", text, StringComparison.Ordinal);
        Assert.Contains("directory: /var/lib/ka/minimal\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_bmc_knows_its_user_and_its_script()
    {
        var text = BmcFiles.Lan(Places, new Machine(3, Firmware.Bios), "secret");
        Assert.Contains("addr 127.0.1.3 623\n", text, StringComparison.Ordinal);
        Assert.Contains("chassis_control \"/var/lib/ka/lab/chassis 3\"\n", text, StringComparison.Ordinal);
        Assert.Contains("user 2 true \"admin\" \"secret\" admin", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Ssh_checks_host_keys_only_against_a_given_file()
    {
        var machine = new Machine(1, Firmware.Bios);
        Assert.Contains("StrictHostKeyChecking=no", SshCommand.Build(machine, null, null, []));
        var strict = SshCommand.Build(machine, "/k", "/hosts", ["uname", "-r"]);
        Assert.Contains("StrictHostKeyChecking=yes", strict);
        Assert.Equal(["root@10.77.0.101", "uname", "-r"], strict.TakeLast(3));
    }
}
