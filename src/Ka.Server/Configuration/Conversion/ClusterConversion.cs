using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace Ka.Server.Configuration.Conversion;

/// <summary>One cluster file of Kadeploy3 as one of Ka.</summary>
static class ClusterConversion
{
    /// <summary>Kadeploy3's ways, without the name of their macro step, in Ka's words.</summary>
    static readonly ImmutableDictionary<string, string> Ways = new Dictionary<string, string>
    {
        ["SetDeploymentEnvUntrusted"] = "untrusted", ["SetDeploymentEnvKexec"] = "kexec", ["SetDeploymentEnvTrusted"] = "trusted", ["SetDeploymentEnvProd"] = "prod",
        ["BroadcastEnvChain"] = "chain", ["BroadcastEnvKastafior"] = "chain", ["BroadcastEnvKascade"] = "chain", ["BroadcastEnvTree"] = "tree", ["BroadcastEnvTreeWithTaktuk"] = "tree",
        ["BroadcastEnvBittorrent"] = "torrent", ["BootNewEnvKexec"] = "kexec", ["BootNewEnvClassical"] = "classical", ["BootNewEnvHardReboot"] = "hard-reboot",
    }.ToImmutableDictionary(StringComparer.Ordinal);

    static readonly (string Old, string New)[] Macros = [("SetDeploymentEnv", "minimal-env"), ("BroadcastEnv", "install"), ("BootNewEnv", "boot")];

    public static string Convert(
        string name, OldFile file, List<(string Name, string Address)> nodes, OldFile commands, string window, string? connector, NodePlaces places, IDictionary<string, string> files, List<string> notes)
    {
        var text = new StringBuilder($"cluster: {SiteConversion.Quoted(name)}\ndefaults:\n");
        text.Append($"  power: {{ kind: command, commands: {{ {Power(name, file, connector, files, notes)} }} }}\n");
        if (file.Items("remoteops/console").FirstOrDefault() is { } console && file.Take($"{console}/cmd") is { } sitting)
            text.Append($"  console: [{Script(name, "console", sitting, connector, file.PlaceOf($"{console}/cmd"), files, notes)}, \"{{node}}\"]\n");
        text.Append("  disk:\n");
        if (file.Take("partitioning/block_device") is { } device)
            text.Append($"    select: {{ path: {SiteConversion.Quoted(device)} }}\n");
        text.Append(Layout(name, file, notes));
        if (file.Take("boot/kernels/user/params") is { Length: > 0 } parameters)
            text.Append($"  params: {SiteConversion.Quoted(parameters)}\n");
        text.Append("nodes:\n");
        foreach (var (node, address) in nodes)
            text.Append($"  {SiteConversion.Quoted(node)}: {{ mac: \"{places.NextMac()}\", address: {address}{Overrides(name, node, commands, connector, files, notes)} }}\n");
        notes.Add($"clusters/{name}.yaml: the MAC addresses are made up; Kadeploy3 did not know them. Write those of the interfaces that the nodes boot from");
        text.Append(Steps(file, notes));
        return text.Append($"limits: {{ reboot-window: {window} }}\n").ToString();
    }

    /// <summary>The commands become scripts with the node's name as their argument, so that they go on meaning what a shell made of them.</summary>
    static string Power(string cluster, OldFile file, string? connector, IDictionary<string, string> files, List<string> notes)
    {
        var verbs = new List<string>();
        foreach (var (verb, list, levels) in ((string, string, string[])[])[("status", "power_status", []), ("on", "power_on", ["hard", "soft", "very_hard"]), ("off", "power_off", ["hard", "very_hard", "soft"]), ("soft", "power_off", ["soft"]), ("reset", "reboot", ["hard"])])
        {
            var items = file.Items($"remoteops/{list}").ToDictionary(i => i, i => file.Take($"{i}/name"));
            var chosen = levels.Length == 0 ? items.Keys.FirstOrDefault() : levels.Select(l => items.FirstOrDefault(i => i.Value == l).Key).FirstOrDefault(k => k is not null);
            if (chosen is not null && file.Take($"{chosen}/cmd") is { } command)
                verbs.Add($"{SiteConversion.Quoted(verb)}: [{Script(cluster, verb, command, connector, file.PlaceOf($"{chosen}/cmd"), files, notes)}, \"{{node}}\"]");
            else if (verb is "status" or "on" or "off")
            {
                notes.Add($"clusters/{cluster}.yaml: no command for '{verb}' was found; /bin/false stands there");
                verbs.Add($"{SiteConversion.Quoted(verb)}: [/bin/false]");
            }
        }
        return string.Join(", ", verbs);
    }

    static string Overrides(string cluster, string node, OldFile commands, string? connector, IDictionary<string, string> files, List<string> notes)
    {
        var verbs = new List<string>();
        foreach (var (verb, keys) in ((string, string[])[])[("status", ["power_status"]), ("on", ["power_on_hard", "power_on_soft"]), ("off", ["power_off_hard", "power_off_very_hard"]), ("soft", ["power_off_soft"]), ("reset", ["reboot_hard"])])
            if (keys.FirstOrDefault(k => commands.Take($"{node}/{k}") is not null) is { } key)
                verbs.Add($"{SiteConversion.Quoted(verb)}: [{Script($"{cluster}-{node}", verb, commands.Take($"{node}/{key}")!, connector, commands.PlaceOf($"{node}/{key}"), files, notes)}, \"{{node}}\"]");
        var own = verbs.Count == 0 ? "" : $", power: {{ commands: {{ {string.Join(", ", verbs)} }} }}";
        return commands.Take($"{node}/console") is { } console
            ? $"{own}, console: [{Script($"{cluster}-{node}", "console", console, connector, commands.PlaceOf($"{node}/console"), files, notes)}, \"{{node}}\"]"
            : own;
    }

    static string Script(string owner, string verb, string command, string? connector, string place, IDictionary<string, string> files, List<string> notes)
    {
        if (command.Contains("GROUP_FQDN", StringComparison.Ordinal) || command.Contains("GROUP_SHORT", StringComparison.Ordinal))
            notes.Add($"{place}: the command switches a group of nodes; Ka would run it for one node and meet the others. Mend the script");
        var body = command
            .Replace("DEFAULT_CONNECTOR", connector ?? "ssh -q -o BatchMode=yes -l root", StringComparison.Ordinal)
            .Replace("HOSTNAME_FQDN", "\"$1\"", StringComparison.Ordinal).Replace("HOSTNAME_SHORT", "\"${1%%.*}\"", StringComparison.Ordinal);
        var path = $"scripts/{owner}-{verb}.sh";
        files[path] = $"#!/bin/sh\n# From {place}.\n{body}\n";
        if (verb == "status")
            notes.Add($"{path}: must print 'on' or 'off'; Kadeploy3 only passed its output on");
        return path;
    }

    /// <summary>What Kadeploy3 knew of the disk are numbers; whatever is not for Ka to make stays as it is.</summary>
    static string Layout(string cluster, OldFile file, List<string> notes)
    {
        var numbers = new Dictionary<int, string>();
        foreach (var part in (string[])["swap", "prod", "deploy", "tmp"])
            if (int.TryParse(file.Take($"partitioning/partitions/{part}"), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number is > 0 and <= 128)
                numbers[number] = part;
        if (!numbers.ContainsValue("deploy"))
            numbers[numbers.Count == 0 ? 1 : numbers.Keys.Max() + 1] = "deploy";
        if (file.Take("partitioning/script") is { } script)
            notes.Add($"clusters/{cluster}.yaml: {script} partitioned the disks; Ka does it by 'layout', whose sizes are made up. Write the real ones, or name the script as disk.script");
        var last = numbers.Where(n => n.Value != "prod").Max(n => n.Key);
        var text = new StringBuilder($"    layout:\n      table: {(numbers.Keys.Max() <= 4 ? "mbr" : "gpt")}\n      partitions:\n");
        for (var number = 1; number <= numbers.Keys.Max(); number++)
            text.Append("        - { ").Append(numbers.GetValueOrDefault(number) switch
            {
                "swap" => $"name: swap, size: {(number == last ? "rest" : "4GiB")}, type: swap, filesystem: swap",
                "deploy" => $"name: deploy, size: {(number == last ? "rest" : "20GiB")}, type: linux, filesystem: ext4, deploy: true",
                "tmp" => $"name: tmp, size: {(number == last ? "rest" : "10GiB")}, type: linux, filesystem: ext4",
                "prod" => "name: prod, type: linux, keep: true",
                _ => $"name: p{number}, type: linux, keep: true",
            }).Append(" }\n");
        return text.ToString();
    }

    static string Steps(OldFile file, List<string> notes)
    {
        var text = new StringBuilder();
        foreach (var (old, word) in Macros)
        {
            var ways = new List<string>();
            foreach (var item in file.Items($"automata/macrosteps/{old}"))
            {
                var type = file.Take($"{item}/type") ?? "";
                var full = type.StartsWith(old, StringComparison.Ordinal) ? type : old + type;
                var (retries, timeout) = (Number(file.Take($"{item}/retries")), Number(file.Take($"{item}/timeout")));
                if (!Ways.TryGetValue(full, out var way))
                    notes.Add($"{file.PlaceOf($"{item}/type")}: the way {type} has no equivalent and is left out");
                else if (ways.All(w => !w.StartsWith($"{{ do: {way}", StringComparison.Ordinal)))
                    ways.Add($"{{ do: {way}{(retries > 0 ? $", retries: {Math.Min(retries, 20)}" : "")}{(timeout > 0 ? $", timeout: {timeout}s" : "")} }}");
            }
            if (ways.Count > 0)
                text.Append($"  {word}: [{string.Join(", ", ways)}]\n");
        }
        return text.Length == 0 ? "" : "steps:\n" + text;
    }

    static int Number(string? text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
}
