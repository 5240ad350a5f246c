using Ka.Boot;
using Ka.Core.BootProfiles;

namespace Ka.SystemTests.Boot;

/// <summary>Real firmware (SeaBIOS with iPXE, OVMF) against the real boot server.</summary>
public class NetworkBoot
{
    /// <summary>A machine that has not come so far is not coming.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    [Fact]
    public async Task Whatever_a_person_writes_arrives_at_the_kernel_and_nowhere_else()
    {
        await using var lab = await BootLab.Start();
        using var patience = new CancellationTokenSource(Patience);
        const string Evil = "chain http://10.77.0.1:8080/evil";
        var parameters = KernelParameters.Parse(
            $"console=ttyS0 a ; {Evil}1 && {Evil}2 || {Evil}3 ; || && ;; x;y a&&b c||d #hash # {Evil}4 --name evil -n -- :label goto x "
            + "'single quotes' dyndbg=\"file  two   blanks +p\" back\\slash \\n $HOME $(cmd) `cmd` %s %n {x} }{ $ { \\ ; exit ; shell \\");
        lab.Profile = new BootProfile.MinimalEnvironment(lab.File("kernel", TinyKernel.Image()), lab.File("initrd", new byte[5000]), parameters);

        lab.PowerOn();
        var serial = await lab.Serial(TinyKernel.CommandLineEnds, patience.Token);

        var begin = serial.LastIndexOf(TinyKernel.CommandLineBegins) + 1;
        Assert.Equal($"{parameters} initrd=initrd", serial[begin..serial.LastIndexOf(TinyKernel.CommandLineEnds)]);
        Assert.Equal([$"/boot/{BootLab.Key}/script.ipxe", $"/boot/{BootLab.Key}/kernel", $"/boot/{BootLab.Key}/initrd"], lab.Requests);
    }

    [Fact]
    public async Task A_bios_machine_is_seen_at_every_step_and_then_boots_its_disk()
    {
        await using var lab = await BootLab.Start();
        using var patience = new CancellationTokenSource(Patience);

        lab.PowerOn();

        Assert.Equal("gris-1", (await lab.Event(BootEventKind.DhcpDiscover, patience.Token)).Node?.Value);
        Assert.StartsWith("Ipxe", (await lab.Event(BootEventKind.DhcpAck, patience.Token)).Detail);
        Assert.Equal("LocalDisk", (await lab.Event(BootEventKind.ScriptFetched, patience.Token)).Detail);
        await lab.Serial(TinyKernel.DiskBooted, patience.Token);
    }

    [Fact]
    public async Task A_uefi_machine_takes_its_loader_by_tftp_and_then_the_kernel_by_http()
    {
        await using var lab = await BootLab.Start();
        using var patience = new CancellationTokenSource(Patience);
        lab.Profile = new BootProfile.MinimalEnvironment("/usr/lib/ipxe/ipxe.efi", lab.File("initrd", new byte[5000]), KernelParameters.Parse("quiet"));

        lab.PowerOn(uefi: true);

        Assert.StartsWith("UefiPxe", (await lab.Event(BootEventKind.DhcpDiscover, patience.Token)).Detail);
        Assert.Equal("snponly.efi", (await lab.Event(BootEventKind.TftpRequest, patience.Token)).Detail);
        await lab.Event(BootEventKind.ScriptFetched, patience.Token);
        Assert.Equal("ipxe.efi", (await lab.Event(BootEventKind.KernelFetched, patience.Token)).Detail);
        await lab.Event(BootEventKind.InitrdFetched, patience.Token);
        Assert.StartsWith("Ipxe", (await lab.Event(BootEventKind.DhcpDiscover, patience.Token)).Detail);
    }

    [Fact]
    public async Task Beside_another_dhcp_server_only_the_boot_file_comes_from_here()
    {
        await using var lab = await BootLab.Start(DhcpMode.Proxy);
        using var patience = new CancellationTokenSource(Patience);
        lab.StartOtherDhcp();

        lab.PowerOn();

        Assert.StartsWith("Ipxe", (await lab.Event(BootEventKind.DhcpDiscover, patience.Token)).Detail);
        Assert.Equal("10.77.0.101", (await lab.Event(BootEventKind.ScriptFetched, patience.Token)).From?.ToString());
        await lab.Serial(TinyKernel.DiskBooted, patience.Token);
    }

    [Theory]
    [InlineData("512")]
    [InlineData("1428")]
    public async Task The_bios_loader_comes_whole_by_tftp(string blockSize)
    {
        await using var lab = await BootLab.Start();

        var loader = lab.RunInside("curl", "-s", "--max-time", "30", "--tftp-blksize", blockSize, "tftp://10.77.0.1/undionly.kpxe");

        Assert.Equal(File.ReadAllBytes("/usr/lib/ipxe/undionly.kpxe"), loader);
    }

    [Fact]
    public async Task Boot_files_are_for_the_node_alone()
    {
        await using var lab = await BootLab.Start();
        lab.Profile = new BootProfile.MinimalEnvironment(lab.File("kernel", TinyKernel.Image()), lab.File("initrd", [1]), KernelParameters.None);

        Assert.Equal("404", Status($"http://10.77.0.1:8080/boot/{BootLab.Key}/kernel"));
        lab.RunInside("ip", "addr", "add", "10.77.0.101/24", "dev", "br0");
        Assert.Equal("200", Status($"http://10.77.0.1:8080/boot/{BootLab.Key}/kernel", "--interface", "10.77.0.101"));
        Assert.Equal("404", Status("http://10.77.0.1:8080/boot/0000000000000000/kernel", "--interface", "10.77.0.101"));
        Assert.Equal("200", Status("http://10.77.0.1:8080/boot/loader/ipxe.efi", "--head"));
        Assert.Equal("404", Status("http://10.77.0.1:8080/boot/loader/ipxe.iso"));

        string Status(string url, params string[] more) =>
            System.Text.Encoding.ASCII.GetString(lab.RunInside(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", .. more, url]));
    }
}
