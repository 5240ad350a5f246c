using System.Collections.Immutable;
using System.Net;
using System.Text.RegularExpressions;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.NodeSets;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>
/// Reads one cluster file. What holds for a node is its own entry over its groups (the later over the earlier) over the
/// cluster's defaults; mappings are merged key by key, everything else is replaced whole.
/// </summary>
public static partial class ClusterReader
{
    static readonly string[] NodeKeys = ["mac", "address", "rack", "firmware", "secureBoot", "power", "console", "disk", "params"];

    public static void Read(YamlNode root, string text, string folder, ImmutableArray<SiteFinding>.Builder findings, ImmutableArray<Cluster>.Builder clusters)
    {
        var binder = new YamlBinder();
        var file = binder.Mapping(root, "the cluster", "cluster", "nodes", "groups", "defaults", "steps", "limits", "verify", "pre-installs", "post-installs", "custom-steps", "variables", "server-key", "broadcast");
        var name = file.RequiredText("cluster");
        if (name.Length > 0 && !ClusterName().IsMatch(name))
            file.Refuse("cluster", SiteReader.Code, $"'{DocumentError.Cut(name)}' is no name of a cluster", "up to 63 letters, digits, '.', '-' and '_', a letter or digit first");
        binder.Mapping(file.Node("defaults"), "'defaults'", NodeKeys);
        var groups = Groups(binder, file);
        var nodes = ImmutableArray.CreateBuilder<ClusterNode>();
        foreach (var entry in file.Names("nodes"))
        {
            if (!NodeName.TryParse(entry.Key, out var node))
            {
                binder.Refuse(entry.KeyAt, SiteReader.Code, $"'{DocumentError.Cut(entry.Key)}' is no node name", entry.Key, "letters, digits, '.', '-' and '_'");
                continue;
            }
            var merged = file.Node("defaults");
            foreach (var (set, layer) in groups)
                if (set.Contains(node))
                    merged = Merge(merged, layer);
            merged = Merge(merged, entry.Value);
            nodes.Add(Node(binder, node.Value, merged, folder));
        }
        foreach (var (set, layer) in groups)
            if (set - NodeSet.FromNames(nodes.Select(n => NodeName.Parse(n.Name))) is { IsEmpty: false } strangers)
                binder.Add(new DocumentError(SiteReader.Code, layer.At, $"a group names {DocumentError.Cut(strangers.ToString())}, which cluster '{name}' does not have") { Severity = Severity.Warning });
        if (nodes.Count == 0)
            binder.Refuse(file.PlaceOf("nodes"), SiteReader.Code, $"cluster '{name}' has no nodes", null, "nodes: { NAME: { mac: …, address: … } }");
        var limits = file.Section("limits", "reboot-window", "gather", "step-timeout");
        var steps = file.Section("steps", "minimal-env", "install", "boot");
        clusters.Add(new Cluster(
            name,
            nodes.ToImmutable(),
            StepsReader.Read(binder, steps, "minimal-env", Cluster.KnownMinimalEnv, Cluster.DefaultMinimalEnv),
            StepsReader.Read(binder, steps, "install", Cluster.KnownInstall, Cluster.AutoInstall),
            StepsReader.Read(binder, steps, "boot", Cluster.DefaultBoot, Cluster.DefaultBoot),
            limits.Int("reboot-window", 1, 10_000, 50),
            limits.Duration("gather", TimeSpan.FromSeconds(30), TimeSpan.Zero, TimeSpan.FromHours(1)),
            limits.Duration("step-timeout", TimeSpan.FromSeconds(180), TimeSpan.FromSeconds(1), TimeSpan.FromHours(2)),
            InstallsReader.Read(binder, file, "post-installs", folder),
            file.Choice("verify", VerifyMode.Sample))
        {
            PreInstalls = InstallsReader.Read(binder, file, "pre-installs", folder),
            Operations = OperationsReader.Read(binder, file.Node("custom-steps"), SiteReader.Code, folder).Operations,
            Variables = InstallsReader.Variables(binder, file, "variables", SiteReader.Code),
            ServerKey = file.Bool("server-key", false),
            Broadcast = BroadcastReader.Read(binder, file, folder),
        });
        // Layers shared by many nodes are bound once for each of them: the same finding is told once.
        foreach (var error in binder.Findings.DistinctBy(e => (e.Code, e.At, NodeInMessage().Replace(e.Message, ""))))
            findings.Add(new SiteFinding(error, text));
    }

    static List<(NodeSet Set, YamlNode Layer)> Groups(YamlBinder binder, YamlSection file)
    {
        var groups = new List<(NodeSet, YamlNode)>();
        foreach (var entry in file.Names("groups"))
        {
            var group = binder.Mapping(entry.Value, $"group '{entry.Key}'", ["nodes", .. NodeKeys]);
            if (group.RequiredScalar("nodes") is not { } text)
                continue;
            if (!NodeSet.TryParse(text.Text, out var set, out var error))
                binder.Add(error.At(text.At));
            else if (entry.Value is YamlMapping mapping)
                groups.Add((set, mapping with { Entries = [.. mapping.Entries.Where(e => e.Key != "nodes")] }));
        }
        return groups;
    }

    /// <summary>The upper layer over the lower one.</summary>
    static YamlNode? Merge(YamlNode? lower, YamlNode? upper)
    {
        if (upper is YamlScalar { IsNothing: true } or null)
            return lower;
        if (lower is not YamlMapping below || upper is not YamlMapping above)
            return upper;
        var entries = below.Entries.Where(e => !LayoutReader.Replaces(above, e.Key)).ToList();
        foreach (var entry in above.Entries)
        {
            var at = entries.FindIndex(e => e.Key == entry.Key);
            if (at < 0)
                entries.Add(entry);
            else
                entries[at] = entry with { Value = Merge(entries[at].Value, entry.Value)! };
        }
        return new YamlMapping(above.At, [.. entries]);
    }

    static ClusterNode Node(YamlBinder binder, string name, YamlNode? merged, string folder)
    {
        var node = binder.Mapping(merged, $"node '{name}'", NodeKeys);
        var mac = node.RequiredText("mac").ToLowerInvariant();
        if (mac.Length > 0 && !Mac().IsMatch(mac))
            node.Refuse("mac", SiteReader.Code, $"'{DocumentError.Cut(mac)}' is no MAC address", "six pairs of hexadecimal digits, quoted: \"52:54:00:12:34:56\"");
        else if (mac.Length > 0 && (Convert.ToByte(mac[..2], 16) & 1) != 0)
            node.Refuse("mac", SiteReader.Code, $"'{mac}' is the MAC address of a group, not of one card", "an address with an even first byte");
        var address = node.RequiredText("address");
        if (address.Length > 0 && (!IPAddress.TryParse(address, out var ip) || ip.AddressFamily != System.Net.Sockets.AddressFamily.InterNetwork))
            node.Refuse("address", SiteReader.Code, $"'{DocumentError.Cut(address)}' is no IPv4 address", "an address such as 10.0.0.11");
        var firmware = node.Text("firmware", "bios");
        if (firmware is not ("bios" or "uefi"))
            node.Refuse("firmware", SiteReader.Code, $"'{DocumentError.Cut(firmware)}' is no firmware", "bios or uefi");
        var secureBoot = node.Bool("secureBoot", false);
        if (secureBoot && firmware == "bios")
            node.Refuse("secureBoot", SiteReader.Code, "Secure Boot is a matter of UEFI, and the firmware is 'bios'", "firmware: uefi");
        var (select, layout, script) = LayoutReader.Read(binder, node, folder);
        return new ClusterNode(
            name, mac, address, node.OptionalText("rack"), firmware, PowerReader.Read(node, folder), select, layout, script,
            [.. node.Text("params", "").Split(' ', StringSplitOptions.RemoveEmptyEntries)])
        {
            SecureBoot = secureBoot,
            Console = PowerReader.Program(node, "console", folder),
        };
    }

    [GeneratedRegex("node '[^']*'")]
    private static partial Regex NodeInMessage();

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    private static partial Regex ClusterName();

    [GeneratedRegex("^([0-9a-f]{2}:){5}[0-9a-f]{2}$")]
    private static partial Regex Mac();
}
