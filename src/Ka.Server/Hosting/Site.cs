using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.NodeSets;
using Ka.Server.Configuration;

namespace Ka.Server.Hosting;

/// <summary>The configuration in force, with what is looked up in it again and again.</summary>
public sealed class Site
{
    readonly ImmutableDictionary<string, (Cluster Cluster, ClusterNode Node)> _byName;
    readonly ImmutableDictionary<string, ClusterNode> _byMac;
    readonly ImmutableDictionary<string, int> _index;

    public Site(SiteConfiguration configuration)
    {
        Configuration = configuration;
        _byName = configuration.AllNodes.ToImmutableDictionary(n => n.Node.Name, StringComparer.Ordinal);
        _byMac = configuration.AllNodes.ToImmutableDictionary(n => n.Node.Mac, n => n.Node, StringComparer.Ordinal);
        Ordered = [.. configuration.AllNodes.Select(n => n.Node)];
        _index = Ordered.Select((n, i) => (n.Name, i)).ToImmutableDictionary(p => p.Name, p => p.i, StringComparer.Ordinal);
        AllNodes = NodeSet.FromNames(configuration.AllNodes.Select(n => NodeName.Parse(n.Node.Name)));
        NodeSets = new NodeSetContext(configuration.Groups, AllNodes, configuration.NodeLimit);
    }

    public SiteConfiguration Configuration { get; }

    public NodeSet AllNodes { get; }

    /// <summary>How node sets are read: the site's groups, all its nodes, its limit.</summary>
    public NodeSetContext NodeSets { get; }

    public (Cluster Cluster, ClusterNode Node)? Find(string name) => _byName.TryGetValue(name, out var found) ? found : null;

    /// <summary>All nodes in the order of the configuration.</summary>
    public ImmutableArray<ClusterNode> Ordered { get; }

    public int IndexOf(string name) => _index[name];

    public ClusterNode? FindByMac(string mac) => _byMac.GetValueOrDefault(mac.ToLowerInvariant());

    public string KernelPath => Path.Combine(Configuration.Minimal.Directory, "vmlinuz");

    public string InitramfsPath => Path.Combine(Configuration.Minimal.Directory, "initramfs.zst");

    /// <summary>The BitTorrent client for nodes with all that it links to, beside the minimal environment.</summary>
    public string TorrentTools => Path.Combine(Configuration.Minimal.Directory, "torrent.tar.zst");

    /// <summary>Why nothing can be deployed, or null.</summary>
    public Fault? MinimalFault() => new[] { KernelPath, InitramfsPath }.FirstOrDefault(p => !File.Exists(p)) is { } missing
        ? Fault.Of(FaultCodes.MinimalMissing, $"{missing} does not exist")
        : null;
}
