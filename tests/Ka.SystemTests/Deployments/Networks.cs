namespace Ka.SystemTests.Deployments;

/// <summary>Deployed systems whose network is configured by the file that the deployment wrote.</summary>
[Collection("real machines"), Trait("scope", "wide")]
public sealed class Networks(RealLab lab)
{
    [Fact]
    public async Task Debian_comes_up_by_the_file_that_names_its_interface_and_an_image_without_the_stack_is_refused()
    {
        await lab.ServeAsync("steps: { minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 300s } ], boot: [ { do: kexec, timeout: 600s } ] }");
        var own = await File.ReadAllTextAsync(Path.Combine(RealLab.Work, "debian12", "debian12.yaml"));
        var description = Path.Combine(RealLab.Work, "debian12", "networkd.yaml");
        await File.WriteAllTextAsync(description, own.Replace("name: debian12", "name: debian12-networkd", StringComparison.Ordinal) + "network: systemd-networkd\n");
        await lab.MustKaAsync("env", "apply", "-f", description);
        var deployed = await lab.KaAsync("deploy", "debian12-networkd", "-w", "node3", "-k", lab.Key + ".pub", "--yes");
        Assert.True(deployed.Status == 0, deployed.ToString());
        Assert.Equal("NETWORK_FILE=/etc/systemd/network/10-ka.network", await lab.SshAsync("node3", "grep -h ^NETWORK_FILE= /run/systemd/netif/links/*"));

        // The same asked of a stack that the image does not have ends with what it lacks, and nothing is booted.
        await File.WriteAllTextAsync(description, own.Replace("name: debian12", "name: debian12-manager", StringComparison.Ordinal) + "network: networkmanager\n");
        await lab.MustKaAsync("env", "apply", "-f", description);
        var refused = await lab.KaAsync("deploy", "debian12-manager", "-w", "node3", "-k", lab.Key + ".pub", "--yes", "--strategy", "install=chain:0");
        Assert.Equal(1, refused.Status);
        Assert.Contains("image.lacks_package in BroadcastEnv / network", refused.Output, StringComparison.Ordinal);
        Assert.Contains("lacks the package 'network-manager'", refused.Output, StringComparison.Ordinal);
    }
}
