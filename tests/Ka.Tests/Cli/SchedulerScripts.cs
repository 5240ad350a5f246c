using System.Diagnostics;
using Ka.Cli.Commands;
using Ka.Tests.House;

namespace Ka.Tests.Cli;

/// <summary>The scripts for batch schedulers, over a ka that only writes down what it is told. Slurm itself is in the system tests.</summary>
public sealed class SchedulerScripts : IDisposable
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    readonly TemporaryDirectory _directory = new();

    public SchedulerScripts()
    {
        // Fails with what a file named like the first two words says.
        Program("ka", $"echo \"$*\" >> '{_directory["told"]}'\nif [ -e '{_directory.Path}'/\"$1-$2\" ]; then cat '{_directory.Path}'/\"$1-$2\" >&2; exit 1; fi\nif [ -e '{_directory["busy"]}' ]; then rm '{_directory["busy"]}'; exit 75; fi\n");
        Program("sleep", "");
        Program("squeue", "echo 2026-11-22T18:00:00\n");
        Program("scontrol", $"echo \"scontrol $*\" >> '{_directory["told"]}'\n");
        Program("logger", "");
        _directory.Write("scheduler.conf", $"KA='{_directory["ka"]}'\nSITE_ENVIRONMENT=debian12:7\nPBS_HOME='{_directory["pbs"]}'\nPATH='{_directory.Path}':$PATH\n");
        _directory.Write("told", "");
    }

    public void Dispose() => _directory.Dispose();

    void Program(string name, string text) =>
        File.SetUnixFileMode(_directory.Write(name, "#!/bin/sh\n" + text), UnixFileMode.UserRead | UnixFileMode.UserExecute);

    /// <summary>The status of a script, and what it told ka and the scheduler.</summary>
    async Task<(int Status, string[] Told)> RunAsync(string script, string[] words, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Path.Combine(Repository.Root, "packaging", "schedulers", script), words) { RedirectStandardError = true };
        start.Environment["KA_SCHEDULER_CONFIG"] = _directory["scheduler.conf"];
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        await process.StandardError.ReadToEndAsync(Cancel);
        await process.WaitForExitAsync(Cancel);
        var told = await File.ReadAllLinesAsync(_directory["told"], Cancel);
        // Whatever they tell ka, ka understands.
        foreach (var line in told.Where(l => !l.StartsWith("scontrol", StringComparison.Ordinal)))
            Assert.Empty(CommandTree.Build().Parse(line).Errors.Select(e => $"{line}: {e.Message}"));
        return (process.ExitCode, told);
    }

    [Fact]
    public async Task OAR_gives_the_right_for_the_walltime_and_takes_it_back()
    {
        Assert.Equal(
            (0, "rights revoke --source job:17", "rights grant alice --source job:17 --until +3600s --nodes-file /var/lib/oar/17"),
            await RunAsync("oar/prologue", ["17", "alice", "/var/lib/oar/17", "3600"]) is (var status, [var first, var second]) ? (status, first, second) : default);
        _directory.Write("told", "");
        Assert.Equal(
            (0, "rights revoke --source job:17", "reboot --to debian12:7 --check-destructive --yes --quiet --nodes-file /var/lib/oar/17"),
            await RunAsync("oar/epilogue", ["17", "alice", "/var/lib/oar/17"]) is (var after, [var revoke, var reboot]) ? (after, revoke, reboot) : default);
    }

    [Theory]
    [InlineData("walltime=01:02:03,nodes=2", "+3723s")]
    [InlineData("ncpus=4,walltime=90", "+90s")]
    [InlineData("walltime=1:00:00:00", "+86400s")]
    public async Task PBS_gives_the_right_for_the_walltime(string limits, string until)
    {
        var (status, told) = await RunAsync("pbs/prologue", ["7.server", "bob", "users", "job", limits, "batch", ""]);
        Assert.Equal((0, $"rights grant bob --source job:7.server --until {until} --nodes-file {_directory["pbs"]}/aux/7.server"), (status, told[^1]));
    }

    [Fact]
    public async Task A_node_that_has_something_else_is_deployed_anew()
    {
        _directory.Write("reboot---to", "ka: debian12:7 is not what was last deployed  (reboot.not_deployed)\n");
        var (status, told) = await RunAsync("pbs/epilogue", ["7.server", "bob", "users"]);
        Assert.Equal((0, $"deploy debian12:7 --yes --quiet --nodes-file {_directory["pbs"]}/aux/7.server"), (status, told[^1]));
        _directory.Write("deploy-debian12:7", "no\n");
        Assert.NotEqual(0, (await RunAsync("slurm/reboot", ["n1,n2"])).Status);
    }

    [Fact]
    public async Task Nodes_that_a_user_still_holds_are_waited_for()
    {
        _directory.Write("rights-revoke", "ka: there is no rule for job:17  (rights.unknown)\n");
        _directory.Write("busy", "");
        var (status, told) = await RunAsync("oar/epilogue", ["17", "alice", "/f"]);
        Assert.Equal(0, status);
        Assert.Equal([told[1], told[1]], told[1..]);
    }

    [Fact]
    public async Task A_right_that_is_gone_already_is_no_failure_but_one_that_stays_is()
    {
        _directory.Write("rights-revoke", "ka: there is no rule for job:17  (rights.unknown)\n");
        Assert.Equal(0, (await RunAsync("oar/epilogue", ["17", "alice", "/f"])).Status);
        _directory.Write("rights-revoke", "ka: the server does not answer  (server.unreachable)\n");
        Assert.NotEqual(0, (await RunAsync("oar/epilogue", ["17", "alice", "/f"])).Status);
        _directory.Write("told", "");
        var (status, told) = await RunAsync("oar/prologue", ["17", "alice", "/f", "60"]);
        Assert.NotEqual(0, status);
        Assert.DoesNotContain(told, l => l.StartsWith("rights grant", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_job_without_a_right_does_not_begin()
    {
        _directory.Write("rights-grant", "ka: no cluster of this server has n9  (nodes.unknown)\n");
        Assert.NotEqual(0, (await RunAsync("slurm/prolog-slurmctld", [], ("SLURM_JOB_ID", "5"), ("SLURM_JOB_USER", "alice"), ("SLURM_JOB_NODELIST", "n[8-9]"))).Status);
        Assert.NotEqual(0, (await RunAsync("oar/prologue", ["17", "@staff", "/f", "60"])).Status);
    }

    [Fact]
    public async Task Slurm_reboots_the_nodes_itself_when_a_job_has_ended()
    {
        (string, string)[] job = [("SLURM_JOB_ID", "5"), ("SLURM_JOB_USER", "alice"), ("SLURM_JOB_NODELIST", "n[8-9]")];
        Assert.Equal("rights grant alice --source job:5 --until 2026-11-22T18:00:00 -w n[8-9]", (await RunAsync("slurm/prolog-slurmctld", [], job)).Told[^1]);
        Assert.Equal("scontrol reboot ASAP nextstate=RESUME reason=ka: after job 5 n[8-9]", (await RunAsync("slurm/epilog-slurmctld", [], job)).Told[^1]);
        Assert.Equal("reboot --to debian12:7 --check-destructive --yes --quiet -w n8,n9", (await RunAsync("slurm/reboot", ["n8,n9"])).Told[^1]);
        Assert.NotEqual(0, (await RunAsync("slurm/reboot", [])).Status);
    }
}
