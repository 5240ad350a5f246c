using System.Net;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Server.Configuration;

namespace Ka.Tests.Server;

public sealed class ReadingSites : IDisposable
{
    const string Site = """
        server:
          state: state
          users: ["unix:/run/ka/kad.sock", "127.0.0.1:8443"]
          nodes: {address: 10.0.0.1}
        boot: {dhcp: off, network: 10.0.0.0/16}
        clusters: [gris.yaml]
        """;

    const string Gris = """
        cluster: gris
        defaults:
          rack: r0
          power: {kind: ipmi, user: admin, passwordFile: secret, host: 10.1.0.99}
          params: console=tty0
        groups:
          uefi: {nodes: "gris-[2-3]", firmware: uefi, rack: r1}
          far: {nodes: "gris-3", rack: r2, power: {port: 1623}}
        nodes:
          gris-1: {mac: "52:54:00:00:00:01", address: 10.0.0.11}
          gris-2: {mac: "52:54:00:00:00:02", address: 10.0.0.12}
          gris-3: {mac: "52:54:00:AA:00:03", address: 10.0.0.13, power: {host: 10.1.0.3}}
        limits: {reboot-window: 7, gather: 5s}
        """;

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void A_node_is_its_own_entry_over_its_groups_over_the_cluster()
    {
        var reading = Read(Site, Gris);
        Assert.Empty(reading.Findings.Select(f => f.ToString()));
        var cluster = Assert.Single(reading.Site!.Clusters);
        Assert.Equal(["r0", "r1", "r2"], cluster.Nodes.Select(n => n.Rack));
        Assert.Equal(["bios", "uefi", "uefi"], cluster.Nodes.Select(n => n.Firmware));
        Assert.Equal(["10.1.0.99", "10.1.0.99", "10.1.0.3"], cluster.Nodes.Select(n => n.Power.Host));
        Assert.Equal([623, 623, 1623], cluster.Nodes.Select(n => n.Power.Port));
        Assert.All(cluster.Nodes, n => Assert.Equal((_directory["secret"], "admin", 17), (n.Power.PasswordFile, n.Power.User, n.Power.Cipher)));
        Assert.Equal("52:54:00:aa:00:03", cluster.Nodes[2].Mac);
        Assert.Equal((7, TimeSpan.FromSeconds(5)), (cluster.RebootWindow, cluster.Gather));
        Assert.Equal(_directory["state"], reading.Site.StateDirectory);
        Assert.Equal((IPAddress.Parse("10.0.0.1"), 8480, 8481, 8482), (reading.Site.Nodes.Address, reading.Site.Nodes.Http, reading.Site.Nodes.Agent, reading.Site.Nodes.Chain));
    }

    [Fact]
    public void Nodes_of_one_rack_stand_beside_each_other_in_the_chain()
    {
        var read = Read(Site, Gris.Replace("far: {nodes: \"gris-3\", rack: r2", "far: {nodes: \"gris-3\", rack: r0", StringComparison.Ordinal)).Site!;
        var faults = new List<Core.Faults.Fault>();
        var (cluster, set) = Ka.Server.Api.Deployments.FindNodes(new Ka.Server.Hosting.Site(read), "gris-[1-3]", faults);
        Assert.Empty(faults);
        Assert.Equal("gris-[1-3]", set!.ToString());
        Assert.Equal(["gris-1", "gris-3", "gris-2"], cluster!.Nodes.Select(n => n.Name));
    }

    [Fact]
    public void Every_node_knows_who_else_hangs_on_its_outlet()
    {
        var reading = Read(Site, Gris.Replace("rack: r1}", "rack: r1, power: {kind: pdu, outlet: strip/7, commands: {status: [p, \"{outlet}\"], \"on\": [p], \"off\": [p]}}}"));
        Assert.Empty(reading.Findings.Select(f => f.ToString()));
        Assert.Equal([[], ["gris-2", "gris-3"], ["gris-2", "gris-3"]], reading.Site!.Clusters[0].Nodes.Select(n => n.Power.OutletNodes.ToArray()));
        Assert.Equal([_directory["p"], "{outlet}"], reading.Site.Clusters[0].Nodes[1].Power.Commands["status"]);
    }

    [Fact]
    public void Redfish_has_its_own_port_and_a_fingerprint_in_any_usual_form()
    {
        var pin = string.Concat(Enumerable.Repeat("AB:", 32)).TrimEnd(':');
        var power = Read(Site, Gris.Replace("kind: ipmi", $"kind: redfish, certificate: \"{pin}\", system: System.Embedded.1")).Site!.Clusters[0].Nodes[0].Power;
        Assert.Equal((443, string.Concat(Enumerable.Repeat("ab", 32)), "System.Embedded.1"), (power.Port, power.Fingerprint, power.System));
    }

    [Fact]
    public void Secure_boot_comes_from_the_layers_like_everything_else()
    {
        var reading = Read(Site, Gris.Replace("firmware: uefi", "firmware: uefi, secureBoot: true").Replace("far: {", "far: {secureBoot: false, "));
        Assert.Equal([false, true, false], reading.Site!.Clusters[0].Nodes.Select(n => n.SecureBoot));
        Assert.Contains(reading.Findings, f => f.Error is { Severity: Severity.Warning } warning && warning.Message.Contains("'dhcp' is off", StringComparison.Ordinal));
    }

    [Fact]
    public void A_cluster_says_how_its_images_come()
    {
        Assert.Equal(BroadcastSettings.None, Read(Site, Gris).Site!.Clusters[0].Broadcast);
        Assert.Equal(
            new BroadcastSettings(new MulticastSettings("239.192.75.1", 8484, 1, 50_000_000)) { Stragglers = new StragglerRules(StragglerPolicy.Evict, 20_000_000), Encrypt = true, RingBytes = 64 * 1024 * 1024 },
            Read(Site, Gris + "\nbroadcast: {multicast: {group: 239.192.75.1, rate: 50mbit}, straggler: evict, floor: 20mbit, encrypt: true, ring: 64MiB}").Site!.Clusters[0].Broadcast);
    }

    [Theory]
    [InlineData("mac: \"52:54:00:00:00:02\"", "mac: nonsense", "gris.yaml:11", "no MAC address")]
    [InlineData("address: 10.0.0.12", "address: 10.0.0.1.2", "gris.yaml:11", "no IPv4 address")]
    [InlineData("kind: ipmi", "kind: impi", "gris.yaml:4", "not known")]
    [InlineData("kind: ipmi", "cipher: 0", "gris.yaml:4", "lets everybody in")]
    [InlineData("passwordFile", "pasword", "gris.yaml:4", "passwordFile")]
    [InlineData("kind: ipmi, user: admin", "kind: redfish", "gris.yaml:4", "lacks the key 'user'")]
    [InlineData("kind: ipmi", "kind: redfish, certificate: beef", "gris.yaml:4", "no fingerprint")]
    [InlineData("kind: ipmi", "kind: redfish, authority: a.pem, certificate: 0000000000000000000000000000000000000000000000000000000000000000", "gris.yaml:4", "no authority is asked")]
    [InlineData("kind: ipmi", "kind: wol", "gris.yaml:4", "lacks the key 'broadcast'")]
    [InlineData("kind: ipmi", "kind: ssh, \"on\": wol, broadcast: everywhere", "gris.yaml:4", "'everywhere' is no IPv4 address")]
    [InlineData("kind: ipmi", "\"on\": ipmi", "gris.yaml:4", "no driver that only switches on")]
    [InlineData("kind: ipmi", "kind: pdu, commands: {status: [a], \"on\": [b], \"off\": [c]}", "gris.yaml:4", "lacks the key 'outlet'")]
    [InlineData("kind: ipmi", "kind: pdu, outlet: a/1", "gris.yaml:4", "the driver 'pdu' needs a command for 'off'")]
    [InlineData("rack: r0", "console: {}", "gris.yaml:3", "console")]
    [InlineData("firmware: uefi", "firmware: coreboot", "gris.yaml:7", "no firmware")]
    [InlineData("firmware: uefi", "secureBoot: true", "gris.yaml:7", "the firmware is 'bios'")]
    [InlineData("firmware: uefi", "firmware: uefi, secureBoot: perhaps", "gris.yaml:7", "secureBoot")]
    [InlineData("gris-[2-3]", "gris-[2-", "gris.yaml:7", "node set")]
    [InlineData("reboot-window: 7", "reboot-window: 0", "gris.yaml:13", "")]
    [InlineData("gather: 5s", "gather: soon", "gris.yaml:13", "")]
    [InlineData("limits:", "steps: {boot: [{do: kexek}]}\nlimits:", "gris.yaml:13", "not known in 'boot'")]
    [InlineData("limits:", "broadcast: {multicast: {group: 10.0.0.1}}\nlimits:", "gris.yaml:13", "no multicast address")]
    [InlineData("limits:", "broadcast: {straggler: kill}\nlimits:", "gris.yaml:13", "no policy for stragglers")]
    [InlineData("limits:", "broadcast: {floor: slow}\nlimits:", "gris.yaml:13", "no rate")]
    [InlineData("limits:", "broadcast: {encrypt: tls}\nlimits:", "gris.yaml:13", "encrypt")]
    [InlineData("limits:", "broadcast: {ring: large}\nlimits:", "gris.yaml:13", "a size such as")]
    [InlineData("limits:", "broadcast: {ring: 2GiB}\nlimits:", "gris.yaml:13", "a size from 4,194,304 to 1,073,741,824 bytes")]
    [InlineData("52:54:00:00:00:02", "52:54:00:00:00:01", "ka.yaml", "MAC 52:54:00:00:00:01 stands 2 times (gris-1, gris-2)")]
    [InlineData("10.0.0.12", "10.0.0.11", "ka.yaml", "address 10.0.0.11 stands 2 times")]
    public void An_error_in_a_cluster_is_said_at_its_place(string old, string wrong, string place, string says) => Refuses(Site, Gris.Replace(old, wrong), place, says);

    [Theory]
    [InlineData("unix:/run/ka/kad.sock", "0.0.0.0:80", "ka.yaml:3", "no listener")]
    [InlineData("10.0.0.1}", "0.0.0.0}", "ka.yaml:4", "no address of one interface")]
    [InlineData("10.0.0.1}", "10.0.0.1, http: 0}", "ka.yaml:4", "")]
    [InlineData("10.0.0.1}", "10.0.0.1, http: 65536}", "ka.yaml:4", "")]
    [InlineData("dhcp: off", "dhcp: full", "ka.yaml:5", "needs 'interface'")]
    [InlineData("10.0.0.0/16", "10.0.0.0/33", "ka.yaml:5", "no network")]
    [InlineData("gris.yaml", "nowhere.yaml", "ka.yaml:6", "cannot be read")]
    [InlineData("clusters", "clutsers", "ka.yaml:6", "clusters")]
    [InlineData("clusters", "limits: {store: much}\nclusters", "ka.yaml:6", "no size of a store")]
    [InlineData("clusters", "limits: {store: 1000}\nclusters", "ka.yaml:6", "at least 1 MiB")]
    [InlineData("boot:", "auth: {oidc: {issuer: \"https://sso.example.org\"}}\nboot:", "ka.yaml:5", "lacks the key 'clientId'")]
    [InlineData("boot:", "auth: {oidc: {clientId: ka, issuer: \"http://sso.example.org\"}}\nboot:", "ka.yaml:5", "is no issuer")]
    [InlineData("boot:", "auth: {oidc: {clientId: ka, issuer: \"https://sso.example.org/?realm=a\"}}\nboot:", "ka.yaml:5", "is no issuer")]
    [InlineData("boot:", "auth: {oidc: {clientId: ka, issuer: sso.example.org}}\nboot:", "ka.yaml:5", "is no issuer")]
    [InlineData("boot:", "auth: {oidc: {clientId: k a, issuer: \"https://sso.example.org\"}}\nboot:", "ka.yaml:5", "is no word")]
    [InlineData("boot:", "auth: {oidc: {clientId: ka, issuer: \"https://sso.example.org\", scopes: [profile]}}\nboot:", "ka.yaml:5", "the scope 'openid' is missing")]
    [InlineData("boot:", "auth: {oidc: {clientId: ka, issuer: \"https://sso.example.org\", secret: x}}\nboot:", "ka.yaml:5", "secret")]
    [InlineData("boot:", "auth: {oidc: {clientId: ka, issuer: \"https://sso.example.org\", authority: gris.yaml}}\nboot:", "ka.yaml:5", "holds no certificate")]
    public void An_error_in_the_server_is_said_at_its_place(string old, string wrong, string place, string says) => Refuses(Site.Replace(old, wrong), Gris, place, says);

    [Theory]
    [InlineData("", null)]
    [InlineData("limits: {store: 500GiB}\n", 500L << 30)]
    public void The_store_is_bounded_when_the_site_says_so(string limits, long? bytes) => Assert.Equal(bytes, Read(limits + Site, Gris).Site!.StoreLimit);

    [Fact]
    public void An_issuer_of_single_sign_on_needs_only_its_address_and_a_client()
    {
        var reading = Read(Site + "\nauth: {oidc: {issuer: \"https://sso.example.org/realms/a\", clientId: ka}}\n", Gris);
        Assert.Empty(reading.Findings.Select(f => f.ToString()));
        var oidc = reading.Site!.Auth.Oidc!;
        Assert.Equal(("https://sso.example.org/realms/a", "ka", "ka", "preferred_username", null), (oidc.Issuer, oidc.ClientId, oidc.Audience, oidc.User, oidc.Groups));
        Assert.Null(Read(Site, Gris).Site!.Auth.Oidc);
    }

    void Refuses(string site, string gris, string place, string says)
    {
        var reading = Read(site, gris);
        Assert.Null(reading.Site);
        Assert.Contains(reading.Findings, f => f.ToString().Contains(place, StringComparison.Ordinal) && f.ToString().Contains(says, StringComparison.Ordinal));
    }

    SiteReading Read(string site, string gris)
    {
        _directory.Write("gris.yaml", gris);
        return SiteReader.Read(_directory.Write("ka.yaml", site));
    }
}
