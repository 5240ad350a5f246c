using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Protocol.Agents;

namespace Ka.SystemTests.Agent;

/// <summary>Network files of a target on a real disk, judged by the programs that will read them. Needs root, loop devices, systemd-networkd, ifupdown and libnm.</summary>
public sealed class NetworksOnLoop : IDisposable
{
    const string Mac = "52:54:00:12:34:ab";

    /// <summary>A network of its own with two interfaces, <c>boots</c> with the MAC address and <c>other</c>; the rest is the judge.</summary>
    const string Machine = """
        set -eu
        ip link add other type veth peer name boots
        ip link set boots address 52:54:00:12:34:ab up
        ip link set other up
        mount -t sysfs -o ro sysfs /sys
        mount -t tmpfs run /run
        mkdir -p /run/systemd /run/network

        """;

    readonly string _root = Directory.CreateTempSubdirectory("ka-loop").FullName;
    readonly LoopNode _node;

    public NetworksOnLoop()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        _node = new LoopNode(Path.Combine(_root, "n"), 256 << 20);
    }

    public void Dispose()
    {
        _node.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    async Task Unpacked()
    {
        var layout = new DiskLayout(PartitionTableKind.Gpt, [new("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true)]);
        await _node.MustCarry(new PartitionDisk(_node.Select, layout, null));
        await _node.MustCarry(new FormatPartitions(_node.Select, layout, FileSystemKind.Ext4, OnlyDeploy: false));
        await _node.MustCarry(new MountTarget(_node.Select, layout, FileSystemKind.Ext4));
        foreach (var path in (string[])["usr/lib/systemd/systemd-networkd", "usr/bin/systemctl", "usr/sbin/ifup", "usr/sbin/dhclient", "var/lib/dpkg/info/ifupdown.list", "usr/sbin/NetworkManager"])
            Put(path, "");
        Put("etc/network/interfaces", "auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\n");
        var wants = Directory.CreateDirectory(Path.Combine(_node.Target, "etc/systemd/system/multi-user.target.wants")).FullName;
        foreach (var unit in (string[])["systemd-networkd", "networking", "NetworkManager"])
            File.CreateSymbolicLink($"{wants}/{unit}.service", $"/lib/systemd/system/{unit}.service");
    }

    void Put(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(_node.Target, path))!);
        File.WriteAllText(Path.Combine(_node.Target, path), text);
    }

    async Task<string> Configured(NetworkStack stack)
    {
        await Unpacked();
        return _node.Target + (await _node.MustCarry(new ConfigureNetwork(stack, Mac))).Values!["files"];
    }

    /// <summary>Runs the judge on a machine of its own that sees a directory of the target in place of the host's.</summary>
    string Judge(string directory, string judge) =>
        Program.Run("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", $"{Machine}mount --bind \"$1{directory}\" {directory}\n{judge}", "sh", _node.Target);

    [Fact]
    public async Task Systemd_networkd_finds_the_interface_by_its_address_and_understands_every_line()
    {
        await Configured(NetworkStack.SystemdNetworkd);
        var said = Judge("/etc/systemd/network", """
            SYSTEMD_LOG_LEVEL=debug /lib/systemd/systemd-networkd >/run/said 2>&1 & judge=$!
            timeout 60 tail -n +1 -f --pid=$judge /run/said | sed '/boots: Requested configuring of the DHCPv4 client/q'
            kill $judge
            """);
        Assert.Contains("boots: Configuring with /etc/systemd/network/10-ka.network", said, StringComparison.Ordinal);
        Assert.Contains("boots: Requested configuring of the DHCPv4 client", said, StringComparison.Ordinal);
        Assert.DoesNotContain("other: found matching network '/etc/systemd/network/10-ka.network'", said, StringComparison.Ordinal);
        Assert.DoesNotContain("10-ka.network:", said, StringComparison.Ordinal); // FILE:LINE: before what it does not understand
    }

    [Fact]
    public async Task Ifup_brings_up_the_interface_with_the_address_whatever_its_name()
    {
        await Configured(NetworkStack.Ifupdown);
        var said = Judge("/etc/network", "ifquery --list; ifup --no-act --verbose --all 2>&1");
        Assert.Contains("lo\nboots\n", said, StringComparison.Ordinal);
        Assert.Contains("configuring interface boots=ka (inet)", said, StringComparison.Ordinal);
        Assert.DoesNotContain("other", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task NetworkManager_reads_a_whole_profile_that_only_root_may_read()
    {
        var file = await Configured(NetworkStack.NetworkManager);
        Assert.Equal("600 0:0", Program.Run("stat", "-c", "%a %u:%g", file).Trim());
        // libnm is the reader of the daemon itself; Debian's python has its binding.
        var said = Program.Run("/usr/bin/python3", "-c", """
            import gi, sys
            gi.require_version("NM", "1.0")
            from gi.repository import NM, GLib
            file = GLib.KeyFile.new()
            file.load_from_file(sys.argv[1], GLib.KeyFileFlags.NONE)
            strange = []
            read = NM.keyfile_read(file, "/etc/NetworkManager/system-connections", NM.KeyfileHandlerFlags.NONE, lambda *said: strange.append(said) or False, None)
            read.normalize(None)
            print(read.verify(), len(strange), read.get_setting_wired().get_mac_address(), read.get_setting_ip4_config().get_method(), read.get_setting_connection().get_autoconnect())
            """, file);
        Assert.Equal("True 0 52:54:00:12:34:AB auto True", said.Trim());
    }

    [Fact]
    public async Task An_image_without_the_stack_is_told_what_it_lacks()
    {
        await Unpacked();
        File.Delete(Path.Combine(_node.Target, "usr/lib/systemd/systemd-networkd"));
        var fault = (await _node.Carry(new ConfigureNetwork(NetworkStack.SystemdNetworkd, Mac))).Fault!;
        Assert.Equal("image.lacks_package", fault.Code.Text);
        Assert.False(Directory.Exists(Path.Combine(_node.Target, "etc/systemd/network")));
    }
}
