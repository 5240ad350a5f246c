using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Clusters;
using Ka.Drivers.Power;
using Ka.Drivers.Programs;
using Ka.Simulation;
using Ka.SystemTests.Deployments;

namespace Ka.SystemTests.Power;

/// <summary>The shipped command for outlets of a PDU, by the real tools, against a real SNMP agent that has one outlet.</summary>
public sealed class Outlets : IDisposable
{
    const string Table = ".1.3.6.1.4.1.318.1.1.4.4.2.1.3";

    readonly string _directory = Directory.CreateTempSubdirectory("ka-pdu-").FullName;
    readonly int _port;
    readonly Process _agent;

    public Outlets()
    {
        Assert.SkipUnless(File.Exists("/usr/sbin/snmpd"), "needs /usr/sbin/snmpd: packaging/needs.sh, set tests");
        using (var free = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp))
        {
            free.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            _port = ((IPEndPoint)free.LocalEndPoint!).Port;
        }
        File.WriteAllText(At("outlet"), "2\n");
        Script("pdu", $"""
            #!/bin/sh
            [ "$2" = {Table}.8 ] || exec echo not-writable
            [ "$1" != -s ] || echo "$4" > '{At("outlet")}'
            printf '%s\ninteger\n' "$2"
            cat '{At("outlet")}'

            """);
        File.WriteAllText(At("snmpd.conf"), $"agentAddress udp:127.0.0.1:{_port}\nrwcommunity the-right-one 127.0.0.1\npass {Table} /bin/sh {At("pdu")}\n");
        Credential("the-right-one");
        var start = new ProcessStartInfo("/usr/sbin/snmpd", ["-f", "-Lf", At("log"), "-C", "-c", At("snmpd.conf"), "-p", At("pid")]) { RedirectStandardInput = true };
        start.Environment["SNMP_PERSISTENT_DIR"] = At("persistent");
        _agent = Process.Start(start)!;
    }

    string At(string name) => Path.Combine(_directory, name);

    public void Dispose()
    {
        if (_agent is { HasExited: false })
        {
            _agent.Kill();
            _agent.WaitForExit();
        }
        _agent?.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task An_outlet_is_switched_and_asked_over_snmp()
    {
        await RealLab.UntilAsync("the agent answers", async () => (await AskAsync(PowerVerb.Status)).Fault is null ? "yes" : null, TimeSpan.FromMinutes(1));
        Assert.Equal(new PowerReply(null, false), await AskAsync(PowerVerb.Status));
        Assert.Equal(new PowerReply(null), await AskAsync(PowerVerb.On));
        Assert.Equal((new PowerReply(null, true), "1\n"), (await AskAsync(PowerVerb.Status), await File.ReadAllTextAsync(At("outlet"))));
        Assert.Equal(new PowerReply(null), await AskAsync(PowerVerb.Off));
        Assert.Equal(new PowerReply(null, false), await AskAsync(PowerVerb.Status));

        // Another outlet does not exist, and no other name is a number.
        Assert.Equal("power.refused", (await AskAsync(PowerVerb.On, "strip-b/9")).Fault?.Code.Text);
        Assert.Contains("does not end in the number", (await AskAsync(PowerVerb.On, "strip-b/8; reboot")).Fault!.Evidence, StringComparison.Ordinal);

        Credential("the-wrong-one");
        Assert.Equal("power.refused", (await AskAsync(PowerVerb.On)).Fault?.Code.Text);
        Assert.Equal("2\n", await File.ReadAllTextAsync(At("outlet")));
    }

    Task<PowerReply> AskAsync(PowerVerb verb, string outlet = "strip-b/8")
    {
        var program = Path.Combine(RealLab.Repository(), "packaging", "power", "apc-outlet");
        var commands = ((string[])["status", "on", "off"]).ToImmutableDictionary(v => v, v => ImmutableArray.Create("/usr/bin/env", "SNMPCONFPATH=" + _directory, program, v, "{host}", "{outlet}"));
        var power = new PowerSettings("pdu", $"127.0.0.1:{_port}", 623, null, null, 17, commands) { Outlet = outlet, OutletNodes = ["gris-1"] };
        return new CommandPower(CommandPower.Outlet, ExternalProgram.RunAsync).AskAsync(SimulatedDeployment.SampleCluster(["gris-1"]).Nodes[0] with { Power = power }, verb, TestContext.Current.CancellationToken);
    }

    void Credential(string community) => Private("snmp.conf", $"defVersion 2c\ndefCommunity {community}\n");

    void Script(string name, string text)
    {
        Private(name, text);
        File.SetUnixFileMode(At(name), (UnixFileMode)0b111_101_101);
    }

    void Private(string name, string text)
    {
        File.WriteAllText(At(name), text);
        File.SetUnixFileMode(At(name), UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }
}
