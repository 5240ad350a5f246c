using System.Collections.Immutable;
using System.Globalization;

namespace Ka.Cli.Kadeploy3;

/// <summary>The commands of Kadeploy3 3.3 and later, as tables of what each option is in ka's words.</summary>
public static class OldTools
{
    public static readonly ImmutableArray<string> Names = ["kadeploy3", "kareboot3", "kapower3", "kaconsole3", "kaenv3", "kanodes3", "karights3", "kastat3"];

    /// <summary>The command that a program's name stands for, or null; the 3 may be left out.</summary>
    public static string? Named(string program) => Names.FirstOrDefault(n => n == program || n[..^1] == program);

    /// <param name="variable">Looks up an environment variable.</param>
    public static OldCall Translate(string tool, IReadOnlyList<string> arguments, Func<string, string?> variable)
    {
        var words = OldParser.Read(TableOf(tool), arguments);
        if (words.Refusal is { } wrong)
            return words.Refused(wrong);
        if (words.AllServers && words.Has("server"))
            return words.Refused("-S names one server, -M means all of them: leave out one");
        if (words.Has("help"))
            return new OldCall([.. HelpOf(tool), "--help"], [], null);
        if (words.Has("version"))
            return words.Call("version");
        return tool switch
        {
            "kadeploy3" => Deploy(words, variable),
            "kareboot3" => Reboot(words, variable),
            "kapower3" => Power(words, variable),
            "kaenv3" => OldCatalogue.Environments(words),
            "kanodes3" => OldCatalogue.NodesOf(words, variable),
            "karights3" => OldCatalogue.Rights(words, variable),
            "kastat3" => OldCatalogue.Statistics(words),
            _ => ConsoleOf(words, variable),
        };
    }

    internal static IReadOnlyList<OldOption> TableOf(string tool) => tool switch
    {
        "kadeploy3" => [.. Client, .. Nodes, .. Operation, .. DeployOnly],
        "kareboot3" => [.. Client, .. Nodes, .. Operation, .. RebootOnly],
        "kapower3" => [.. Client, .. Nodes, .. Operation, .. PowerOnly],
        "kaenv3" => [.. Client, .. OldCatalogue.EnvironmentOnly],
        "kanodes3" => [.. Client, .. Nodes, .. OldCatalogue.NodesOnly],
        "karights3" => [.. Client, .. Nodes, .. OldCatalogue.RightsOnly],
        "kastat3" => [.. Client, .. Nodes, .. OldCatalogue.StatisticsOnly],
        _ => [.. Client, .. Nodes],
    };

    static string[] HelpOf(string tool) => tool switch
    {
        "kadeploy3" => ["deploy"],
        "kareboot3" => ["reboot"],
        "kapower3" => ["power"],
        "kaenv3" => ["env"],
        "kanodes3" => ["nodes"],
        "karights3" => ["rights"],
        "kastat3" => ["stats"],
        _ => ["console"],
    };

    internal static OldOption Flag(string name, char? letter) => new(name, letter, OldValue.None, (w, v) => w.Values[name] = v);

    internal static OldOption Text(string name, char? letter) => new(name, letter, OldValue.Required, (w, v) => w.Values[name] = v);

    /// <summary>An option of ka that means the same.</summary>
    internal static OldOption Same(string name, char? letter, string option) => new(name, letter, OldValue.Required, (w, v) => w.Options.AddRange([option, v!]));

    internal static OldOption SameFlag(string name, char? letter, string? option) => new(name, letter, OldValue.None, (w, v) =>
    {
        if (option is not null && v != "no")
            w.Options.Add(option);
    });

    static OldOption Without(string name, char? letter, OldValue value, string why) => new(name, letter, value, (w, v) =>
    {
        if (v != "no")
            w.Note($"--{name} has no effect: {why}");
    });

    static OldOption Missing(string name, char? letter, OldValue value, string instead) => new(name, letter, value, (w, v) => w.Refuse($"--{name} is not known here: {instead}"));

    static readonly ImmutableArray<OldOption> Client =
    [
        Flag("help", 'h'), Flag("version", 'v'), new("server", 'S', OldValue.Required, (w, v) => { w.Values["server"] = v; w.Options.AddRange([Contexts.IsAddress(v) ? "--server" : "--context", v!]); }), SameFlag("dry-run", null, "--dry-run"),
        Missing("server-info", 'I', OldValue.None, "see 'ka nodes ls' and 'ka deploy --dry-run'"),
        new("multi-server", 'M', OldValue.None, (w, v) => w.AllServers = v != "no"),
        Without("debug-http", 'H', OldValue.None, "the server's log has the requests"),
        Missing("password", null, OldValue.Optional, "a password on a command line is seen by everybody; use --user and --password-file of ka, or a token"),
        SameFlag("secure", null, null),
    ];

    static readonly ImmutableArray<OldOption> Nodes =
    [
        new("machine", 'm', OldValue.Required, (w, v) => w.Nodes.Add(v!)),
        new("file", 'f', OldValue.Required, (w, v) => w.NodesFile = v),
    ];

    static readonly ImmutableArray<OldOption> Operation =
    [
        SameFlag("debug-mode", 'd', "--verbose"), Same("output-ko-nodes", 'n', "--ko-nodes"), Same("output-ok-nodes", 'o', "--ok-nodes"), Same("script", 's', "--script"),
        new("verbose-level", 'V', OldValue.Required, (w, v) =>
        {
            if (!int.TryParse(v, NumberStyles.None, CultureInfo.InvariantCulture, out var level) || level > 5)
                w.Refuse("Invalid verbose level: 0 to 5");
            else if (level >= 3)
                w.Options.Add("--verbose");
        }),
        Same("write-workflow-id", null, "--write-id"),
        new("wait", null, OldValue.None, (w, v) => w.Options.Add(v == "no" ? "--no-wait" : "--wait")),
        Without("force", null, OldValue.None, "nodes that another operation holds are never taken; end it first: ka ops cancel ID"),
        Text("breakpoint", null), Text("custom-steps", null), Text("set-custom-operations", null),
        Without("hook", null, OldValue.None, "the hooks of the site run after every operation"),
        Text("set-pxe-profile", 'w'),
        Missing("set-pxe-pattern", null, OldValue.Required, "the kernel line of a boot profile of ka has the words of each node in it: {{ node.name }}"),
        Text("upload-pxe-files", 'x'),
        Without("reboot-classical-timeout", null, OldValue.Required, "each strategy has its own: ka deploy --strategy boot=classical:0:300s"),
    ];

    static readonly ImmutableArray<OldOption> DeployOnly =
    [
        Same("vlan", null, "--vlan"), Text("env-name", 'e'), Text("env-user", 'u'), Text("env-version", null), Text("env-file", 'a'), Without("env-arch", null, OldValue.Required, "the description says it"),
        Without("block-device", 'b', OldValue.Required, "the cluster's layout says which disk"), Without("partition-number", 'p', OldValue.Required, "the cluster's layout says which partition"),
        Without("boot-partition", 'c', OldValue.Required, "the image's own boot loader is used"),
        new("key", 'k', OldValue.Optional, (w, v) => w.Values["key"] = v), Same("reformat-tmp", 'r', "--reformat-tmp"),
        SameFlag("no-kexec", null, "--no-kexec"), SameFlag("disable-bootloader-install", null, "--no-bootloader"), SameFlag("disable-disk-partitioning", null, "--no-partitioning"),
        Without("reboot-kexec-timeout", null, OldValue.Required, "each strategy has its own: ka deploy --strategy boot=kexec:0:120s"),
        Missing("force-steps", null, OldValue.Required, "name the strategies: ka deploy --strategy minimal-env=… install=… boot=…"),
    ];

    static readonly ImmutableArray<OldOption> RebootOnly =
    [
        Same("vlan", null, "--vlan"),
        Text("reboot-kind", 'r'), Text("op-level", 'l'), SameFlag("check-destructive-tag", 'c', "--check-destructive"), Text("env-name", 'e'), Text("env-user", 'u'), Text("env-version", null),
        new("key", 'k', OldValue.Optional, (w, v) => w.Values["key"] = v),
        Without("partition-number", 'p', OldValue.Required, "the cluster's layout says which partition"), Without("block-device", 'b', OldValue.Required, "the cluster's layout says which disk"),
    ];

    static readonly ImmutableArray<OldOption> PowerOnly = [Missing("vlan", null, OldValue.Required, "only a deployment puts nodes into a VLAN"), Flag("on", null), Flag("off", null), Flag("status", null), Text("op-level", 'l')];

    static OldCall Deploy(OldWords words, Func<string, string?> variable)
    {
        var name = words["env-name"] ?? words.Positional.FirstOrDefault();
        if (words.Positional.Count > (words.Has("env-name") ? 0 : 1))
            return words.Refused($"Too many arguments: {string.Join(' ', words.Positional)}");
        if (name is null == words["env-file"] is null)
            return words.Refused(name is null ? "You must specify an environment" : "You can not specify both an environment name and an environment file");
        if (words.Selection(variable) is not { } nodes)
            return words.Refused("No node is chosen");
        CheckUser(words);
        Key(words, variable);
        if (words["breakpoint"] is { } breakpoint)
            words.Options.AddRange(["--breakpoint", breakpoint]);
        if ((words["custom-steps"] ?? words["set-custom-operations"]) is { } steps)
            words.Options.AddRange(["--custom-steps", steps]);
        Profile(words);
        return name is null
            ? words.Call(["deploy", "--env-file", words["env-file"]!, .. nodes, "--yes"])
            : words.Call(["deploy", Version(name, words), .. nodes, "--yes"]);
    }

    static OldCall Reboot(OldWords words, Func<string, string?> variable)
    {
        var kind = words["reboot-kind"] ?? words.Positional.FirstOrDefault() ?? "simple";
        if (words.Selection(variable) is not { } nodes)
            return words.Refused("No node is chosen");
        Level(words);
        Profile(words);
        if (words.Has("set-pxe-profile") != kind is "set_pxe")
            return words.Refused(kind is "set_pxe" ? "You must specify a PXE profile: -w FILE" : "-w goes with the kind set_pxe");
        switch (kind)
        {
            case "simple" or "simple_reboot":
                return words.Call(["reboot", .. nodes, "--yes"]);
            case "deploy_env":
                Key(words, variable);
                return words.Call(["reboot", "--to", "minimal", .. nodes, "--yes"]);
            case "recorded_env" or "env_recorded":
                CheckUser(words);
                return words["env-name"] is { } name ? words.Call(["reboot", "--to", Version(name, words), .. nodes, "--yes"]) : words.Refused("You must specify an environment");
            case "set_pxe":
                return words.Call(["reboot", .. nodes, "--yes"]);
            default:
                return words.Refused($"Invalid kind of reboot: {kind}");
        }
    }

    static OldCall Power(OldWords words, Func<string, string?> variable)
    {
        string[] asked = [.. new[] { "on", "off", "status" }.Where(words.Has), .. words.Positional];
        if (asked is not ["on" or "off" or "status"])
            return words.Refused(asked.Length == 0 ? "You must specify an operation: --on, --off or --status" : $"Choose one of --on, --off and --status, not: {string.Join(' ', asked)}");
        if (words.Selection(variable) is not { } nodes)
            return words.Refused("No node is chosen");
        if (words.Has("set-pxe-profile") || words.Has("upload-pxe-files"))
            return words.Refused("-w and -x have no meaning for a change of power");
        if (asked[0] == "status")
            return words.Has("op-level") ? words.Refused("A level has no meaning for --status") : words.Call(["power", "status", .. nodes]);
        Level(words);
        return words.Call(["power", asked[0], .. nodes, "--yes"]);
    }

    static OldCall ConsoleOf(OldWords words, Func<string, string?> variable) => words.Selection(variable) switch
    {
        ["-w", var node] when !node.Contains(',') && !node.Contains('[') => words.Call("console", node),
        null => words.Refused("No node is chosen"),
        _ => words.Refused("Only one node is expected: -m NODE"),
    };

    static void Level(OldWords words)
    {
        if (words["op-level"] is not { } level)
            return;
        if (level is not ("soft" or "hard" or "very_hard"))
            words.Refuse($"Invalid level: {level}");
        words.Options.AddRange(["--level", level.Replace('_', '-')]);
    }

    static void Key(OldWords words, Func<string, string?> variable)
    {
        if (words.Has("key"))
            words.Options.AddRange(["--key", words["key"] ?? Path.Combine(variable("HOME") ?? "/root", ".ssh/authorized_keys")]);
    }

    /// <summary>A profile in PXELINUX's words; its files are found by their names in it.</summary>
    static void Profile(OldWords words)
    {
        if (words["set-pxe-profile"] is { } file)
            words.Options.AddRange(["--boot-profile", file]);
        if (words["upload-pxe-files"] is not { } files)
            return;
        if (!words.Has("set-pxe-profile"))
            words.Refuse("-x goes with -w");
        foreach (var apart in files.Split(',').Where(f => Folder(f) != Folder(words["set-pxe-profile"] ?? f)))
            words.Refuse($"{apart} must lie beside the profile, where it is looked for by its name");
    }

    static string? Folder(string file) => Path.GetDirectoryName(Path.GetFullPath(file));

    static string Version(string name, OldWords words) => words["env-version"] is { } version ? $"{name}:{version}" : name;

    /// <summary>A name is one environment of one owner here.</summary>
    static void CheckUser(OldWords words)
    {
        if (words["env-user"] is { } user)
            words.Note($"--env-user {user} has no effect: a name belongs to one owner");
    }
}
