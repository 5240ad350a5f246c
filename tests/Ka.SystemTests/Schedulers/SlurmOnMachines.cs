using System.Text.Json;
using Ka.Protocol.Rest;
using Ka.SystemTests.Deployments;

namespace Ka.SystemTests.Schedulers;

/// <summary>Jobs of a real Slurm on real machines; its slurmd run beside the server, under the machines' names.</summary>
[Collection("real machines"), Trait("scope", "long")]
public sealed class SlurmOnMachines(RealLab lab)
{
    [Fact]
    public async Task A_user_deploys_in_a_job_and_after_it_the_nodes_are_rebooted_into_what_they_have()
    {
        SlurmCluster.SkipUnlessInstalled();
        await lab.ServeAsync(RealLab.Patient());
        await lab.MustKaAsync("env", "set", "tiny", "--visibility", "public");
        var server = $"/run/ka/lab/{RealLab.Name}/kad.sock";
        // Users of the site may reach the server's socket; those of a lab may not.
        File.SetUnixFileMode(Path.GetDirectoryName(server)!, (UnixFileMode)0b111_001_001);
        var directory = Directory.CreateTempSubdirectory("ka-slurm-").FullName;
        try
        {
            File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101);
            await using var slurm = await SlurmCluster.StartAsync(Path.Combine(directory, "cluster"), server, ["node1", "node2"], "tiny");
            var key = await File.ReadAllTextAsync(lab.Key + ".pub");
            var job = await slurm.JobAsync($"echo '{key.Trim()}' > $TMPDIR/key.$SLURM_JOB_ID && ka deploy tiny -k $TMPDIR/key.$SLURM_JOB_ID --yes", minutes: 20);
            Assert.True(job.Status == 0, job.ToString());

            await slurm.UntilAsync(async () => (await lab.KaAsync("rights", "check", "nobody", "deploy", "-w", "node[1-2]")).Status == 77, "the right is gone");
            var deployed = (await OperationsAsync()).First(o => o.Wish?.Contains("tiny", StringComparison.Ordinal) == true && o.Owner == "nobody");
            Assert.Equal(("done", "node[1-2]"), (deployed.State, deployed.Ok));
            await RealLab.UntilAsync("the nodes are rebooted", async () => (await OperationsAsync())[0] is { Owner: "root", State: "done", Ok: "node[1-2]" } reboot && reboot.Wish?.StartsWith("reboot", StringComparison.Ordinal) == true ? "yes" : null, TimeSpan.FromMinutes(8));
            foreach (var node in (string[])["node1", "node2"])
            {
                // kexec had put no such word there: this is the system on the disk, started by its own GRUB, with the user's key.
                Assert.Contains("BOOT_IMAGE=", await lab.SshAsync(node, "cat /proc/cmdline"), StringComparison.Ordinal);
            }
        }
        finally
        {
            File.SetUnixFileMode(Path.GetDirectoryName(server)!, (UnixFileMode)0b111_000_000);
            Directory.Delete(directory, recursive: true);
        }
    }

    async Task<OperationReply[]> OperationsAsync() => JsonSerializer.Deserialize((await lab.MustKaAsync("ops", "ls", "-o", "json")).Output, RestJson.Default.OperationReplyArray)!;
}
