using System.Collections.Immutable;
using System.Net;
using Ka.Core.Clusters;

namespace Ka.Server.Configuration;

/// <summary>Who answers DHCP on the deployment network.</summary>
public enum DhcpMode
{
    /// <summary>Ka gives known nodes their address and boot file.</summary>
    Full,

    /// <summary>Another server gives addresses, Ka only the boot file (proxyDHCP).</summary>
    Proxy,

    /// <summary>Ka does not speak DHCP at all.</summary>
    Off,
}

/// <summary>Where people and programs reach the server: <c>unix:PATH</c> or <c>ADDRESS:PORT</c>.</summary>
public sealed record UserListener(string? SocketPath, IPEndPoint? EndPoint);

/// <summary>Where nodes reach the server.</summary>
/// <param name="Http">Boot files, plain HTTP: iPXE cannot verify more.</param>
/// <param name="Agent">Agents, TLS with a pinned certificate.</param>
/// <param name="Chain">Source of broadcasts.</param>
public sealed record NodeListener(IPAddress Address, int Http, int Agent, int Chain);

public sealed record BootSettings(DhcpMode Dhcp, string? Interface, IPAddress Network, int PrefixLength, IPAddress? Router, ImmutableArray<IPAddress> NameServers, bool Tftp, string Loaders);

/// <param name="Directory">Holds <c>vmlinuz</c> and <c>initramfs.zst</c>.</param>
public sealed record MinimalSettings(string Directory, ImmutableArray<string> Params);

/// <summary>All that one server knows of its site; immutable, swapped whole.</summary>
/// <param name="NodeLimit">Most nodes that one request may name.</param>
public sealed record SiteConfiguration(
    string Name,
    string StateDirectory,
    ImmutableArray<UserListener> Users,
    NodeListener Nodes,
    BootSettings Boot,
    MinimalSettings Minimal,
    ImmutableArray<Cluster> Clusters,
    ImmutableArray<string> GroupFiles,
    int NodeLimit)
{
    public IEnumerable<(Cluster Cluster, ClusterNode Node)> AllNodes => Clusters.SelectMany(c => c.Nodes.Select(n => (c, n)));
}
