using Ka.Agent.Machine;
using Ka.Core.BootProfiles;
using Ka.Core.Environments;

namespace Ka.Agent.Orders;

/// <summary>The file by which a network stack finds the interface that the node boots from, whatever its name is there, and asks DHCP on it.</summary>
/// <param name="Path">In the deployed system.</param>
sealed record NetworkFile(string Path, string Text, UnixFileMode Mode)
{
    const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const string Title = "# Written by Ka when this system was deployed: the interface that the node boots from.\n";

    /// <summary>Null when nothing is to be written. The DHCP client names itself by its MAC address, as the firmware does, so that it gets the same address.</summary>
    public static NetworkFile? Of(NetworkStack stack, MacAddress mac) => stack switch
    {
        NetworkStack.None => null,
        // systemd.network(5); VLANs and bridges may have the same address, but another type
        NetworkStack.SystemdNetworkd => new("/etc/systemd/network/10-ka.network",
            $"{Title}[Match]\nMACAddress={mac}\nType=ether\n\n[Network]\nDHCP=ipv4\n\n[DHCPv4]\nClientIdentifier=mac\n", TargetPath.PublicFile),
        // interfaces(5), "pattern matching interfaces"
        NetworkStack.Ifupdown => new("/etc/network/interfaces.d/ka", $"{Title}auto mac/{mac}=ka\niface ka inet dhcp\n", TargetPath.PublicFile),
        // nm-settings-keyfile(5); files that others may read are ignored
        NetworkStack.NetworkManager => new("/etc/NetworkManager/system-connections/ka.nmconnection",
            $"{Title}[connection]\nid=ka\ntype=ethernet\nautoconnect-priority=100\n\n[ethernet]\nmac-address={mac.ToString().ToUpperInvariant()}\n\n"
            + "[ipv4]\nmethod=auto\ndhcp-client-id=mac\n\n[ipv6]\nmethod=auto\n", Secret),
    };
}
