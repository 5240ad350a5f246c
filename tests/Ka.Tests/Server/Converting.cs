using Ka.Core.Nodes;
using Ka.Server.Configuration;
using Ka.Server.Configuration.Conversion;
using Ka.Simulation;

namespace Ka.Tests.Server;

/// <summary>A configuration of Kadeploy3 with two clusters becomes one of Ka that loads and deploys.</summary>
public sealed class Converting
{
    const string Server = """
        database:
          kind: mysql
          host: localhost
        rights:
          almighty_users: root,oar
        security:
          secure_server: true
        windows:
          reboot: { size: 20, sleep_time: 10 }
        pxe:
          dhcp:
            method: PXElinux
            repository: /var/lib/tftpboot
            export: { kind: tftp, server: 10.0.65.254 }
        network:
          vlan: { hostname_suffix: -kavlan-VLAN_ID, set_cmd: "echo kavlan -s -i VLAN_ID NODES" }
        hooks:
          end_of_deployment: echo after WORKFLOW_ID
          end_of_power: echo switched WORKFLOW_ID
        """;

    const string Clusters = """
        clusters:
          - name: griffon
            conf_file: /etc/kadeploy3/griffon-cluster.conf
            nodes:
              - { name: "griffon-[1-3].site", address: "10.0.65.[1-3]" }
          - name: graphite
            prefix: g
            conf_file: graphite-cluster.conf
            nodes:
              - { name: graphite-1.site, address: 10.0.66.1 }
        """;

    const string Griffon = """
        partitioning:
          block_device: /dev/sda
          partitions: { swap: 1, prod: 2, deploy: 3, tmp: -1 }
          script: /etc/kadeploy3/parted.sh
        boot:
          install_bootloader: /etc/kadeploy3/boot.sh
          kernels:
            user: { params: "console=ttyS1,38400n8" }
            deploy: { vmlinuz: vmlinuz-3.2, initrd: initrd-3.2 }
        timeouts: { reboot: 200 + 150 * Math.log(n), kexec: 60 }
        remoteops:
          reboot:
            - { name: soft, cmd: "DEFAULT_CONNECTOR root@HOSTNAME_FQDN reboot" }
            - { name: hard, cmd: "ipmitool -H HOSTNAME_SHORT-bmc -U admin -f /etc/bmc chassis power reset | logger" }
          power_on:
            - { name: hard, cmd: "ipmitool -H HOSTNAME_SHORT-bmc chassis power on" }
          power_off:
            - { name: soft, cmd: "ssh root@HOSTNAME_FQDN poweroff" }
            - { name: hard, cmd: "ipmitool -H HOSTNAME_SHORT-bmc chassis power off" }
          power_status:
            - { cmd: "ipmitool -H HOSTNAME_SHORT-bmc chassis power status" }
          console:
            - { cmd: "conman HOSTNAME_SHORT" }
        automata:
          macrosteps:
            SetDeploymentEnv:
              - { type: SetDeploymentEnvUntrusted, retries: 2, timeout: 900 }
            BroadcastEnv:
              - { type: Kascade, retries: 1, timeout: 1000 }
            BootNewEnv:
              - { type: BootNewEnvKexec, timeout: 180 }
              - { type: BootNewEnvPivotRoot }
              - { type: BootNewEnvHardReboot, timeout: 900 }
        """;

    const string Graphite = """
        partitioning:
          block_device: /dev/sda
          partitions: { deploy: 3 }
        """;

    static (Converted Converted, TemporaryDirectory Directory) Convert(string griffon = Griffon)
    {
        var directory = new TemporaryDirectory();
        directory.Write("old/server.conf", Server);
        directory.Write("old/clusters.conf", Clusters);
        directory.Write("old/griffon-cluster.conf", griffon);
        directory.Write("old/graphite-cluster.conf", Graphite);
        directory.Write("old/command.conf", "griffon-2.site:\n  power_status: virsh domstate HOSTNAME_SHORT\n  console: virsh console x\n");
        return (SiteConversion.Convert(directory["old"]), directory);
    }

    [Fact]
    public void It_loads_and_both_clusters_deploy_in_the_simulator()
    {
        var (converted, directory) = Convert();
        using var _ = directory;
        Assert.False(converted.Failed, string.Join('\n', converted.Notes));
        foreach (var (path, text) in converted.Files)
            directory.Write("new/" + path, text);
        var reading = SiteReader.Read(directory["new/ka.yaml"]);
        Assert.True(reading.Site is not null, string.Join('\n', reading.Findings));
        var site = reading.Site!;
        Assert.Equal(["root", "oar"], site.Auth.Admins);
        Assert.Equal("10.0.65.254", site.Nodes.Address.ToString());
        Assert.Equal(["griffon-1.site", "griffon-2.site", "griffon-3.site", "graphite-1.site"], site.AllNodes.Select(n => n.Node.Name));
        Assert.Equal(["10.0.65.1", "10.0.65.2", "10.0.65.3", "10.0.66.1"], site.AllNodes.Select(n => n.Node.Address));
        var griffon = site.Clusters[0];
        Assert.Equal([("untrusted", 2, 900.0)], griffon.MinimalEnv.Select(s => (s.Do, s.Retries, s.Timeout.TotalSeconds)));
        Assert.Equal([("chain", 1, 1000.0)], griffon.Install.Select(s => (s.Do, s.Retries, s.Timeout.TotalSeconds)));
        Assert.Equal(["kexec", "hard-reboot"], griffon.Boot.Select(s => s.Do));
        Assert.Equal(20, griffon.RebootWindow);
        Assert.Equal([("swap", false), ("prod", true), ("deploy", false)], griffon.Nodes[0].Layout.Partitions.Select(p => (p.Name, p.Keep)));
        foreach (var cluster in site.Clusters)
        {
            // In virtual time there is nothing to measure by which a way to broadcast could be chosen.
            var simulated = cluster with { Install = Core.Clusters.Cluster.DefaultInstall };
            var outcome = SimulatedDeployment.Run(new Roster([.. cluster.Nodes.Select(n => n.Name)]), 1, SimulatedHardware.Sound, [], simulated);
            Assert.True(outcome.Ko.IsEmpty, cluster.Name);
        }
    }

    [Fact]
    public void Commands_become_scripts_that_mean_the_same_and_a_node_has_its_own()
    {
        var (converted, directory) = Convert();
        using var _ = directory;
        Assert.EndsWith("ipmitool -H \"${1%%.*}\"-bmc -U admin -f /etc/bmc chassis power reset | logger\n", converted.Files["scripts/griffon-reset.sh"], StringComparison.Ordinal);
        Assert.EndsWith("virsh domstate \"${1%%.*}\"\n", converted.Files["scripts/griffon-griffon-2.site-status.sh"], StringComparison.Ordinal);
        Assert.Contains("scripts/griffon-griffon-2.site-status.sh", converted.Files["clusters/griffon.yaml"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Consoles_hooks_and_VLANs_are_those_of_before()
    {
        var (converted, directory) = Convert();
        using var _ = directory;
        foreach (var (path, text) in converted.Files)
            directory.Write("new/" + path, text);
        var site = SiteReader.Read(directory["new/ka.yaml"]).Site!;
        Assert.Equal(["griffon-console.sh", "griffon-griffon-2.site-console.sh", "griffon-console.sh"], site.Clusters[0].Nodes.Select(n => Path.GetFileName(n.Console[0])));
        Assert.All(site.Clusters[0].Nodes, n => Assert.Equal("{node}", n.Console[1]));
        Assert.EndsWith("conman \"${1%%.*}\"\n", converted.Files["scripts/griffon-console.sh"], StringComparison.Ordinal);

        Assert.Equal(["end-of-deployment.sh", "end-of-power.sh"], site.Hooks.Select(h => Path.GetFileName(h.Command[0])));
        foreach (var operation in (string[])["{\"id\":\"D-1\",\"kind\":\"deploy\",\"owner\":\"x\"}", "{\n  \"id\": \"D-1\",\n  \"kind\": \"deploy\",\n  \"owner\": \"x\"\n}\n"])
        {
            Assert.Equal("after D-1\n", await ShellAsync(site.Hooks[0].Command[0], operation));
            Assert.Equal("", await ShellAsync(site.Hooks[1].Command[0], operation));
        }

        Assert.Equal(("DEFAULT", "scripts/vlan.sh"), (site.Vlan!.Default, Path.GetRelativePath(directory["new"], site.Vlan.Command[0])));
        directory.Write("bin/ka", "#!/bin/sh\n[ \"$1 $2\" = 'nodes expand' ] && [ \"$3\" = 'griffon-[1-2]' ] && echo griffon-1 griffon-2\n");
        File.SetUnixFileMode(directory["bin/ka"], UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Assert.Equal("kavlan -s -i 7 -m griffon-1 -m griffon-2\n", await ShellAsync(site.Vlan.Command[0], "", ["7", "griffon-[1-2]"], directory["bin"]));
    }

    static async Task<string> ShellAsync(string script, string input, string[]? words = null, string path = "")
    {
        var start = new System.Diagnostics.ProcessStartInfo("/bin/sh", [script, .. words ?? []]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.Environment["PATH"] = path + ":/usr/bin:/bin";
        using var shell = System.Diagnostics.Process.Start(start)!;
        await shell.StandardInput.WriteAsync(input);
        shell.StandardInput.Close();
        return await shell.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData("server.conf:2", "database/kind has no equivalent: Ka keeps its own database")]
    [InlineData("griffon-cluster.conf", "the way BootNewEnvPivotRoot has no equivalent")]
    [InlineData("griffon-cluster.conf", "timeouts/reboot has no equivalent")]
    [InlineData("griffon-cluster.conf", "boot/install_bootloader has no equivalent")]
    [InlineData("griffon-cluster.conf", "remoteops/reboot/0/cmd has no equivalent")]
    [InlineData("ka.yaml", "vlan.names, such as \"{node}-kavlan-{vlan}.example.org\"")]
    [InlineData("clusters/griffon.yaml", "MAC addresses are made up")]
    [InlineData("clusters/griffon.yaml", "parted.sh partitioned the disks")]
    [InlineData("clusters/graphite.yaml", "no command for 'status'")]
    [InlineData("ka.yaml", "boot.dhcp is off")]
    public void What_has_no_equivalent_is_told_with_its_place(string place, string says)
    {
        var (converted, directory) = Convert();
        using var _ = directory;
        Assert.Contains(converted.Notes, n => n.StartsWith(place, StringComparison.Ordinal) && n.Contains(says, StringComparison.Ordinal));
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_an_error_with_its_place()
    {
        var (converted, directory) = Convert("partitioning: [\n");
        using var _ = directory;
        Assert.True(converted.Failed);
        Assert.Contains(converted.Notes, n => n.StartsWith("! griffon-cluster.conf:", StringComparison.Ordinal));
        Assert.True(SiteConversion.Convert(directory["nowhere"]).Failed);
    }
}
