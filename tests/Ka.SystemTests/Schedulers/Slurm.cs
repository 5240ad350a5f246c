using System.Text.Json;
using Ka.Protocol.Rest;

namespace Ka.SystemTests.Schedulers;

/// <summary>A real Slurm: one controller, two slurmd, the scripts as they are shipped.</summary>
public sealed class Slurm
{
    [Fact]
    public async Task A_job_gives_its_user_its_nodes_and_takes_them_back_rebooted()
    {
        await using var site = await SlurmSite.StartAsync();
        var before = await site.KaAsNobodyAsync("deploy", "debian12", "-w", "gris-[1-2]", "--dry-run");
        Assert.True(before.Status == 77, before.ToString());

        // No node is named: those of the job are meant.
        var job = await site.Slurm.JobAsync("ka rights check - deploy -w \"$SLURM_JOB_NODELIST\" && ka deploy debian12 --dry-run && ka rights ls -o json", minutes: 1);
        Assert.True(job.Status == 0, job.ToString());
        Assert.Contains("allowed  gris-[1-2]", job.Output, StringComparison.Ordinal);
        Assert.Contains("2 node(s)", job.Output, StringComparison.Ordinal);
        var grant = Assert.Single(JsonSerializer.Deserialize(job.Output[job.Output.IndexOf("[\n", StringComparison.Ordinal)..], RestJson.Default.GrantReplyArray)!);
        Assert.Equal(("nobody", "gris-[1-2]", "job:1", "in force"), (grant.Subject, grant.Nodes, grant.Source, grant.State));
        Assert.InRange(grant.Until!.Value - grant.GrantedAt, TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(61));

        await site.Slurm.UntilAsync(async () => (await site.KaAsync("rights", "check", "nobody", "deploy", "-w", "gris-[1-2]")).Status == 77, "the right is gone");
        Assert.Equal(77, (await site.KaAsNobodyAsync("deploy", "debian12", "-w", "gris-[1-2]", "--dry-run")).Status);
        OperationReply[] operations = [];
        await site.Slurm.UntilAsync(async () =>
        {
            operations = JsonSerializer.Deserialize((await site.KaAsync("ops", "ls", "-o", "json")).Output, RestJson.Default.OperationReplyArray)!;
            return operations is [{ State: not "running" }];
        }, "the nodes are rebooted");
        var reboot = Assert.Single(operations);
        Assert.Equal(("reboot to debian12:1", "done", "root", "gris-[1-2]"), (reboot.Wish, reboot.State, reboot.Owner, reboot.Ok));
        Assert.Equal((1, 1), (site.Boots("gris-1"), site.Boots("gris-2")));
        // Until its slurmd is back nobody else gets a node.
        Assert.DoesNotContain("idle", (await site.Slurm.SlurmAsync("sinfo", "-h", "-o", "%T")).Output.Split('\n'));
    }
}
