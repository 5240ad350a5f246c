using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Drivers.Systems;
using Ka.Store;

namespace Ka.Server.Hosting;

/// <summary>Running systems of this site, reached by ssh with the server's key whatever operation they are in.</summary>
public sealed class SiteSystems(Site site, SiteKeys keys, NodeTable table)
{
    readonly SshSystem _ssh = new(keys.ClientKeyFile, site.Configuration.StateDirectory);

    /// <summary>Runs a script as root. Null when it ended well.</summary>
    public async Task<Fault?> RunAsync(ClusterNode node, string script, CancellationToken cancel)
    {
        if (await keys.ClientKeyAsync(cancel) is (_, { } noKey))
            return noKey;
        var system = new SystemAddress(node.Name, node.Address, table.RecentFacts(node.Name, "hostKey", ""), keys.AuthorityKey);
        return await _ssh.RunAsync(system, [new("go", null, script)], cancel);
    }
}
