using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>Machines that get their image by each way in which nodes give to each other, chosen on the command line, while one of them is lost.</summary>
[Collection("real machines"), Trait("scope", "long")]
public sealed class WaysToBroadcast(RealLab lab)
{
    const string Site = """
        broadcast: { multicast: { group: 239.192.75.1, rate: 50mbit } }
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 300s } ]
          boot: [ { do: kexec, timeout: 300s } ]
        limits: { gather: 120s }
        """;

    [Theory]
    [InlineData("chain")]
    [InlineData("tree")]
    [InlineData("two-trees")]
    [InlineData("swarm")]
    [InlineData("multicast")]
    public async Task One_machine_is_lost_on_the_way_and_the_others_are_deployed(string way)
    {
        await lab.ServeAsync(Site);
        var begun = await lab.MustKaAsync("deploy", "tiny", "-w", "node[1-4]", "-k", lab.Key + ".pub", "--broadcast", way, "--no-wait");
        var id = begun.Output.Trim();
        await lab.UntilAsync(id, "node2 receives", o => o.PerNode.Any(n => n is { Node: "node2", State: "running", Step: "send_image", Done: > 0 }), TimeSpan.FromMinutes(6));
        var broken = await lab.LabAsync("break", "node2", "--how", "off");
        Assert.True(broken.Status == 0, broken.ToString());
        var ended = await lab.EndAsync(id, TimeSpan.FromMinutes(8));
        Assert.True(ended is { Ok: "node[1,3-4]", Failed: "node2" }, RealLab.Summary(ended));
        Assert.StartsWith(way + " (", ended.Broadcast!, StringComparison.Ordinal);
        foreach (var node in (string[])["node1", "node3", "node4"])
            Assert.Equal(node, await lab.SshAsync(node, "hostname"));
    }

    /// <summary>The program that the site names: a copy by ssh to one node after another.</summary>
    const string Bring = """
        #!/bin/sh
        set -eu
        while read -r node; do
            ssh -F none -i KEY -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "root@$node" "cat >'$3'" <"$1" && echo "$node" >>"$4"
        done <"$2"
        """;

    [Theory]
    [InlineData("torrent")]
    [InlineData("custom")]
    public async Task By_a_torrent_and_by_the_site_s_own_program_machines_of_both_firmwares_are_deployed(string way)
    {
        var bring = Path.Combine(RealLab.State, "bring.sh");
        await File.WriteAllTextAsync(bring, Bring.Replace("KEY", lab.Key, StringComparison.Ordinal));
        File.SetUnixFileMode(bring, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await lab.ServeAsync(Site.Replace("broadcast: {", $"broadcast: {{ custom: [\"{bring}\", \"{{image}}\", \"{{nodes}}\", \"{{destination}}\", \"{{ok}}\"],", StringComparison.Ordinal));
        var deployed = await lab.KaAsync("deploy", "tiny", "-w", "node[1,3]", "-k", lab.Key + ".pub", "--broadcast", way, "--yes");
        Assert.True(deployed.Status == 0, deployed.ToString());
        foreach (var node in (string[])["node1", "node3"])
            Assert.Equal(node, await lab.SshAsync(node, "hostname"));
    }
}
