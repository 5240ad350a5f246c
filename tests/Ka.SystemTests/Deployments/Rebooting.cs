using System.Text.Json;
using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>Power and reboots of a real machine behind a real BMC.</summary>
[Collection("real machines"), Trait("scope", "long")]
public sealed class Rebooting(RealLab lab)
{
    const string Patient = """
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 600s, first-sign: 300s } ]
          boot: [ { do: kexec, timeout: 600s }, { do: hard-reboot, level: hard, timeout: 600s } ]
        """;

    [Fact]
    public async Task A_machine_is_switched_and_rebooted_into_its_disk_the_minimal_environment_and_a_profile()
    {
        await lab.ServeAsync(Patient);
        Assert.Contains("by socket", (await lab.MustKaAsync("whoami")).Output, StringComparison.Ordinal);
        Assert.Equal("off", await PowerAsync());
        var deployed = await lab.EndAsync(await lab.BeginAsync("tiny", "node1"), TimeSpan.FromMinutes(20));
        Assert.True(deployed.State == "done", RealLab.Summary(deployed));
        Assert.Equal("on", await PowerAsync());

        // Another environment is not what is there; the one that is comes up again from the disk, by GRUB.
        Assert.Equal(65, (await lab.KaAsync("reboot", "-w", "node1", "--to", "tiny:99", "--yes")).Status);
        var began = await lab.SshAsync("node1", "cat /proc/sys/kernel/random/boot_id");
        await lab.MustKaAsync("reboot", "-w", "node1", "--to", "tiny", "--level", "hard", "--check-destructive", "--yes", "-q");
        Assert.NotEqual(began, await lab.SshAsync("node1", "cat /proc/sys/kernel/random/boot_id"));
        Assert.Contains("BOOT_IMAGE", await lab.SshAsync("node1", "cat /proc/cmdline"), StringComparison.Ordinal);
        Assert.Equal("deployed", await StateAsync());

        await lab.MustKaAsync("reboot", "-w", "node1", "--to", "minimal", "--level", "hard", "-k", lab.Key + ".pub", "--yes", "-q");
        Assert.Equal("minimal", await StateAsync());

        // The same kernel as on the disk, but from the network and with a line of the user's own.
        await RealLab.MustAsync("tar", ["-x", "-C", RealLab.State, "-f", Path.Combine(RealLab.Work, "tiny", "tiny.tar.zst"), "./boot/vmlinuz", "./boot/initrd.img"]);
        var profile = Path.Combine(RealLab.State, "reboot.yaml");
        await File.WriteAllTextAsync(profile, "kernel: boot/vmlinuz\ninitrd: boot/initrd.img\nparams: root=PARTLABEL=root console=ttyS0,115200 ka.test={{node.name}}\n");
        await lab.MustKaAsync("reboot", "-w", "node1", "--boot-profile", profile, "--level", "hard", "--yes", "-q");
        Assert.Equal("profile", await StateAsync());
        await RealLab.UntilAsync("the kernel of the profile runs", async () => await LineAsync() is { } line && line.Contains(" ka.test=node1", StringComparison.Ordinal) ? line : null, TimeSpan.FromMinutes(4));
        await lab.MustKaAsync("nodes", "forget-profile", "-w", "node1");

        await lab.MustKaAsync("power", "off", "-w", "node1", "--level", "hard", "--yes", "-q");
        Assert.Equal("off", await PowerAsync());
        await lab.MustKaAsync("power", "on", "-w", "node1", "--yes", "-q");
        Assert.Equal("on", await PowerAsync());
        var history = JsonSerializer.Deserialize((await lab.MustKaAsync("nodes", "history", "node1", "-o", "json")).Output, RestJson.Default.RunRowArray)!;
        Assert.Equal(["power", "power", "reboot", "reboot", "reboot", "deploy"], history.Take(6).Select(r => r.Kind));
        await lab.MustKaAsync("power", "off", "-w", "node1", "--level", "hard", "--yes", "-q");
    }

    async Task<string?> LineAsync() => await lab.LabAsync("ssh", "node1", "-i", lab.Key, "cat /proc/cmdline") is { Status: 0 } ended ? ended.Output.Trim() : null;

    async Task<string> PowerAsync() => JsonSerializer.Deserialize((await lab.MustKaAsync("power", "status", "-w", "node1", "-o", "json")).Output, RestJson.Default.PowerReplyArray)!.Single().Power;

    async Task<string> StateAsync() => JsonSerializer.Deserialize((await lab.MustKaAsync("nodes", "show", "node1", "-o", "json")).Output, RestJson.Default.NodeReply)!.State;
}
