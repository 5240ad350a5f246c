using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Ka.Drivers.Consoles;
using Ka.Server.Configuration;

namespace Ka.SystemTests.Lab;

/// <summary>A lab of one node, for real: needs root, QEMU, ipmi_sim and ipmitool.</summary>
public sealed class LabUpDown : IAsyncLifetime
{
    private const string Name = "labtest";
    private readonly string state = Directory.CreateTempSubdirectory("ka-labtest-").FullName;

    public async ValueTask InitializeAsync()
    {
        Assert.SkipWhen(Environment.UserName != "root", "a lab needs root");
        var (status, output) = await KaLab("up", "1", "--state", state);
        Assert.True(status == 0, output);
    }

    public async ValueTask DisposeAsync()
    {
        await KaLab("down", "--purge", "--state", state);
        if (Directory.Exists(state))
            Directory.Delete(state, recursive: true);
    }

    [Fact]
    public async Task A_bmc_switches_its_machine()
    {
        Assert.Equal("Chassis Power is off", await Ipmi("status"));
        await Ipmi("on");
        Assert.Equal("Chassis Power is on", await Ipmi("status"));
        var first = QemuId();
        await Ipmi("cycle");
        await Eventually(() => QemuId() is { } id && id != first);
        var second = QemuId();
        await Ipmi("reset");
        Assert.Equal(second, QemuId());
        await Ipmi("off");
        Assert.Equal("Chassis Power is off", await Ipmi("status"));
        Assert.Null(QemuId());
    }

    [Fact]
    public async Task A_boot_device_is_used_once()
    {
        await Must("exec", "--", "ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.1.1", "-U", "admin", "-f", $"{state}/bmc.password",
            "chassis", "bootdev", "disk");
        await Ipmi("on");
        Assert.Contains("serial=node1,bootindex=1", QemuArguments(), StringComparison.Ordinal);
        await Ipmi("reset");
        Assert.Contains("serial=node1,bootindex=2", QemuArguments(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_console_that_the_site_names_shows_what_the_firmware_prints()
    {
        var reading = SiteReader.Read($"{state}/site/ka.yaml");
        Assert.Empty(reading.Findings.Select(f => f.ToString()));
        await Ipmi("on");
        var (line, fault) = await ConsoleProgram.OpenAsync(reading.Site!.AllNodes.Single().Node, TestContext.Current.CancellationToken);
        Assert.Null(fault);
        await using (line)
        {
            var shown = new StringBuilder();
            var buffer = new byte[1024];
            while (!shown.ToString().Contains("iPXE", StringComparison.Ordinal))
            {
                var count = await line!.ReadAsync(buffer, TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromMinutes(2));
                Assert.True(count > 0, $"the line ended after '{shown}': {line.Evidence}");
                shown.Append(Encoding.Latin1.GetString(buffer, 0, count));
            }
        }
    }

    [Fact]
    public async Task A_machine_without_power_stays_off_until_mended()
    {
        await Ipmi("on");
        await Must("break", "node1", "--how", "off");
        Assert.Equal("Chassis Power is off", await Ipmi("status"));
        await Ipmi("on", mayFail: true);
        Assert.Equal("Chassis Power is off", await Ipmi("status"));
        Assert.Equal("off", await Broken());
        await Must("mend", "node1");
        await Ipmi("on");
        Assert.Equal("Chassis Power is on", await Ipmi("status"));
        Assert.Equal("", await Broken());
    }

    [Fact]
    public async Task Breaks_hold_over_a_power_cycle()
    {
        await Must("power", "node1", "on");
        await Must("break", "node1", "--how", "cable");
        await Must("break", "node1", "--how", "hang");
        await Must("break", "node1", "--how", "slow");
        await Must("break", "node1", "--how", "disk-full");
        Assert.Equal("cable,disk-full,hang,slow", await Broken());
        await Must("power", "node1", "off");
        await Must("power", "node1", "on");
        var arguments = QemuArguments();
        Assert.Contains("disk-small.raw", arguments, StringComparison.Ordinal);
        Assert.Contains("throttling.bps-write", arguments, StringComparison.Ordinal);
        Assert.Contains("-S", arguments, StringComparison.Ordinal);
        Assert.Contains("state DOWN", await Must("exec", "--", "ip", "link", "show", "tap1"), StringComparison.Ordinal);
        await Must("mend", "node1", "--how", "cable");
        Assert.DoesNotContain("state DOWN", await Must("exec", "--", "ip", "link", "show", "tap1"), StringComparison.Ordinal);
        await Must("mend", "node1");
        Assert.Equal("", await Broken());
        await Must("power", "node1", "reset");
    }

    [Fact]
    public async Task Exec_runs_inside_and_hands_the_status_back()
    {
        Assert.Contains("10.77.0.1/24", await Must("exec", "--", "ip", "-4", "address", "show", "br0"), StringComparison.Ordinal);
        var (status, _) = await KaLab("exec", "--", "sh", "-c", "exit 7");
        Assert.Equal(7, status);
    }

    [Fact]
    public async Task A_second_up_is_refused_and_one_after_a_crash_heals()
    {
        var (busy, message) = await KaLab("up", "1");
        Assert.Equal(75, busy);
        Assert.Contains("is up already", message, StringComparison.Ordinal);
        await Ipmi("on");
        using (var bmc = Process.GetProcessById(int.Parse(File.ReadAllText($"{state}/node1/bmc.pid"))))
            bmc.Kill();
        await Eventually(async () => (await KaLab("up", "1")).Status == 0);
        Assert.Equal("Chassis Power is off", await Ipmi("status"));
    }

    [Fact]
    public async Task Down_leaves_nothing_even_when_half_is_missing()
    {
        await Ipmi("on");
        File.Delete($"{state}/lab.json");
        await Must("down");
        Assert.False(File.Exists($"/run/netns/ka-{Name}"));
        Assert.False(Directory.Exists($"/run/ka/lab/{Name}"));
        Assert.Empty(LabProcesses());
        var (again, _) = await KaLab("down", "--state", state);
        Assert.Equal(0, again);
    }

    private IEnumerable<string> LabProcesses() =>
        Directory.GetDirectories("/proc").Where(directory => int.TryParse(Path.GetFileName(directory), out _)).Select(CommandLine)
            .Where(line => line.Contains($"{state}/", StringComparison.Ordinal));

    private static string CommandLine(string process)
    {
        try
        {
            return File.ReadAllText($"{process}/cmdline").Replace('\0', ' ');
        }
        catch (IOException)
        {
            return "";
        }
    }

    private int? QemuId() =>
        File.Exists($"{state}/node1/qemu.pid") && int.TryParse(File.ReadAllText($"{state}/node1/qemu.pid"), out var id)
        && CommandLine($"/proc/{id}").Contains("qemu", StringComparison.Ordinal) ? id : null;

    private string QemuArguments() => CommandLine($"/proc/{QemuId()}");

    private async Task<string> Broken() =>
        string.Join(',', JsonNode.Parse(await Must("status", "-o", "json"))!["nodes"]![0]!["broken"]!.AsArray().Select(word => (string)word!));

    private async Task<string> Ipmi(string what, bool mayFail = false)
    {
        var (status, output) = await KaLab("exec", "--", "ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.1.1", "-U", "admin",
            "-f", $"{state}/bmc.password", "chassis", "power", what);
        Assert.True(status == 0 || mayFail, output);
        return output.Trim();
    }

    private async Task<string> Must(params string[] arguments)
    {
        var (status, output) = await KaLab(arguments);
        Assert.True(status == 0, output);
        return output;
    }

    private static async Task<(int Status, string Output)> KaLab(params string[] arguments)
    {
        string[] all = [arguments[0], "--name", Name, .. arguments[1..]];
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "ka-lab"), all)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        return (process.ExitCode, await output + await errors);
    }

    private static Task Eventually(Func<bool> condition) => Eventually(() => Task.FromResult(condition()));

    private static async Task Eventually(Func<Task<bool>> condition)
    {
        for (var turn = 0; turn < 100; turn++)
        {
            if (await condition())
                return;
            await Task.Delay(100);
        }

        Assert.Fail("it did not happen within 10 s");
    }
}
