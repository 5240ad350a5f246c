using System.Collections.Immutable;
using System.Net;
using System.Text;
using Ka.Core.NodeSets;

namespace Ka.Server.Configuration.Conversion;

/// <summary>What comes of Kadeploy3's configuration.</summary>
/// <param name="Files">Path below the new directory → text; scripts end in <c>.sh</c>.</param>
/// <param name="Notes">What has no equivalent, was assumed, or (with <c>!</c> before it) could not be read, each with its place.</param>
public sealed record Converted(ImmutableSortedDictionary<string, string> Files, ImmutableArray<string> Notes)
{
    public bool Failed => Notes.Any(n => n.StartsWith('!'));
}

/// <summary>Reads Kadeploy3's server, clusters, cluster and command files and writes Ka's. Nothing of the old files is left without a word.</summary>
public static class SiteConversion
{
    /// <summary>Why parts of the old server file have nothing that corresponds to them.</summary>
    static readonly (string Prefix, string Why)[] Gone =
    [
        ("database/", "Ka keeps its own database in its state directory"), ("authentication/acl", "nobody is trusted for an address"), ("authentication/ident", "nobody is believed for what their machine says"),
        ("authentication/certificate", "name the authority of users' certificates as auth.authority"), ("authentication/global", "who calls is in the Authorization header"), ("authentication/http_basic", "the realm is fixed"),
        ("security/", "listeners with an address always speak TLS"), ("ssh_private_key", "the agent dials the server; no key of the server is needed"), ("logs/", "the journal of the service manager has the log"),
        ("verbosity/", "the client decides"), ("cache/", "files are kept by their digest"), ("network/", "ports are in server.nodes"),
        ("windows/check", "probes are not limited"), ("windows/reboot/sleep_time", "the window is used as soon as there is room"), ("environments/", "scripts find these in their variables"),
        ("pxe/", "Ka boots the nodes itself: set 'boot' and switch the old profiles off"), ("autoclean_threshold", "the journal is kept"),
        ("external/mkfs", "options of a file system are in the layout"), ("external/", "Ka brings its own broadcast and needs no connector"), ("rights/", "rights are always checked and kept in Ka's database"),
    ];

    /// <param name="directory">Of the old files; names since 3.2 and before.</param>
    public static Converted Convert(string directory)
    {
        var notes = new List<string>();
        var server = Open(directory, notes, "server.conf", "server_conf.yml");
        var clusters = Open(directory, notes, "clusters.conf", "clusters.yml");
        var commands = Find(directory, "command.conf", "cmd.yml") is { } path ? OldFile.Read(path, notes) : new OldFile("command.conf", null);
        var files = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        var window = server.Take("windows/reboot/size") ?? "50";
        var names = new List<string>();
        var site = new NodePlaces();
        foreach (var item in clusters.Items("clusters"))
        {
            var name = clusters.Take($"{item}/name") ?? "cluster";
            clusters.Take($"{item}/prefix");
            var file = clusters.Take($"{item}/conf_file") is { } named ? OldFile.Read(Find(directory, Path.GetFileName(named)) ?? named, notes) : new OldFile(name, null);
            var nodes = Nodes(clusters, item, notes);
            names.Add(name);
            files[$"clusters/{name}.yaml"] = ClusterConversion.Convert(name, file, nodes, commands, window, server.Take("external/default_connector"), site, files, notes);
            Leave(file, notes, []);
        }
        if (names.Count == 0)
            notes.Add($"! {clusters.Name} names no cluster");
        files["ka.yaml"] = Site(server, names, files, notes);
        Leave(server, notes, Gone);
        Leave(clusters, notes, []);
        Leave(commands, notes, []);
        return new Converted(files.ToImmutable(), [.. notes]);
    }

    static string Site(OldFile server, IEnumerable<string> clusters, IDictionary<string, string> files, List<string> notes)
    {
        var export = server.Take("pxe/dhcp/export/server");
        var known = IPAddress.TryParse(export, out var address);
        if (!known)
            notes.Add("ka.yaml: server.nodes.address is this machine's loopback; write its address on the deployment network");
        notes.Add("ka.yaml: boot.dhcp is off; Kadeploy3 left DHCP to another server. Set full or proxy, with the interface of the deployment network");
        var text = new StringBuilder("# Made of Kadeploy3's configuration. Look through what the conversion said, then: ka config check --config ka.yaml\n");
        text.Append($"server:\n  state: /var/lib/ka\n  users: [\"unix:/run/ka/kad.sock\"]\n  nodes: {{ address: {(known ? address : IPAddress.Loopback)} }}\n");
        var admins = (server.Take("rights/almighty_users") ?? "root").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        text.Append($"auth:\n  admins: [{string.Join(", ", admins.Select(Quoted))}]\n");
        if (server.Take("authentication/http_basic/dbfile") is { } passwords)
            notes.Add($"ka.yaml: passwords of {passwords} count when they are bcrypt ('htpasswd -B'); add 'htpasswd: FILE' to auth, with mode 0640");
        text.Append("boot: { dhcp: off }\nminimal: { directory: /var/lib/ka/minimal }\n");
        text.Append(ProgramConversion.Hooks(server, files)).Append(ProgramConversion.Vlan(server, files, notes));
        return text.Append($"clusters: [{string.Join(", ", clusters.Select(c => $"clusters/{c}.yaml"))}]\n").ToString();
    }

    /// <summary>Names and addresses, paired in order where both are ranges.</summary>
    static List<(string Name, string Address)> Nodes(OldFile clusters, string cluster, List<string> notes)
    {
        var nodes = new List<(string, string)>();
        foreach (var item in clusters.Items($"{cluster}/nodes"))
        {
            var (name, address) = (clusters.Take($"{item}/name") ?? "", clusters.Take($"{item}/address") ?? "");
            if (!NodeSet.TryParse(name, out var names, out _) || !NodeSet.TryParse(address, out var addresses, out _) || names.Count != addresses.Count || names.IsEmpty)
                notes.Add($"! {clusters.PlaceOf($"{item}/name")}: '{name}' and '{address}' are no names with as many addresses");
            else
                nodes.AddRange(names.Select(n => n.Value).Zip(addresses.Select(a => a.Value)));
        }
        return nodes;
    }

    static void Leave(OldFile file, List<string> notes, (string Prefix, string Why)[] reasons)
    {
        foreach (var path in file.Left())
            notes.Add($"{file.PlaceOf(path)}: {path} has no equivalent{(reasons.FirstOrDefault(r => path.StartsWith(r.Prefix, StringComparison.Ordinal)).Why is { } why ? ": " + why : "")}");
    }

    static OldFile Open(string directory, List<string> notes, params string[] names)
    {
        if (Find(directory, names) is { } path)
            return OldFile.Read(path, notes);
        notes.Add($"! {directory} has no {names[0]}");
        return new OldFile(names[0], null);
    }

    static string? Find(string directory, params string[] names) => names.Select(n => Path.Combine(directory, n)).FirstOrDefault(File.Exists);

    /// <summary>A double-quoted scalar of YAML 1.2.</summary>
    internal static string Quoted(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (var c in text)
            quoted.Append(c switch { '"' => "\\\"", '\\' => "\\\\", _ when char.IsControl(c) || c > 0x7e => $"\\u{(int)c:x4}", _ => c.ToString() });
        return quoted.Append('"').ToString();
    }
}

/// <summary>Gives every node of a site a number of its own, over all clusters.</summary>
sealed class NodePlaces
{
    int _last;

    /// <summary>A locally administered address that no other node of the conversion has.</summary>
    public string NextMac()
    {
        _last++;
        return $"02:00:00:00:{_last >> 8 & 0xff:x2}:{_last & 0xff:x2}";
    }
}
