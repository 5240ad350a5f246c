using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>Machines taken over without their firmware: by kexec out of the running system, and by the agent that still rests on them.</summary>
[Collection("real machines"), Trait("scope", "wide")]
public sealed class WithoutFirmware(RealLab lab)
{
    const string Site = """
        server-key: true
        variables: { SITE_NAME: nancy }
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 300s } ]
          boot: [ { do: kexec, timeout: 240s }, { do: hard-reboot, timeout: 300s } ]
        """;

    [Fact]
    public async Task A_breakpoint_leaves_agents_that_the_next_deployment_takes_over_and_kexec_leaves_the_system_after_it()
    {
        await lab.ServeAsync(Site);
        var steps = Path.Combine(RealLab.State, "steps.yaml");
        await File.WriteAllTextAsync(Path.Combine(RealLab.State, "motd"), "sent\n");
        await File.WriteAllTextAsync(Path.Combine(RealLab.State, "mark.sh"), "#!/bin/sh\nset -eu\necho \"$1 $KADEPLOY_ENV $SITE_NAME\" >\"$KADEPLOY_ENV_EXTRACTION_DIR/etc/mark\"\n");
        await File.WriteAllTextAsync(steps, """
            BroadcastEnv:
              sync:
                pre-ops:
                  - { name: mark, action: run, file: mark.sh, params: ran }
                  - { name: motd, action: send, file: motd, destination: $KADEPLOY_ENV_EXTRACTION_DIR/etc }
                  - { name: also, action: exec, command: echo also >>$KADEPLOY_ENV_EXTRACTION_DIR/etc/mark }
            """);
        var stopped = await lab.KaAsync("deploy", "tiny", "-w", "node[1,3]", "-k", lab.Key + ".pub", "--yes", "--breakpoint", "BroadcastEnv:send_image");
        Assert.True(stopped.Status == 0, stopped.ToString());
        Assert.Contains("left as they are before BroadcastEnv:send_image", stopped.Output, StringComparison.Ordinal);
        Assert.Equal("ID=ka-minimal", await lab.SshAsync("node1", "grep ^ID= /etc/os-release"));
        Assert.Contains("at breakpoint", (await lab.MustKaAsync("nodes", "ls")).Output, StringComparison.Ordinal);
        var boots = await BootsAsync();

        var trusted = await lab.KaAsync("deploy", "tiny", "-w", "node[1,3]", "-k", lab.Key + ".pub", "--yes", "--strategy", "minimal-env=trusted", "--custom-steps", steps, "-o", "json");
        Assert.True(trusted.Status == 0, trusted.ToString());
        Assert.Equal("node1", await lab.SshAsync("node1", "hostname"));
        Assert.Equal("ran tiny nancy\nalso", await lab.SshAsync("node3", "cat /etc/mark"));
        Assert.Equal("sent", await lab.SshAsync("node1", "cat /etc/motd"));
        Assert.Equal(boots, await BootsAsync());

        var jumped = await lab.KaAsync("deploy", "tiny", "-w", "node[1,3]", "-k", lab.Key + ".pub", "--yes", "--strategy", "minimal-env=kexec", "-o", "json");
        Assert.True(jumped.Status == 0, jumped.ToString());
        Assert.Equal("node3", await lab.SshAsync("node3", "hostname"));
        Assert.NotEqual("sent", await lab.SshAsync("node1", "cat /etc/motd 2>/dev/null || true"));
        Assert.Equal(boots, await BootsAsync());
        await TimesAsync();
    }

    [Fact]
    public async Task A_running_debian_is_compared_with_its_image_and_left_by_kexec()
    {
        await lab.ServeAsync(Site);
        await lab.MustKaAsync("env", "apply", "-f", Path.Combine(RealLab.Work, "debian12", "debian12.yaml"));
        var deployed = await lab.KaAsync("deploy", "debian12", "-w", "node3", "-k", lab.Key + ".pub", "--yes");
        Assert.True(deployed.Status == 0, deployed.ToString());
        var same = await lab.KaAsync("nodes", "verify", "-w", "node3");
        Assert.True(same.Status == 0, same.ToString());

        await lab.SshAsync("node3", "chown 7:7 /usr/bin/env; rm /usr/share/doc/bash/copyright; echo x >>/etc/profile; sync");
        var changed = await lab.KaAsync("nodes", "verify", "-w", "node3", "--mode", "full");
        Assert.Equal(1, changed.Status);
        foreach (var found in (string[])["changed /usr/bin/env: owner", "missing /usr/share/doc/bash/copyright", "changed /etc/profile"])
            Assert.Contains(found, changed.Output, StringComparison.Ordinal);
        Assert.Equal("unknown", System.Text.Json.JsonSerializer.Deserialize(
            (await lab.KaAsync("nodes", "verify", "-w", "node4", "-o", "json")).Output, RestJson.Default.NodeVerifyReplyArray)![0].State);

        var jumped = await lab.KaAsync("deploy", "tiny", "-w", "node3", "-k", lab.Key + ".pub", "--yes", "--strategy", "minimal-env=kexec", "-o", "json");
        Assert.True(jumped.Status == 0, jumped.ToString());
        Assert.Equal("node3", await lab.SshAsync("node3", "hostname"));
    }

    /// <summary>How often the machines went through their firmware: what it writes on the console.</summary>
    static async Task<int> BootsAsync()
    {
        var count = 0;
        foreach (var node in (string[])["node1", "node3"])
        {
            var console = await File.ReadAllTextAsync(Path.Combine(RealLab.State, node, "serial.log"));
            count += console.Split("iPXE initialising devices").Length + console.Split("BdsDxe: starting").Length - 2;
        }
        Assert.True(count > 0, "the firmware writes nothing on the console by which its starts could be counted");
        return count;
    }

    /// <summary>Prints what the three ways took, for people.</summary>
    async Task TimesAsync()
    {
        var listed = await lab.MustKaAsync("ops", "ls", "-o", "json");
        foreach (var operation in System.Text.Json.JsonSerializer.Deserialize(listed.Output, RestJson.Default.OperationReplyArray)!.Take(3))
            TestContext.Current.SendDiagnosticMessage($"{operation.Id} {operation.State} {operation.EndedAt - operation.CreatedAt}");
    }
}
