using System.Collections.Immutable;

namespace Ka.Server.Configuration.Conversion;

/// <summary>Commands of Kadeploy3's server file as programs of Ka's, which get their words as arguments or on standard input and not by substitution.</summary>
static class ProgramConversion
{
    static readonly ImmutableArray<(string Key, string Kind)> Ends = [("end_of_deployment", "deploy"), ("end_of_reboot", "reboot"), ("end_of_power", "power")];

    /// <summary><c>hooks</c>: each old command is run for its own kind of operation, with the operation's id in the place of WORKFLOW_ID.</summary>
    public static string Hooks(OldFile server, IDictionary<string, string> files)
    {
        var text = "";
        foreach (var (key, kind) in Ends)
        {
            if (server.Take($"hooks/{key}") is not { Length: > 0 } command)
                continue;
            var path = $"scripts/{key.Replace('_', '-')}.sh";
            files[path] = $$"""
                #!/bin/sh
                # From {{server.PlaceOf($"hooks/{key}")}}. The operation comes as JSON on standard input and begins with its id and kind.
                operation=$(tr -d '\n')
                word() { printf '%s' "$operation" | sed -n "s/^{ *\"id\": *\"$1\", *\"kind\": *\"$2\",.*/\1/p"; }
                [ "$(word '[^"]*' '\([^"]*\)')" = {{kind}} ] || exit 0
                id=$(word '\([^"]*\)' '[^"]*')
                {{command.Replace("WORKFLOW_ID", "\"$id\"", StringComparison.Ordinal).Replace("REBOOT_ID", "\"$id\"", StringComparison.Ordinal).Replace("POWER_ID", "\"$id\"", StringComparison.Ordinal)}}

                """;
            text += $"  - command: [{path}]\n";
        }
        return text.Length == 0 ? "" : "hooks:\n" + text;
    }

    /// <summary><c>vlan</c>: the old command gets its nodes as <c>-m NODE -m NODE</c>.</summary>
    public static string Vlan(OldFile server, IDictionary<string, string> files, List<string> notes)
    {
        if (server.Take("network/vlan/set_cmd") is not { Length: > 0 } command)
            return "";
        const string path = "scripts/vlan.sh";
        if (command.Contains("USER", StringComparison.Ordinal))
            notes.Add($"{path}: Ka does not say who asks; USER became \"$USER\", which is the server's own. Mend the script");
        if (server.Take("network/vlan/hostname_suffix") is { Length: > 0 } suffix)
            notes.Add($"ka.yaml: nodes in a VLAN had '{suffix}' behind their host name; write that as vlan.names, such as \"{{node}}{suffix.Replace("VLAN_ID", "{vlan}", StringComparison.Ordinal)}.example.org\"");
        files[path] = $"""
            #!/bin/sh
            # From {server.PlaceOf("network/vlan/set_cmd")}.
            nodes=$(ka nodes expand "$2" | tr -s ' ' '\n' | sed 's/^/ -m /' | tr -d '\n')
            {command.Replace("VLAN_ID", "\"$1\"", StringComparison.Ordinal).Replace("NODES", "$nodes", StringComparison.Ordinal).Replace("USER", "\"$USER\"", StringComparison.Ordinal)}

            """;
        return $"vlan:\n  command: [{path}, \"{{vlan}}\", \"{{nodes}}\"]\n  default: DEFAULT\n";
    }
}
