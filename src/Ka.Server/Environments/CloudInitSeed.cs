using System.Collections.Immutable;
using Ka.Yaml;

namespace Ka.Server.Environments;

/// <summary>The data of cloud-init's NoCloud source for one node (cloudinit.readthedocs.io, "NoCloud").</summary>
public static class CloudInitSeed
{
    /// <param name="workflow">With the node it names this instance: cloud-init runs anew after each deployment.</param>
    /// <param name="mac">Of the interface that gets its address by DHCP.</param>
    public static ImmutableDictionary<string, string> Files(string workflow, string node, string mac, ImmutableArray<string> keys)
    {
        var shortName = node.Split('.')[0];
        object[] authorized = [.. keys];
        (string, object)[] root = [("name", "root"), ("ssh_authorized_keys", authorized)];
        (string, object)[] user =
        [
            ("hostname", shortName),
            ("fqdn", node),
            ("disable_root", false),
            ("ssh_pwauth", false),
            // The host key is the one that this deployment made: the system is recognised by it.
            ("ssh_deletekeys", false),
            .. keys.IsEmpty ? [] : ((string, object)[])[("ssh_authorized_keys", authorized), ("users", new object[] { "default", root })],
        ];
        (string, object)[] card = [("match", new (string, object)[] { ("macaddress", mac) }), ("dhcp4", true)];
        (string, object)[] network = [("version", 2), ("ethernets", new (string, object)[] { ("boot", card) })];
        (string, object)[] meta = [("instance-id", $"{workflow}-{shortName}"), ("local-hostname", shortName)];
        return new Dictionary<string, string>
        {
            ["user-data"] = "#cloud-config\n" + YamlWriter.Write(user),
            ["meta-data"] = YamlWriter.Write(meta),
            ["network-config"] = YamlWriter.Write(network),
        }.ToImmutableDictionary(StringComparer.Ordinal);
    }
}
