using System.Collections.Immutable;
using System.Net;
using Ka.Boot;
using Ka.Core.Clusters;
using Ka.Core.NodeSets;
using Ka.Server.Environments;

namespace Ka.Server.Configuration;

/// <summary>Where people and programs reach the server: <c>unix:PATH</c>, where the kernel says who they are, or <c>ADDRESS:PORT</c> by TLS.</summary>
public sealed record UserListener(string? SocketPath, IPEndPoint? EndPoint);

/// <summary>Where nodes reach the server.</summary>
/// <param name="Http">Boot files, plain HTTP: iPXE cannot verify more.</param>
/// <param name="Agent">Agents, TLS with a pinned certificate.</param>
/// <param name="Chain">Source of broadcasts.</param>
public sealed record NodeListener(IPAddress Address, int Http, int Agent, int Chain)
{
    /// <summary>First seed of BitTorrent broadcasts; opened at the first of them.</summary>
    public int Torrent { get; init; } = 8483;
}

/// <summary>The deployment network and who answers DHCP there.</summary>
public sealed record BootNetworkSettings(DhcpMode Dhcp, string? Interface, IPAddress Network, int PrefixLength, IPAddress? Router, ImmutableArray<IPAddress> NameServers, bool Tftp, string Loaders);

/// <param name="Directory">Holds <c>vmlinuz</c> and <c>initramfs.zst</c>.</param>
public sealed record MinimalSettings(string Directory, ImmutableArray<string> Params);

/// <summary>All that one server knows of its site; immutable, swapped whole.</summary>
/// <param name="Groups">ClusterShell's group files.</param>
/// <param name="NodeLimit">Most nodes that one request may name.</param>
public sealed record SiteConfiguration(
    string Name,
    string StateDirectory,
    ImmutableArray<UserListener> Users,
    NodeListener Nodes,
    BootNetworkSettings Boot,
    MinimalSettings Minimal,
    ImmutableArray<Cluster> Clusters,
    GroupTable Groups,
    int NodeLimit)
{
    public AuthSettings Auth { get; init; } = AuthSettings.Default;

    /// <summary>Programs that are told how each operation ended, in order.</summary>
    public ImmutableArray<EndHook> Hooks { get; init; } = [];

    /// <summary>Where the traces of operations go; null for nowhere.</summary>
    public OtlpSettings? Otlp { get; init; }

    /// <summary>Bytes that the store may hold; null for as much as the disk holds.</summary>
    public long? StoreLimit { get; init; }

    /// <summary>From where images may be fetched.</summary>
    public SourcePolicy Sources { get; init; } = SourcePolicy.Default;

    /// <summary>Null where deployments cannot choose a VLAN.</summary>
    public VlanSettings? Vlan { get; init; }

    /// <summary>Most nodes of one deployment that does not say how many it means.</summary>
    public int AtOnceLimit { get; init; } = int.MaxValue;

    public IEnumerable<(Cluster Cluster, ClusterNode Node)> AllNodes => Clusters.SelectMany(c => c.Nodes.Select(n => (c, n)));
}
