using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Ka.Boot;
using Ka.Core.Clusters;
using Ka.Core.NodeSets;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Simulation;
using Ka.Store;
using Ka.SystemTests.Deployments;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.SystemTests.Schedulers;

/// <summary>
/// A server of Ka in this process with two nodes that are a file for their power and a listener for their ssh, and a Slurm with the same two nodes in its own
/// directory and on ports of its own.
/// </summary>
sealed class SlurmSite : IAsyncDisposable
{
    const int Nobody = 65534;
    static readonly string Scripts = Path.Combine(RealLab.Repository(), "packaging", "schedulers", "slurm");

    readonly string _directory = Directory.CreateTempSubdirectory("ka-slurm-").FullName;
    readonly List<Process> _daemons = [];
    readonly List<TcpListener> _ssh = [];
    WebApplication? _app;

    public string SlurmConf => At("slurm.conf");

    string Socket => At("kad.sock");

    string At(string name) => Path.Combine(_directory, name);

    public static async Task<SlurmSite> StartAsync()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        foreach (var program in (string[])["/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/sbin/munged"])
            Assert.SkipUnless(File.Exists(program), $"needs {program}: packaging/needs.sh, set tests");
        Assert.SkipUnless((await RealLab.RunAsync("setpriv", [.. AsNobody, RealLab.Beside("ka"), "version"])).Status == 0, "needs a clone that everybody may read");
        var site = new SlurmSite();
        try
        {
            File.SetUnixFileMode(site._directory, (UnixFileMode)0b111_101_101);
            await site.ServeAsync();
            await site.ScheduleAsync();
            return site;
        }
        catch
        {
            await site.DisposeAsync();
            throw;
        }
    }

    static string[] AsNobody => [$"--reuid={Nobody}", $"--regid={Nobody}", "--clear-groups"];

    /// <summary>A command of ka, by root or by a user without any right of their own.</summary>
    public Task<Ended> KaAsync(params string[] words) => RealLab.RunAsync(RealLab.Beside("ka"), ["--server", "unix:" + Socket, .. words]);

    public Task<Ended> KaAsNobodyAsync(params string[] words) => RealLab.RunAsync("setpriv", [.. AsNobody, RealLab.Beside("ka"), "--server", "unix:" + Socket, .. words]);

    /// <summary>A command of Slurm.</summary>
    public Task<Ended> SlurmAsync(string program, params string[] words) => RealLab.RunAsync("env", ["SLURM_CONF=" + SlurmConf, program, .. words]);

    /// <summary>Runs a shell script as a job of the user nobody, on both nodes, for at most one minute.</summary>
    public async Task<Ended> JobAsync(string script)
    {
        var output = At("jobs/output");
        Directory.CreateDirectory(At("jobs"));
        File.SetUnixFileMode(At("jobs"), (UnixFileMode)0b111_111_111);
        var ended = await RealLab.RunAsync("env",
        [
            "SLURM_CONF=" + SlurmConf, "KA_SERVER=unix:" + Socket, "HOME=/nonexistent", "PATH=" + AppContext.BaseDirectory + ":/usr/bin:/bin",
            "sbatch", "--wait", "--uid=nobody", "-D", "/", "-N2", "-t1", "-o", output, "--wrap", script,
        ]);
        return ended with { Output = File.Exists(output) ? await File.ReadAllTextAsync(output) : ended.Output };
    }

    /// <summary>Times that the power of a node was switched on.</summary>
    public int Boots(string node) => File.ReadAllText(At("boots")).Split('\n').Count(line => line == node);

    async Task ServeAsync()
    {
        foreach (var node in (string[])["gris-1", "gris-2"])
            await File.WriteAllTextAsync(At("power-" + node), "on\n");
        await File.WriteAllTextAsync(At("boots"), "");
        var power = new PowerSettings("command", null, 623, null, null, 17, new Dictionary<string, ImmutableArray<string>>
        {
            ["status"] = ["/usr/bin/cat", At("power-{node}")],
            ["on"] = ["/bin/sh", "-c", "echo on > \"$1\"; echo \"$2\" >> \"$3\"", "sh", At("power-{node}"), "{node}", At("boots")],
            ["off"] = ["/bin/sh", "-c", "echo off > \"$1\"", "sh", At("power-{node}")],
        }.ToImmutableDictionary());
        var sample = SimulatedDeployment.SampleCluster(["gris-1", "gris-2"]);
        var cluster = sample with { Nodes = [.. sample.Nodes.Select((n, i) => n with { Mac = $"52:54:00:00:00:0{i + 1}", Address = $"127.0.77.{i + 1}", Power = power })] };
        foreach (var node in cluster.Nodes)
            Listen(node);
        _app = ServerApp.Build(
            new SiteConfiguration(
                "slurm", At("state"), [new UserListener(Socket, null)], new NodeListener(IPAddress.Loopback, 0, 0, 0) { Torrent = 0 },
                new BootNetworkSettings(DhcpMode.Off, null, IPAddress.Parse("127.0.77.0"), 24, null, [], false, "/usr/lib/ipxe"), new MinimalSettings(At("minimal"), []), [cluster],
                GroupTable.Empty, NodeLimit: 100),
            withNetworkBoot: false);
        await _app.StartAsync();
        // What the nodes are between jobs.
        var environment = SimulatedDeployment.SampleEnvironment;
        _app.Services.GetRequiredService<EnvironmentCatalogue>().Add(environment);
        _app.Services.GetRequiredService<NodeTable>().SetStates(
            [.. cluster.Nodes.Select(n => new NodeState(n.Name, "deployed", $"{environment.Name}:{environment.Version}", null, null, DateTimeOffset.UnixEpoch))]);
    }

    /// <summary>Answers as an ssh server while the node is on. Where one of this machine has the port already, that one answers.</summary>
    void Listen(ClusterNode node)
    {
        var listener = new TcpListener(IPAddress.Parse(node.Address), 22);
        try
        {
            listener.Start();
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            return;
        }
        _ssh.Add(listener);
        _ = AnswerAsync(listener, At("power-" + node.Name));
    }

    static async Task AnswerAsync(TcpListener listener, string power)
    {
        try
        {
            while (true)
            {
                using var caller = await listener.AcceptSocketAsync();
                if (await File.ReadAllTextAsync(power) == "on\n")
                    await caller.SendAsync("SSH-2.0-node\r\n"u8.ToArray());
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
        }
    }

    async Task ScheduleAsync()
    {
        Directory.CreateDirectory(At("slurm"));
        await File.WriteAllBytesAsync(At("munge.key"), RandomNumberGenerator.GetBytes(64));
        File.SetUnixFileMode(At("munge.key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllTextAsync(At("scheduler.conf"), $"KA={RealLab.Beside("ka")}\nKA_SERVER=unix:{Socket}\nSLURM_CONF={SlurmConf}\nSITE_ENVIRONMENT=debian12:1\n");
        foreach (var script in (string[])["prolog-slurmctld", "epilog-slurmctld", "reboot"])
        {
            // Slurm gives its scripts no environment, and the settings of this site are not in /etc.
            await File.WriteAllTextAsync(At(script), $"#!/bin/sh\nexec env KA_SCHEDULER_CONFIG='{At("scheduler.conf")}' '{Path.Combine(Scripts, script)}' \"$@\" 2>>'{At("scripts.log")}'\n");
            File.SetUnixFileMode(At(script), (UnixFileMode)0b111_101_101);
        }
        var ports = FreePorts(3);
        await File.WriteAllTextAsync(SlurmConf, $"""
            ClusterName=ka
            SlurmctldHost=localhost(127.0.0.1)
            SlurmUser=root
            SlurmdUser=root
            SlurmctldPort={ports[0]}
            AuthInfo=socket={At("munge.sock")}
            StateSaveLocation={At("slurm")}
            SlurmdSpoolDir={At("spool-%n")}
            SlurmctldPidFile={At("slurmctld.pid")}
            SlurmdPidFile={At("%n.pid")}
            SlurmctldLogFile={At("slurmctld.log")}
            SlurmdLogFile={At("%n.log")}
            ProctrackType=proctrack/pgid
            TaskPlugin=task/none
            SelectType=select/linear
            ReturnToService=2
            ResumeTimeout=120
            SlurmctldParameters=reboot_from_controller
            PrologSlurmctld={At("prolog-slurmctld")}
            EpilogSlurmctld={At("epilog-slurmctld")}
            RebootProgram={At("reboot")}
            NodeName=gris-1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
            NodeName=gris-2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
            PartitionName=all Nodes=gris-[1-2] Default=YES MaxTime=60 State=UP

            """);
        Daemon("/usr/sbin/munged", "--foreground", "--force", "--socket=" + At("munge.sock"), "--key-file=" + At("munge.key"), "--pid-file=" + At("munged.pid"), "--log-file=" + At("munged.log"), "--seed-file=" + At("munged.seed"));
        await UntilAsync(() => Task.FromResult(File.Exists(At("munge.sock"))), "munged listens");
        Daemon("/usr/sbin/slurmctld", "-D", "-c");
        foreach (var node in (string[])["gris-1", "gris-2"])
            Daemon("/usr/sbin/slurmd", "-D", "-b", "-N", node);
        await UntilAsync(async () => (await SlurmAsync("sinfo", "-h", "-o", "%D %T")).Output.Trim() == "2 idle", "Slurm has two idle nodes");
    }

    static int[] FreePorts(int count)
    {
        var listeners = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToArray();
        foreach (var listener in listeners)
            listener.Start();
        var ports = listeners.Select(l => ((IPEndPoint)l.LocalEndpoint).Port).ToArray();
        foreach (var listener in listeners)
            listener.Stop();
        return ports;
    }

    void Daemon(string program, params string[] words)
    {
        var start = new ProcessStartInfo(program, words) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["SLURM_CONF"] = SlurmConf;
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        _daemons.Add(process);
    }

    /// <summary>Waits for a condition; after a minute the test fails with what the scripts and the controller wrote.</summary>
    public async Task UntilAsync(Func<Task<bool>> holds, string what)
    {
        using var late = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        while (!await holds())
        {
            if (late.IsCancellationRequested)
                Assert.Fail($"not within a minute: {what}\n{Text("scripts.log")}\n{Text("slurmctld.log")}");
            await Task.Delay(100);
        }
    }

    string Text(string name) => File.Exists(At(name)) ? File.ReadAllText(At(name)) : "";

    public async ValueTask DisposeAsync()
    {
        foreach (var daemon in Enumerable.Reverse(_daemons))
        {
            if (!daemon.HasExited)
                await RealLab.RunAsync("kill", [daemon.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
            await daemon.WaitForExitAsync();
            daemon.Dispose();
        }
        if (_app is not null)
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }
        foreach (var listener in _ssh)
            listener.Stop();
        Directory.Delete(_directory, recursive: true);
    }
}
