using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Ka.Core.Clusters;
using Ka.Drivers.Consoles;
using Ka.Simulation;

namespace Ka.SystemTests.Consoles;

/// <summary>Serial over LAN for real: ipmitool against ipmi_sim, whose serial port is a socket of this test. No machine and no root needed.</summary>
public sealed class SerialOverLan : IAsyncLifetime
{
    const int BmcPort = 19623;

    readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("ka-sol-");
    readonly TcpListener _serial = new(IPAddress.Loopback, 0);
    Process? _bmc;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/ipmi_sim") && File.Exists("/usr/bin/ipmitool"), "ipmi_sim and ipmitool are needed");
        _serial.Start();
        File.WriteAllText(PathOf("lan.conf"), $"""
            name "sol"
            set_working_mc 0x20
              startlan 1
                addr 127.0.0.1 {BmcPort}
                priv_limit admin
                allowed_auths_admin none md2 md5 straight
                guid 6b610000000000000000000000000001
              endlan
              sol "tcp:127.0.0.1:{((IPEndPoint)_serial.LocalEndpoint).Port}" 115200 history=4000
              user 2 true "admin" "secret" admin 10 none md2 md5 straight

            """);
        File.WriteAllText(PathOf("node.emu"), "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nsel_enable 0x20 1000 0x0a\nmc_enable 0x20\n");
        File.WriteAllText(PathOf("password"), "secret");
        Directory.CreateDirectory(PathOf("state"));
        _bmc = Process.Start(new ProcessStartInfo("ipmi_sim", ["-d", "-n", "-c", PathOf("lan.conf"), "-f", PathOf("node.emu"), "-s", PathOf("state")]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true });
        return ValueTask.CompletedTask;
    }

    string PathOf(string name) => Path.Combine(_directory.FullName, name);

    public async ValueTask DisposeAsync()
    {
        if (_bmc is not null)
        {
            _bmc.Kill();
            await _bmc.WaitForExitAsync();
            _bmc.Dispose();
        }
        _serial.Dispose();
        _directory.Delete(recursive: true);
    }

    ClusterNode Node => SimulatedDeployment.SampleCluster(["gris-1"]).Nodes[0] with
    {
        Power = new PowerSettings("ipmi", "127.0.0.1", BmcPort, "admin", PathOf("password"), 3, ImmutableDictionary<string, ImmutableArray<string>>.Empty),
    };

    [Fact]
    public async Task A_console_over_ipmi_shows_what_the_machine_prints_and_sends_what_is_typed()
    {
        using var machine = await _serial.AcceptTcpClientAsync(Cancel);
        await using var port = machine.GetStream();
        var (line, fault) = await ConsoleProgram.OpenAsync(Node, Cancel);
        Assert.Null(fault);
        await using (line)
        {
            await ComesAsync(port, line!, "login: ");
            await line!.WriteAsync("root\r~.\r\u001f.\r"u8.ToArray(), Cancel);
            var typed = new StringBuilder();
            var buffer = new byte[256];
            while (!typed.ToString().Contains("root\r~.\r\u001f.\r", StringComparison.Ordinal))
            {
                typed.Append(Encoding.ASCII.GetString(buffer, 0, await port.ReadAsync(buffer, Cancel)));
                Assert.True(typed.Length < 100, typed.ToString());
            }
            await port.WriteAsync("Password: "u8.ToArray(), Cancel);
            await ShownAsync(line, "Password: ");
        }
        // The session that was left so roughly is no hindrance to the next.
        var (again, none) = await ConsoleProgram.OpenAsync(Node, Cancel);
        Assert.Null(none);
        await using (again)
        {
            await ComesAsync(port, again!, "still here");
        }
    }

    /// <summary>Prints until it is shown: what comes before the session stands is lost.</summary>
    static async Task ComesAsync(NetworkStream port, IConsoleLine line, string text)
    {
        var shown = ShownAsync(line, text);
        while (!shown.IsCompleted)
        {
            await port.WriteAsync(Encoding.ASCII.GetBytes(text), Cancel);
            await Task.WhenAny(shown, Task.Delay(500, Cancel));
        }
        await shown;
    }

    static async Task ShownAsync(IConsoleLine line, string text)
    {
        var shown = new StringBuilder();
        var buffer = new byte[256];
        while (!shown.ToString().Contains(text, StringComparison.Ordinal))
        {
            var count = await line.ReadAsync(buffer, Cancel);
            Assert.True(count > 0, $"the line ended after '{shown}': {line.Evidence}");
            shown.Append(Encoding.UTF8.GetString(buffer, 0, count));
        }
    }
}
