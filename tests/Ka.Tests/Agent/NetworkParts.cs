using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Broadcast;
using Ka.Core.BootProfiles;
using Ka.Core.Environments;
using Ka.Core.Nodes;
using Ka.Engine.Planning;
using Ka.Protocol.Agents;
using Ka.Server.Environments;
using Ka.Simulation;

namespace Ka.Tests.Agent;

/// <summary>The network file of a deployed system.</summary>
public sealed class NetworkParts : IDisposable
{
    const string Mac = "52:54:00:12:34:ab";
    const string Interfaces = "source /etc/network/interfaces.d/*\n";
    readonly TemporaryDirectory _target = new();

    public void Dispose() => _target.Dispose();

    /// <summary>What there is of the three stacks in an image that has and starts all of them.</summary>
    void Image(params string[] without)
    {
        foreach (var path in (string[])[
            "usr/lib/systemd/systemd-networkd", "usr/bin/systemctl", "usr/sbin/ifup", "usr/sbin/dhclient", "var/lib/dpkg/info/ifupdown.list", "usr/sbin/NetworkManager"])
            if (!without.Contains(path))
                _target.Write(path, "");
        _target.Write("etc/network/interfaces", without.Contains("source") ? "auto lo\n" : Interfaces);
        foreach (var unit in (string[])["systemd-networkd", "networking", "NetworkManager"])
            if (!without.Contains(unit))
                Link($"etc/systemd/system/multi-user.target.wants/{unit}.service", $"/lib/systemd/system/{unit}.service");
    }

    void Link(string path, string to)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_target[path])!);
        File.CreateSymbolicLink(_target[path], to);
    }

    OrderOutcome Configure(NetworkStack stack) =>
        Networking.Run(new ConfigureNetwork(stack, Mac), new OrderContext(new AgentPaths(Target: _target.Path), "bios", null!, null!, ChainOptions.Default));

    [Theory]
    [InlineData(NetworkStack.SystemdNetworkd, "/etc/systemd/network/10-ka.network", "MACAddress=52:54:00:12:34:ab\nType=ether\n", "-rw-r--r--")]
    [InlineData(NetworkStack.Ifupdown, "/etc/network/interfaces.d/ka", "auto mac/52:54:00:12:34:ab=ka\niface ka inet dhcp\n", "-rw-r--r--")]
    [InlineData(NetworkStack.NetworkManager, "/etc/NetworkManager/system-connections/ka.nmconnection", "mac-address=52:54:00:12:34:AB\n", "-rw-------")]
    public void Each_stack_gets_its_file_also_over_one_that_others_could_read(NetworkStack stack, string path, string says, string mode)
    {
        Image();
        File.SetUnixFileMode(_target.Write(path.TrimStart('/'), "of the image"), (UnixFileMode)511);
        foreach (var _ in (int[])[1, 2])
            Assert.Equal(path, Configure(stack).Values!["files"]);
        Assert.Contains(says, File.ReadAllText(_target.Path + path), StringComparison.Ordinal);
        Assert.Equal(mode == "-rw-------", (File.GetUnixFileMode(_target.Path + path) & UnixFileMode.OtherRead) == 0);
        Assert.True(Ka.Agent.Verification.DeployedChanges.Contain(path));
    }

    [Theory]
    [InlineData(NetworkStack.SystemdNetworkd, "usr/lib/systemd/systemd-networkd", "image.lacks_package", "'systemd-networkd'")]
    [InlineData(NetworkStack.Ifupdown, "usr/sbin/ifup", "image.lacks_package", "'ifupdown'")]
    [InlineData(NetworkStack.Ifupdown, "var/lib/dpkg/info/ifupdown.list", "image.lacks_package", "'ifupdown'")]
    [InlineData(NetworkStack.Ifupdown, "usr/sbin/dhclient", "image.lacks_package", "'isc-dhcp-client'")]
    [InlineData(NetworkStack.NetworkManager, "usr/sbin/NetworkManager", "image.lacks_package", "'network-manager'")]
    [InlineData(NetworkStack.Ifupdown, "source", "image.network_unused", "takes in no file /etc/network/interfaces.d/ka")]
    [InlineData(NetworkStack.SystemdNetworkd, "systemd-networkd", "image.network_unused", "systemd-networkd.service is not enabled")]
    [InlineData(NetworkStack.Ifupdown, "networking", "image.network_unused", "networking.service is not enabled")]
    [InlineData(NetworkStack.NetworkManager, "NetworkManager", "image.network_unused", "NetworkManager.service is not enabled")]
    public void An_image_without_the_stack_or_that_does_not_use_it_is_refused_and_left_alone(NetworkStack stack, string without, string code, string why)
    {
        Image(without);
        var fault = Configure(stack).Fault!;
        Assert.Equal(code, fault.Code.Text);
        Assert.Contains(why, fault.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_target.Path + NetworkFile.Of(stack, MacAddress.Parse(Mac))!.Path));
    }

    [Fact]
    public void A_masked_unit_is_not_started()
    {
        Image();
        Link("etc/systemd/system/networking.service", "/dev/null");
        Assert.Equal("image.network_unused", Configure(NetworkStack.Ifupdown).Fault!.Code.Text);
    }

    [Fact]
    public void An_image_without_systemd_starts_its_network_by_a_way_of_its_own()
    {
        Image("usr/bin/systemctl", "networking");
        Assert.Null(Configure(NetworkStack.Ifupdown).Fault);
    }

    [Theory]
    [InlineData("source /etc/network/interfaces.d/*", true)]
    [InlineData("auto lo\n  source interfaces.d/*\n", true)]
    [InlineData("source-directory /etc/network/interfaces.d/", true)]
    [InlineData("source-directory interfaces.d", true)]
    [InlineData("#source /etc/network/interfaces.d/*", false)]
    [InlineData("source /etc/network/interfaces.d/*.cfg", false)]
    [InlineData("source-directory /etc/network", false)]
    [InlineData("", false)]
    public void Interfaces_takes_in_the_file_only_by_a_line_that_names_it(string interfaces, bool takes) =>
        Assert.Equal(takes, Networking.TakesIn(interfaces, "/etc/network/interfaces.d/ka"));

    [Theory]
    [InlineData("network: networkmanager\n", NetworkStack.NetworkManager)]
    [InlineData("network: none\n", NetworkStack.None)]
    [InlineData("", NetworkStack.None)]
    public void A_description_names_its_stack(string line, NetworkStack stack)
    {
        var (description, errors) = DescriptionReader.Read("e.yaml", "name: e\nimage: {file: e.tar}\n" + line);
        Assert.Empty(errors);
        Assert.Equal(stack, description!.Network);
    }

    [Fact]
    public void A_stack_that_is_none_is_refused_with_its_place_and_what_was_meant()
    {
        const string text = "name: e\nimage: {file: e.tar}\nnetwork: ifupdwn\n";
        var error = Assert.Single(DescriptionReader.Read("e.yaml", text).Errors);
        Assert.Equal("e.yaml:3:10", error.At.ToString());
        Assert.Contains("did you mean 'ifupdown'?", error.Render(text), StringComparison.Ordinal);
    }

    [Fact]
    public void The_network_is_configured_before_the_descriptions_own_files_and_only_where_there_is_a_root()
    {
        var cluster = SimulatedDeployment.SampleCluster(new Roster(["gris-1"]).Names);
        var environment = SimulatedDeployment.SampleEnvironment with { Network = NetworkStack.Ifupdown, Files = [new TemplateFile("/etc/x", "x", TemplateTarget.Text, 420)] };
        var steps = Plan(environment).Plan!.MacroSteps[1].Strategies[0].Steps.Select(s => s.Name);
        Assert.Equal(["identity", "host_certificate", "network", "files"], steps.SkipWhile(s => s != "identity").Take(4));
        var disk = environment with { Image = environment.Image with { Kind = ImageKind.Raw, Raw = new RawImage(RawTarget.Partition, new string('0', 64), Core.Disks.FileSystemKind.None) }, FileSystem = Core.Disks.FileSystemKind.None };
        Assert.Contains(Plan(disk).Faults, f => f.Code.Text == "environment.invalid" && f.Message.Contains("names a network stack", StringComparison.Ordinal));

        PlanOutcome Plan(OsEnvironment e) => Planner.Plan(new DeployRequest(e, cluster, cluster.Nodes, true, null));
    }
}
