using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Drivers.Power;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Reads <c>power</c> of a node: which driver, and what that one needs.</summary>
static class PowerReader
{
    const int IpmiPort = 623, HttpsPort = 443;

    /// <summary>Hexadecimal digits of a SHA-256.</summary>
    const int FingerprintLength = 64;

    /// <param name="folder">Where relative paths begin.</param>
    public static PowerSettings Read(YamlSection node, string folder)
    {
        var power = node.Section("power", "kind", "on", "host", "port", "user", "passwordFile", "cipher", "commands", "system", "certificate", "authority", "broadcast", "outlet");
        var kind = power.Text("kind", "ipmi");
        if (!PowerDrivers.Kinds.Contains(kind))
            power.Refuse("kind", SiteReader.Code, $"power driver '{DocumentError.Cut(kind)}' is not known", $"one of: {string.Join(", ", PowerDrivers.Kinds)}");
        var on = power.OptionalText("on");
        if (on is not null && (on != "wol" || kind == "wol"))
            power.Refuse("on", SiteReader.Code, $"'{DocumentError.Cut(on)}' is no driver that only switches on", "wol, beside another kind");
        var cipher = power.Int("cipher", 0, 255, 17);
        if (cipher is not (3 or 17))
            power.Refuse("cipher", SiteReader.Code, $"cipher suite {cipher} is not used: 0 lets everybody in", "17 or 3");
        foreach (var key in Needed(kind, on))
            power.RequiredText(key);
        var password = Path(power, "passwordFile", folder);
        if (password is not null && File.Exists(password) && (File.GetUnixFileMode(password) & UnixFileMode.OtherWrite) != 0)
            power.Refuse("passwordFile", SiteReader.Code, $"everybody may write '{DocumentError.Cut(password)}'", "a file of mode 0640 or less");
        return new PowerSettings(
            kind, power.OptionalText("host"), power.Int("port", 1, 65535, kind == "redfish" ? HttpsPort : IpmiPort), power.OptionalText("user"),
            password, cipher is 3 or 17 ? cipher : 17, Commands(power, kind, folder))
        {
            OnKind = on,
            System = power.OptionalText("system"),
            Fingerprint = Fingerprint(power),
            AuthorityFile = Path(power, "authority", folder),
            Broadcast = Broadcast(power),
            Outlet = power.OptionalText("outlet"),
        };
    }

    /// <summary>A program of the site with its arguments; empty when there is none.</summary>
    public static ImmutableArray<string> Program(YamlSection section, string key, string folder) =>
        section.TextList(key) is { IsEmpty: false } words ? [System.IO.Path.GetFullPath(words[0], folder), .. words.Skip(1)] : [];

    /// <summary>Every node knows who else hangs on its outlet, in whatever cluster.</summary>
    public static ImmutableArray<Cluster> WithOutlets(IReadOnlyCollection<Cluster> clusters)
    {
        var fed = clusters.SelectMany(c => c.Nodes).Where(n => n.Power.Outlet is not null).GroupBy(n => n.Power.Outlet!, n => n.Name, StringComparer.Ordinal)
            .ToDictionary(g => g.Key, g => g.ToImmutableArray(), StringComparer.Ordinal);
        return [.. clusters.Select(c => c with { Nodes = [.. c.Nodes.Select(n => n.Power.Outlet is { } outlet ? n with { Power = n.Power with { OutletNodes = fed[outlet] } } : n)] })];
    }

    static IEnumerable<string> Needed(string kind, string? on)
    {
        if (kind is "ipmi" or "redfish")
            foreach (var key in (string[])["host", "user", "passwordFile"])
                yield return key;
        if (kind == "pdu")
            yield return "outlet";
        if (kind == "wol" || on == "wol")
            yield return "broadcast";
    }

    static ImmutableDictionary<string, ImmutableArray<string>> Commands(YamlSection power, string kind, string folder)
    {
        var commands = ImmutableDictionary.CreateBuilder<string, ImmutableArray<string>>();
        if (power.Has("commands"))
        {
            var section = power.Section("commands", "status", "on", "off", "soft", "reset", "boot-network");
            foreach (var entry in section.Entries)
                if (Program(section, entry.Key, folder) is { IsEmpty: false } words)
                    commands[entry.Key] = words;
        }
        if (kind is "command" or "pdu")
            foreach (var verb in (string[])["status", "on", "off"])
                if (!commands.ContainsKey(verb))
                    power.Refuse("commands", SiteReader.Code, $"the driver '{kind}' needs a command for '{verb}'", "commands: { on: [PROGRAM, ARGUMENT…], off: […], status: […] }");
        return commands.ToImmutable();
    }

    static string? Fingerprint(YamlSection power)
    {
        if (power.OptionalText("certificate")?.Replace(":", "", StringComparison.Ordinal).ToLowerInvariant() is not { } text)
            return null;
        if (power.Has("authority"))
            power.Refuse("authority", SiteReader.Code, "'certificate' names the one certificate that is believed, so no authority is asked", "'certificate' or 'authority'");
        if (text.Length == FingerprintLength && text.All(char.IsAsciiHexDigitLower))
            return text;
        power.Refuse("certificate", SiteReader.Code, $"'{DocumentError.Cut(text)}' is no fingerprint", "the SHA-256 of the BMC's certificate: openssl x509 -noout -fingerprint -sha256");
        return null;
    }

    static string? Broadcast(YamlSection power)
    {
        if (power.OptionalText("broadcast") is not { } text)
            return null;
        if (IPAddress.TryParse(text, out var address) && address.AddressFamily == AddressFamily.InterNetwork)
            return text;
        power.Refuse("broadcast", SiteReader.Code, $"'{DocumentError.Cut(text)}' is no IPv4 address", "the broadcast address of the nodes' network, such as 10.0.0.255");
        return null;
    }

    static string? Path(YamlSection power, string key, string folder) => power.OptionalText(key) is { } path ? System.IO.Path.GetFullPath(path, folder) : null;
}
