namespace Ka.SystemTests.Deployments;

/// <summary>Machines whose deployed system is booted from the network with a kernel of the user's own.</summary>
[Collection("real machines"), Trait("scope", "wide")]
public sealed class BootProfiles(RealLab lab)
{
    [Fact]
    public async Task A_kernel_of_the_users_own_boots_the_deployed_root_with_each_nodes_own_line_until_it_is_forgotten()
    {
        await lab.ServeAsync("steps: { minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 300s } ] }");
        await RealLab.MustAsync("tar", ["-x", "-C", RealLab.State, "-f", Path.Combine(RealLab.Work, "tiny", "tiny.tar.zst"), "./boot/vmlinuz", "./boot/initrd.img"]);
        var profile = Path.Combine(RealLab.State, "profile.yaml");
        await File.WriteAllTextAsync(profile, """
            kernel: boot/vmlinuz
            initrd: ./boot/initrd.img
            params: >
              root=PARTLABEL=root console=ttyS0,115200 ka.test={{node.name}} ka.at={{ node.address }}
            """);
        string[] deploy = ["deploy", "tiny", "-w", "node[1,3]", "-k", lab.Key + ".pub", "--boot-profile", profile];
        var planned = await lab.MustKaAsync([.. deploy, "--dry-run"]);
        Assert.Contains("boots     kernel boot/vmlinuz", planned.Output, StringComparison.Ordinal);
        Assert.Contains("node1: root=PARTLABEL=root console=ttyS0,115200 ka.test=node1", planned.Output, StringComparison.Ordinal);

        var deployed = await lab.KaAsync([.. deploy, "--yes", "--no-bootloader"]);
        Assert.True(deployed.Status == 0, deployed.ToString());
        Assert.Contains($"   boot {profile} from the network until another deployment", deployed.Output, StringComparison.Ordinal);
        foreach (var node in (string[])["node1", "node3"])
        {
            Assert.Equal(node, await lab.SshAsync(node, "hostname"));
            Assert.Contains($" ka.test={node} ", await lab.SshAsync(node, "cat /proc/cmdline"), StringComparison.Ordinal);
        }

        // It stays over the end of the operation and of the server: there is no bootloader on the disk that could boot instead.
        lab.Kill();
        await lab.StartAsync();
        var boot = await lab.SshAsync("node1", "cat /proc/sys/kernel/random/boot_id");
        Assert.Equal(0, (await lab.LabAsync("power", "node1", "reset")).Status);
        await RealLab.UntilAsync("node1 boots again", async () => await BootOf("node1") is { } now && now != boot ? now : null, TimeSpan.FromMinutes(4));
        Assert.Contains(" ka.test=node1 ", await lab.SshAsync("node1", "cat /proc/cmdline"), StringComparison.Ordinal);
        Assert.Contains("\"bootProfile\"", (await lab.MustKaAsync("nodes", "show", "node1")).Output, StringComparison.Ordinal);
        Assert.Contains("node[1,3] boot from their local disks", (await lab.MustKaAsync("nodes", "forget-profile", "-w", "node[1-4]")).Output, StringComparison.Ordinal);
        Assert.DoesNotContain("\"bootProfile\"", (await lab.MustKaAsync("nodes", "show", "node1")).Output, StringComparison.Ordinal);
    }

    async Task<string?> BootOf(string node)
    {
        var ended = await lab.LabAsync("ssh", node, "-i", lab.Key, "cat /proc/sys/kernel/random/boot_id");
        return ended.Status == 0 ? ended.Output.Trim() : null;
    }
}
