using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Ka.SystemTests.Deployments;
using Ka.SystemTests.Lab;

namespace Ka.SystemTests.Schedulers;

/// <summary>A real Slurm in its own directory and on ports of its own: one controller, a slurmd for each node, the scripts as they are shipped.</summary>
/// <param name="socket">Where the server of Ka listens.</param>
/// <param name="environment">What the site's nodes have between jobs.</param>
sealed class SlurmCluster(string directory, string socket, string[] nodes, string environment) : IAsyncDisposable
{
    const int Nobody = 65534;
    static readonly string Scripts = Path.Combine(RealLab.Repository(), "packaging", "schedulers", "slurm");

    readonly List<Process> _daemons = [];

    public static string[] AsNobody => [$"--reuid={Nobody}", $"--regid={Nobody}", "--clear-groups"];

    string SlurmConf => At("slurm.conf");

    string At(string name) => Path.Combine(directory, name);

    public static void SkipUnlessInstalled()
    {
        foreach (var program in (string[])["/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/sbin/munged"])
            Assert.SkipUnless(File.Exists(program), $"needs {program}: packaging/needs.sh, set tests");
    }

    public static async Task<SlurmCluster> StartAsync(string directory, string socket, string[] nodes, string environment)
    {
        Directory.CreateDirectory(directory);
        var cluster = new SlurmCluster(directory, socket, nodes, environment);
        try
        {
            await cluster.ScheduleAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>A command of Slurm.</summary>
    public Task<Ended> SlurmAsync(string program, params string[] words) => RealLab.RunAsync("env", ["SLURM_CONF=" + SlurmConf, program, .. words]);

    /// <summary>Runs a shell script as a job of the user nobody, on all nodes.</summary>
    public async Task<Ended> JobAsync(string script, int minutes)
    {
        var output = At("jobs/output");
        Directory.CreateDirectory(At("jobs"));
        File.SetUnixFileMode(At("jobs"), (UnixFileMode)0b111_111_111);
        var ended = await RealLab.RunAsync("env",
        [
            "SLURM_CONF=" + SlurmConf, "KA_SERVER=unix:" + socket, "HOME=/nonexistent", "PATH=" + AppContext.BaseDirectory + ":/usr/bin:/bin",
            "sbatch", "--wait", "--uid=nobody", "-D", "/", $"-N{nodes.Length}", $"-t{minutes}", "-o", output, "--wrap", script,
        ]);
        return ended with { Output = File.Exists(output) ? await File.ReadAllTextAsync(output) : ended.Output };
    }

    async Task ScheduleAsync()
    {
        Directory.CreateDirectory(At("slurm"));
        await File.WriteAllBytesAsync(At("munge.key"), RandomNumberGenerator.GetBytes(64));
        File.SetUnixFileMode(At("munge.key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await File.WriteAllTextAsync(At("scheduler.conf"), $"KA={RealLab.Beside("ka")}\nKA_SERVER=unix:{socket}\nSLURM_CONF={SlurmConf}\nSITE_ENVIRONMENT={environment}\n");
        foreach (var script in (string[])["prolog-slurmctld", "epilog-slurmctld", "reboot"])
        {
            // Slurm gives its scripts no environment, and the settings of this site are not in /etc.
            await File.WriteAllTextAsync(At(script), $"#!/bin/sh\nexec env KA_SCHEDULER_CONFIG='{At("scheduler.conf")}' '{Path.Combine(Scripts, script)}' \"$@\" 2>>'{At("scripts.log")}'\n");
            File.SetUnixFileMode(At(script), (UnixFileMode)0b111_101_101);
        }
        var ports = FreePorts.Several(nodes.Length + 1);
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
            {string.Join('\n', nodes.Select((n, i) => $"NodeName={n} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[i + 1]} CPUs=1"))}
            PartitionName=all Nodes={string.Join(',', nodes)} Default=YES MaxTime=60 State=UP

            """);
        Daemon("/usr/sbin/munged", "--foreground", "--force", "--socket=" + At("munge.sock"), "--key-file=" + At("munge.key"), "--pid-file=" + At("munged.pid"), "--log-file=" + At("munged.log"), "--seed-file=" + At("munged.seed"));
        await UntilAsync(() => Task.FromResult(File.Exists(At("munge.sock"))), "munged listens");
        Daemon("/usr/sbin/slurmctld", "-D", "-c");
        foreach (var node in nodes)
            Daemon("/usr/sbin/slurmd", "-D", "-b", "-N", node);
        await UntilAsync(async () => (await SlurmAsync("sinfo", "-h", "-o", "%D %T")).Output.Trim() == $"{nodes.Length} idle", "all nodes are idle");
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
                await RealLab.RunAsync("kill", [daemon.Id.ToString(CultureInfo.InvariantCulture)]);
            await daemon.WaitForExitAsync();
            daemon.Dispose();
        }
    }
}
