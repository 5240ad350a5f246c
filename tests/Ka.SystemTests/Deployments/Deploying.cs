namespace Ka.SystemTests.Deployments;

/// <summary>The main path on real machines: nothing here is simulated.</summary>
[Collection("real machines")]
public sealed class Deploying(RealLab lab)
{
    [Fact]
    public async Task Four_machines_are_deployed_and_carry_exactly_what_was_packed()
    {
        await lab.ServeAsync(RealLab.Patient() + "\nbroadcast: { encrypt: true }\n");
        var id = await lab.BeginAsync("tiny", "node[1-4]");
        var second = await lab.KaAsync("deploy", "tiny", "-w", "node[3-4]", "--no-wait");
        Assert.Equal(75, second.Status);
        Assert.Contains($"node[3-4] held by {id}", second.Talk, StringComparison.Ordinal);

        var watched = await lab.KaAsync("ops", "watch", id, "-o", "json");
        var ended = await lab.ShowAsync(id);
        Assert.True(watched.Status == 0, RealLab.Summary(ended) + watched.Talk);
        Assert.Equal("node[1-4]", ended.Ok);
        foreach (var node in (string[])["node1", "node2", "node3", "node4"])
        {
            Assert.Equal(node, await lab.SshAsync(node, "hostname"));
            Assert.Contains("/dev/vda3 / ext4", await lab.SshAsync(node, "cat /proc/mounts"), StringComparison.Ordinal);
            // GRUB would have put BOOT_IMAGE here: this kernel was started by kexec.
            Assert.DoesNotContain("BOOT_IMAGE", await lab.SshAsync(node, "cat /proc/cmdline"), StringComparison.Ordinal);
            Assert.Contains("as packed", await lab.SshAsync(node, "sh /usr/share/ka-fidelity/verify"), StringComparison.Ordinal);
        }
        // One of each firmware, read from outside while it is off.
        foreach (var node in (string[])["node1", "node3"])
        {
            await lab.SshAsync(node, "sync");
            await lab.LabAsync("power", node, "off");
            await DiskComparison.HoldsAsync(Path.Combine(RealLab.State, node, "disk.raw"), 3, Path.Combine(RealLab.Work, "tiny", "tiny.tar.zst"));
        }
    }

    static bool HasReceived(Ka.Protocol.Rest.NodeProgress node, int percent) =>
        node.Step == "send_image" ? node is { Done: > 0, Total: { } total } && node.Done * 100 >= total * percent : node.Macro >= 2;

    /// <summary>A file and a tree come to all running systems; one that cannot be reached is named and holds nobody up.</summary>
    async Task CopiesAsync()
    {
        var tree = Directory.CreateDirectory(Path.Combine(RealLab.State, "tree")).FullName;
        Directory.CreateDirectory(Path.Combine(tree, "deep"));
        await File.WriteAllTextAsync(Path.Combine(tree, "deep", "says"), "copied\n");
        File.CreateSymbolicLink(Path.Combine(tree, "link"), "deep/says");
        var whole = await lab.KaInsideAsync("copy", tree, "-w", "node[2-3]", "/srv/tree", "-i", lab.Key);
        Assert.True(whole.Status == 0, whole.ToString());
        var file = await lab.KaInsideAsync("copy", Path.Combine(tree, "deep", "says"), "-w", "node[2-3]", "/var/", "-i", lab.Key);
        Assert.True(file.Status == 0, file.ToString());
        foreach (var node in (string[])["node2", "node3"])
            Assert.Equal("copied copied", await lab.SshAsync(node, "echo $(cat /srv/tree/link) $(cat /var/says)"));
        var partly = await lab.KaInsideAsync("copy", tree, "-w", "node[2,4]", "/srv/again", "-i", lab.Key);
        Assert.True(partly.Status == 3, partly.ToString());
        Assert.Contains("node4: absent:", partly.Output, StringComparison.Ordinal);
        Assert.Equal("copied", await lab.SshAsync("node2", "cat /srv/again/deep/says"));
    }

    [Fact]
    public async Task Debian_is_deployed_through_a_server_crash_and_boots_from_its_own_disk_by_its_own_grub()
    {
        await lab.ServeAsync(RealLab.Patient("classical"));
        await lab.MustKaAsync("env", "apply", "-f", Path.Combine(RealLab.Work, "debian12", "debian12.yaml"));
        var id = await lab.BeginAsync("debian12", "node2,node3");
        // Each time the nodes go on from what they have: no step fails, and nobody's bytes become fewer.
        var had = new Dictionary<string, long>();
        foreach (var percent in (int[])[1, 25, 50, 75, 99])
        {
            var seen = await lab.UntilAsync(id, $"{percent} % is there", o => o.PerNode.Any(n => HasReceived(n, percent)), TimeSpan.FromMinutes(5));
            foreach (var node in seen.PerNode.Where(n => n is { Step: "send_image", Done: > 0 }))
            {
                Assert.True(node.Done >= had.GetValueOrDefault(node.Node), $"{node.Node} had {had.GetValueOrDefault(node.Node)} bytes and has {node.Done}");
                had[node.Node] = node.Done;
            }
            lab.Kill();
            TestContext.Current.SendDiagnosticMessage($"killed at {string.Join(", ", seen.PerNode.Select(n => $"{n.Node} {n.Step} {100.0 * n.Done / Math.Max(1, n.Total ?? 1):0} %"))}");
            await lab.StartAsync();
        }
        var ended = await lab.EndAsync(id, TimeSpan.FromMinutes(15));
        Assert.True(ended.State == "done", RealLab.Summary(ended));
        Assert.DoesNotContain(" fault ", (await lab.KaAsync("ops", "watch", id)).Talk, StringComparison.Ordinal);

        // DHCP, TFTP and HTTP are gone with the server; what boots now comes from the disk alone.
        lab.Kill();
        string[] nodes = ["node2", "node3"];
        var consoles = nodes.ToDictionary(n => n, n => new FileInfo(Path.Combine(RealLab.State, n, "serial.log")).Length);
        foreach (var node in nodes)
        {
            await IpmiAsync(node, "chassis", "bootdev", "disk");
            await IpmiAsync(node, "chassis", "power", "off");
            await IpmiAsync(node, "chassis", "power", "on");
        }
        foreach (var node in nodes)
            await RealLab.UntilAsync($"{node} shows its login prompt", async () => (await ConsoleAsync(node, consoles[node])).Contains($"{node} login:", StringComparison.Ordinal) ? "yes" : null, TimeSpan.FromMinutes(6));
        await lab.StartAsync();
        foreach (var node in nodes)
        {
            var line = await RealLab.UntilAsync(
                $"{node} answers by ssh",
                async () => await RealLab.RunAsync(Path.Combine(AppContext.BaseDirectory, "ka-lab"), ["ssh", "--name", RealLab.Name, node, "-i", lab.Key, "cat /proc/cmdline; hostname"]) is { Status: 0 } e ? e.Output : null,
                TimeSpan.FromMinutes(4));
            Assert.Contains("BOOT_IMAGE=", line, StringComparison.Ordinal);
            Assert.Contains(node, line, StringComparison.Ordinal);
            // Who knows the site's authority knows every node, whatever its host key is by now.
            var known = Path.Combine(RealLab.State, "authority");
            var lines = (await lab.MustKaAsync("ssh", "--known-hosts", node)).Output.Split('\n');
            await File.WriteAllTextAsync(known, string.Concat(lines.Where(l => l.StartsWith("@cert-authority", StringComparison.Ordinal)).Select(l => l + "\n")));
            Assert.Equal(node, (await RealLab.MustAsync(
                "ip",
                [
                    "netns", "exec", "ka-" + RealLab.Name, "ssh", "-F", "none", "-i", lab.Key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
                    "-o", $"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none", "-o", $"HostKeyAlias={node}", $"root@{await AddressAsync(node)}", "hostname",
                ])).Output.Trim());
        }
        await CopiesAsync();
    }

    async Task<string> AddressAsync(string node) =>
        System.Text.Json.JsonDocument.Parse((await lab.MustKaAsync("nodes", "show", node, "-o", "json")).Output).RootElement.GetProperty("address").GetString()!;

    async Task IpmiAsync(string node, params string[] arguments)
    {
        string[] command = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.1." + node["node".Length..], "-U", "admin", "-f", Path.Combine(RealLab.State, "bmc.password"), .. arguments];
        var ended = await lab.LabAsync(["exec", "--", .. command]);
        Assert.True(ended.Status == 0, ended.ToString());
    }

    static async Task<string> ConsoleAsync(string node, long from)
    {
        await using var file = new FileStream(Path.Combine(RealLab.State, node, "serial.log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.Position = Math.Min(from, file.Length);
        using var reader = new StreamReader(file);
        return await reader.ReadToEndAsync();
    }
}
