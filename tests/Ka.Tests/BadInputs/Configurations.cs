using Ka.Server.Configuration;

namespace Ka.Tests.BadInputs;

/// <summary>Configurations that are none: nothing of them is taken, and each error says where it is.</summary>
public sealed class Configurations : IDisposable
{
    const string Site = """
        server:
          state: state
          users: ["unix:/run/ka/kad.sock"]
          nodes: {address: 10.0.0.1}
        boot: {dhcp: off, network: 10.0.0.0/16}
        clusters: [gris.yaml, bleu.yaml]
        """;

    const string Gris = """
        cluster: gris
        defaults:
          power: {kind: ipmi, user: admin, passwordFile: secret, host: 10.1.0.99}
        nodes:
          gris-1: {mac: "52:54:00:00:00:01", address: 10.0.0.11}
          gris-2: {mac: "52:54:00:00:00:02", address: 10.0.0.12}
        limits: {reboot-window: 7, gather: 5s}
        """;

    const string Bleu = """
        cluster: bleu
        defaults:
          power: {kind: ipmi, user: admin, passwordFile: secret, host: 10.1.0.98}
        nodes:
          bleu-1: {mac: "52:54:00:00:01:01", address: 10.0.1.11}
        """;

    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    SiteReading Read(string site, string gris = Gris, string bleu = Bleu)
    {
        _directory.Write("gris.yaml", gris);
        _directory.Write("bleu.yaml", bleu);
        return SiteReader.Read(_directory.Write("ka.yaml", site));
    }

    void Refuses(SiteReading reading, string place, string says)
    {
        Assert.Null(reading.Site);
        Assert.True(
            reading.Findings.Any(f => f.ToString().Contains(place, StringComparison.Ordinal) && f.ToString().Contains(says, StringComparison.OrdinalIgnoreCase)),
            $"expected '{says}' at {place}:\n{string.Join('\n', reading.Findings)}");
        Assert.All(reading.Findings, f => Assert.DoesNotContain(f.ToString(), c => char.IsControl(c) && c != '\n'));
    }

    [Fact]
    public void What_the_cases_begin_with_is_a_configuration() => Assert.Empty(Read(Site).Findings.Select(f => f.ToString()));

    [Theory]
    [InlineData("", "")]
    [InlineData("\n\n", "")]
    [InlineData("# only a comment\n", "")]
    [InlineData("[]", "")]
    [InlineData("just words", "")]
    [InlineData("server: [1, 2]\n", "ka.yaml:1")]
    [InlineData("server:\n  state: state\n  users: [\"unix:/run/ka/kad.sock\"", "ka.yaml")]
    [InlineData("server:\n\tstate: x\n", "ka.yaml:2")]
    [InlineData("---\na: 1\n---\nb: 2\n", "ka.yaml:3")]
    [InlineData("server: &a {state: x}\nboot: *a\n", "ka.yaml:1")]
    [InlineData("server: !!map {state: x}\n", "ka.yaml:1")]
    [InlineData("server: {state: x}\nserver: {state: y}\n", "ka.yaml:2")]
    [InlineData("<<: {server: {}}\n", "ka.yaml:1")]
    [InlineData("server: \"\\x00\"\n", "ka.yaml:1")]
    public void A_file_that_is_none_is_refused(string text, string place) => Refuses(Read(text), place, "");

    [Fact]
    public void A_file_that_is_too_deep_or_too_large_is_refused()
    {
        Refuses(Read("server: " + new string('[', 100_000)), "ka.yaml", "");
        Refuses(Read("server:\n" + string.Concat(Enumerable.Range(0, 400_000).Select(i => $"  k{i}: v\n"))), "ka.yaml", "");
    }

    [Theory]
    [InlineData("gris.yaml", "none.yaml", "ka.yaml:6", "cannot be read")]
    [InlineData("gris.yaml", "loop.yaml", "ka.yaml:6", "cannot be read")]
    [InlineData("gris.yaml", ".", "ka.yaml:6", "cannot be read")]
    [InlineData("gris.yaml, bleu.yaml", "gris.yaml, gris.yaml", "", "gris")]
    [InlineData("clusters:", "clutsers:", "ka.yaml:6", "did you mean 'clusters'")]
    [InlineData("state: state", "state: state\n  port: 80", "ka.yaml:3", "port")]
    [InlineData("  state: state\n", "", "ka.yaml:", "state")]
    [InlineData("unix:/run/ka/kad.sock", "0.0.0.0:8443", "ka.yaml:3", "")]
    [InlineData("unix:/run/ka/kad.sock", "[::]:8443", "ka.yaml:3", "")]
    [InlineData("unix:/run/ka/kad.sock", "127.0.0.1:70000", "ka.yaml:3", "")]
    [InlineData("unix:/run/ka/kad.sock", "127.0.0.1:0", "ka.yaml:3", "")]
    [InlineData("unix:/run/ka/kad.sock", "127.0.0.1", "ka.yaml:3", "")]
    [InlineData("unix:/run/ka/kad.sock", "unix:kad.sock", "ka.yaml:3", "")]
    [InlineData("unix:/run/ka/kad.sock", "http://127.0.0.1:80", "ka.yaml:3", "")]
    [InlineData("{address: 10.0.0.1}", "{address: localhost}", "ka.yaml:4", "")]
    [InlineData("{address: 10.0.0.1}", "{address: 10.0.0.1, agent: -1}", "ka.yaml:4", "")]
    [InlineData("{address: 10.0.0.1}", "{address: 10.0.0.1, agent: 0x50}", "ka.yaml:4", "")]
    [InlineData("{address: 10.0.0.1}", "{address: 10.0.0.1, agent: 8481, chain: 8481}", "ka.yaml:4", "")]
    [InlineData("dhcp: off", "dhcp: \"yes\"", "ka.yaml:5", "")]
    [InlineData("10.0.0.0/16", "10.0.0.0", "ka.yaml:5", "")]
    [InlineData("10.0.0.0/16", "300.0.0.0/16", "ka.yaml:5", "")]
    public void An_error_of_the_server_is_at_its_place(string old, string wrong, string place, string says)
    {
        File.CreateSymbolicLink(_directory["loop.yaml"], _directory["loop.yaml"]);
        Refuses(Read(Site.Replace(old, wrong, StringComparison.Ordinal)), place, says);
    }

    [Theory]
    [InlineData("gather: 5s", "gather: 5", "gris.yaml:7", "expected a duration such as 200ms")]
    [InlineData("gather: 5s", "gather: -5s", "gris.yaml:7", "")]
    [InlineData("gather: 5s", "gather: 5 parsecs", "gris.yaml:7", "")]
    [InlineData("gather: 5s", "gather: \"1+1;exit\"", "gris.yaml:7", "")]
    [InlineData("gather: 5s", "gather: 99999999999999999999s", "gris.yaml:7", "")]
    [InlineData("gather: 5s", "gahter: 5s", "gris.yaml:7", "did you mean 'gather'")]
    [InlineData("reboot-window: 7", "reboot-window: 0", "gris.yaml:7", "")]
    [InlineData("reboot-window: 7", "reboot-window: -1", "gris.yaml:7", "")]
    [InlineData("reboot-window: 7", "reboot-window: 9999999999", "gris.yaml:7", "")]
    [InlineData("reboot-window: 7", "reboot-window: seven", "gris.yaml:7", "")]
    [InlineData("52:54:00:00:00:02", "52:54:00:00:00", "gris.yaml:6", "MAC")]
    [InlineData("52:54:00:00:00:02", "52:54:00:00:00:0g", "gris.yaml:6", "MAC")]
    [InlineData("52:54:00:00:00:02", "ff:ff:ff:ff:ff:ff", "gris.yaml:6", "MAC")]
    [InlineData("52:54:00:00:00:02", "01:00:5e:00:00:01", "gris.yaml:6", "MAC")]
    [InlineData("52:54:00:00:00:02", "52:54:00:00:01:01", "ka.yaml", "MAC")]
    [InlineData("10.0.0.12", "10.0.1.11", "ka.yaml", "address 10.0.1.11")]
    [InlineData("10.0.0.12", "10.0.0.1", "ka.yaml", "10.0.0.1")]
    [InlineData("10.0.0.12", "10.0.0.300", "gris.yaml:6", "address")]
    [InlineData("10.0.0.12", "\"::1\"", "gris.yaml:6", "address")]
    [InlineData("gris-2:", "gris-1:", "gris.yaml:6", "gris-1")]
    [InlineData("gris-2:", "\"gris-[2-3]\":", "gris.yaml:6", "gris-[2-3]")]
    [InlineData("gris-2:", "\"gris 2\":", "gris.yaml:6", "")]
    [InlineData("gris-2:", "\"$(reboot)\":", "gris.yaml:6", "")]
    [InlineData("gris-2:", "bleu-1:", "ka.yaml", "bleu-1")]
    [InlineData("cluster: gris", "cluster: bleu", "", "bleu")]
    [InlineData("cluster: gris", "cluster: \"gr is\"", "gris.yaml:1", "")]
    [InlineData("cluster: gris", "cluster: ../gris", "gris.yaml:1", "")]
    [InlineData("kind: ipmi", "kind: ipmi, cipher: 0", "gris.yaml:3", "lets everybody in")]
    [InlineData("kind: ipmi", "kind: ipmi, port: 70000", "gris.yaml:3", "")]
    [InlineData("kind: ipmi", "kind: ipmi, password: secret", "gris.yaml:3", "passwordFile")]
    [InlineData(", passwordFile: secret", "", "gris.yaml:3", "passwordFile")]
    [InlineData("kind: ipmi", "kind: [ipmi]", "gris.yaml:3", "")]
    [InlineData("limits:", "steps: {boot: [{do: classical, timeout: 5}]}\nlimits:", "gris.yaml:7", "duration")]
    [InlineData("limits:", "steps: {boot: [{do: classical, retries: -1}]}\nlimits:", "gris.yaml:7", "")]
    [InlineData("limits:", "steps: {boot: []}\nlimits:", "gris.yaml:7", "")]
    [InlineData("limits:", "steps: {bot: [{do: classical}]}\nlimits:", "gris.yaml:7", "boot")]
    public void An_error_of_a_cluster_is_at_its_place(string old, string wrong, string place, string says) => Refuses(Read(Site, Gris.Replace(old, wrong, StringComparison.Ordinal)), place, says);

    [Fact]
    public void A_group_of_nodes_that_are_not_there_is_warned_of() => Assert.Contains(
        Read(Site, Gris.Replace("limits:", "groups: {far: {nodes: \"gris-[2,9]\", rack: r2}}\nlimits:", StringComparison.Ordinal)).Findings,
        f => f.Error.Severity == Ka.Core.Documents.Severity.Warning && f.Error.Message.Contains("names gris-9", StringComparison.Ordinal));

    [Fact]
    public void A_secret_that_everybody_may_write_is_none()
    {
        File.SetUnixFileMode(_directory.Write("secret", "x"), (UnixFileMode)0b110_110_110);
        Refuses(Read(Site), "gris.yaml:3", "everybody may write");
    }

    [Fact]
    public void A_device_in_place_of_a_file_ends() => Assert.Null(SiteReader.Read("/dev/zero").Site);

    [Fact]
    public void All_errors_are_said_at_once()
    {
        var reading = Read(Site.Replace("dhcp: off", "dhcp: sometimes", StringComparison.Ordinal), Gris.Replace("gather: 5s", "gather: 5", StringComparison.Ordinal), Bleu.Replace("10.0.1.11", "x", StringComparison.Ordinal));
        foreach (var file in (string[])["ka.yaml:5", "gris.yaml:7", "bleu.yaml:5"])
            Assert.Contains(reading.Findings, f => f.ToString().Contains(file, StringComparison.Ordinal));
    }
}
