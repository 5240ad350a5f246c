using System.Collections.Immutable;
using System.Net;
using Ka.Boot;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Core.NodeSets;
using Ka.Server.Boot;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>A finding with the text it is about, for the caret.</summary>
public sealed record SiteFinding(DocumentError Error, string Source)
{
    public override string ToString() => Error.Render(Source);
}

/// <param name="Site">Null when anything was refused.</param>
public sealed record SiteReading(SiteConfiguration? Site, ImmutableArray<SiteFinding> Findings);

/// <summary>Reads <c>ka.yaml</c> and the cluster files it names. Says every error of every file at once and changes nothing.</summary>
public static class SiteReader
{
    public const string Code = "config.invalid";

    public static SiteReading Read(string path)
    {
        var findings = ImmutableArray.CreateBuilder<SiteFinding>();
        if (Load(path, findings) is not { } file)
            return new SiteReading(null, findings.ToImmutable());
        var binder = new YamlBinder();
        var root = binder.Mapping(file.Root, "the server configuration", "server", "auth", "boot", "minimal", "clusters", "groups", "limits", "hooks", "vlan", "sources", "telemetry");
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var server = root.Section("server", "name", "state", "users", "nodes");
        var nodes = server.Section("nodes", "address", "http", "agent", "chain", "torrent");
        var site = new SiteConfiguration(
            server.Text("name", "ka"),
            Under(folder, server.RequiredText("state")),
            Users(server),
            new NodeListener(Address(nodes, "address", IPAddress.Loopback)!, Port(nodes, "http", 8480), Port(nodes, "agent", 8481), Port(nodes, "chain", 8482)) { Torrent = Port(nodes, "torrent", 8483) },
            Boot(root.Section("boot", "dhcp", "interface", "network", "router", "dns", "tftp", "loaders")),
            Minimal(root.Section("minimal", "directory", "params"), folder),
            [],
            Groups(root.Section("groups", "files", "default"), folder, findings),
            root.Section("limits", "nodes", "at-once", "store").Int("nodes", 1, 1_000_000, 10_000))
        {
            AtOnceLimit = root.Section("limits", "nodes", "at-once", "store").Int("at-once", 1, 1_000_000, int.MaxValue),
            Vlan = VlanReader.Read(root, folder),
            Sources = SourcesReader.Read(root),
            Otlp = TelemetryReader.Read(root, folder),
            StoreLimit = SourcesReader.StoreLimit(root.Section("limits", "nodes", "at-once", "store")),
            Hooks = HooksReader.Read(binder, root, folder),
            Auth = AuthReader.Read(root.Section("auth", "admins", "operators", "viewers", "htpasswd", "certificate", "key", "authority", "oidc"), folder),
        };
        foreach (var twice in new[] { site.Nodes.Http, site.Nodes.Agent, site.Nodes.Chain, site.Nodes.Torrent }.GroupBy(p => p).Where(g => g.Count() > 1))
            binder.Refuse(server.PlaceOf("nodes"), Code, $"port {twice.Key} stands {twice.Count()} times in 'nodes'");
        if (!root.Has("server"))
            binder.Refuse(file.Root.At, Code, "the server configuration lacks 'server'");
        var clusters = ImmutableArray.CreateBuilder<Cluster>();
        foreach (var name in root.ScalarList("clusters"))
            if (Load(Under(folder, name.Text), findings, name.At, file.Text) is { } cluster)
                ClusterReader.Read(cluster.Root, cluster.Text, folder, findings, clusters);
        findings.AddRange(binder.Findings.Select(e => new SiteFinding(e, file.Text)));
        CheckAcross(clusters, site.Nodes.Address.ToString(), findings, path);
        if (clusters.Any(c => c.Nodes.Any(n => n.SecureBoot)))
            CheckSigned(site.Boot, findings, path);
        var refused = findings.Any(f => f.Error.Severity == Severity.Error);
        return new SiteReading(refused ? null : site with { Clusters = PowerReader.WithOutlets(clusters) }, findings.ToImmutable());
    }

    static (YamlNode Root, string Text)? Load(string path, ImmutableArray<SiteFinding>.Builder findings, Location? named = null, string source = "")
    {
        string text;
        try
        {
            text = Bounded(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            findings.Add(new SiteFinding(new DocumentError(Code, named ?? new Location(path, 1, 1), $"{path} cannot be read: {e.Message}"), source));
            return null;
        }
        if (YamlReader.TryParse(path, text, YamlLimits.Default with { }, out var root, out var errors))
            return (root!, text);
        findings.AddRange(errors.Select(e => new SiteFinding(e, text)));
        return null;
    }

    /// <summary>A file, or as much of it as shows that it is too long.</summary>
    static string Bounded(string path)
    {
        using var reader = new StreamReader(path);
        var (buffer, n) = (new char[YamlLimits.Default.Characters + 1], 0);
        for (int got; n < buffer.Length && (got = reader.Read(buffer, n, buffer.Length - n)) > 0;)
            n += got;
        return new string(buffer, 0, n);
    }

    static GroupTable Groups(YamlSection section, string folder, ImmutableArray<SiteFinding>.Builder findings)
    {
        var files = new List<(string, string)>();
        foreach (var name in section.ScalarList("files"))
            try
            {
                files.Add((name.Text, File.ReadAllText(Under(folder, name.Text))));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                section.Refuse("files", Code, $"{name.Text} cannot be read: {e.Message}");
            }
        if (!GroupFile.TryRead(files, section.OptionalText("default"), out var groups, out var errors))
            findings.AddRange(errors.Select(e => new SiteFinding(e, files.FirstOrDefault(f => f.Item1 == e.At.File).Item2 ?? "")));
        return groups;
    }

    static ImmutableArray<UserListener> Users(YamlSection server)
    {
        var listeners = ImmutableArray.CreateBuilder<UserListener>();
        foreach (var entry in server.ScalarList("users"))
        {
            if (entry.Text.StartsWith("unix:/", StringComparison.Ordinal))
                listeners.Add(new UserListener(entry.Text["unix:".Length..], null));
            else if (IPEndPoint.TryParse(entry.Text, out var point) && point.Port > 0 && !point.Address.Equals(IPAddress.Any) && !point.Address.Equals(IPAddress.IPv6Any))
                listeners.Add(new UserListener(null, point));
            else
                server.Refuse("users", Code, $"'{DocumentError.Cut(entry.Text)}' is no listener", "unix:/PATH or ADDRESS:PORT of one interface");
        }
        if (listeners.Count == 0)
            server.Refuse("users", Code, "the server has no listener for people", "users: [\"unix:/run/ka/kad.sock\"]");
        return listeners.ToImmutable();
    }

    static BootNetworkSettings Boot(YamlSection boot)
    {
        var mode = boot.Choice("dhcp", DhcpMode.Full);
        var network = boot.OptionalText("network") ?? "0.0.0.0/24";
        var parts = network.Split('/');
        var prefix = 24;
        if (parts.Length != 2 || !IPAddress.TryParse(parts[0], out var address) || !int.TryParse(parts[1], out prefix) || prefix is < 8 or > 30)
        {
            boot.Refuse("network", Code, $"'{DocumentError.Cut(network)}' is no network", "ADDRESS/PREFIX such as 10.0.0.0/16");
            address = IPAddress.Any;
        }
        if (mode != DhcpMode.Off && !boot.Has("interface"))
            boot.Refuse("dhcp", Code, "DHCP needs 'interface', the name of the deployment network's interface");
        var dns = boot.ScalarList("dns").Select(s => IPAddress.TryParse(s.Text, out var a) ? a : null).OfType<IPAddress>();
        return new BootNetworkSettings(
            mode, boot.OptionalText("interface"), address, prefix, Address(boot, "router", null), [.. dns], boot.Bool("tftp", true), boot.Text("loaders", "/usr/lib/ipxe"));
    }

    static MinimalSettings Minimal(YamlSection minimal, string folder) =>
        new(Under(folder, minimal.Text("directory", "minimal")), [.. minimal.Text("params", "").Split(' ', StringSplitOptions.RemoveEmptyEntries)]);

    static IPAddress? Address(YamlSection section, string key, IPAddress? fallback)
    {
        if (section.OptionalText(key) is not { } text)
            return fallback;
        if (IPAddress.TryParse(text, out var address) && !address.Equals(IPAddress.Any))
            return address;
        section.Refuse(key, Code, $"'{DocumentError.Cut(text)}' is no address of one interface", "an IPv4 address such as 10.0.0.1");
        return fallback;
    }

    static int Port(YamlSection section, string key, int fallback) => section.Int(key, 1, 65535, fallback);

    static string Under(string folder, string path) => path.Length == 0 ? folder : Path.GetFullPath(path, folder);

    /// <summary>What keeps nodes with Secure Boot from booting: warnings, because the configuration may be checked on another machine.</summary>
    static void CheckSigned(BootNetworkSettings boot, ImmutableArray<SiteFinding>.Builder findings, string path)
    {
        foreach (var loader in BootLoaders.MissingSigned(boot.Loaders))
            Warn($"this machine lacks '{loader}'", $"install the package {BootSettings.PackageOf(loader)}");
        if (boot.Dhcp == DhcpMode.Off)
            Warn("only DHCP can tell them where their files are, and 'dhcp' is off", "dhcp: full or proxy");

        void Warn(string why, string next) => findings.Add(new SiteFinding(
            new DocumentError(Code, new Location(path, 1, 1), $"nodes with 'secureBoot' cannot boot: {why}", Next: next) { Severity = Severity.Warning }, ""));
    }

    /// <summary>What no single file can see: a node, MAC or address that stands twice.</summary>
    static void CheckAcross(ImmutableArray<Cluster>.Builder clusters, string server, ImmutableArray<SiteFinding>.Builder findings, string path)
    {
        var all = clusters.SelectMany(c => c.Nodes).ToArray();
        foreach (var twice in clusters.GroupBy(c => c.Name).Where(g => g.Key.Length > 0 && g.Count() > 1))
            Refuse($"cluster {twice.Key} stands {twice.Count()} times");
        foreach (var node in all.Where(n => n.Address == server))
            Refuse($"{node.Name} has the address {server} of the server itself");
        Check("node", n => n.Name);
        Check("MAC", n => n.Mac);
        Check("address", n => n.Address);

        void Check(string what, Func<ClusterNode, string> of)
        {
            foreach (var twice in all.GroupBy(of).Where(g => g.Key.Length > 0 && g.Count() > 1))
                Refuse($"{what} {twice.Key} stands {twice.Count()} times ({string.Join(", ", twice.Select(n => n.Name).Take(4))})");
        }

        void Refuse(string why) => findings.Add(new SiteFinding(new DocumentError(Code, new Location(path, 1, 1), why), ""));
    }
}
