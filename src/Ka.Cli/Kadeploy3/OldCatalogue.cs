using System.Collections.Immutable;
using System.Globalization;

namespace Ka.Cli.Kadeploy3;

/// <summary>The commands of Kadeploy3 that list and change what the server knows.</summary>
static class OldCatalogue
{
    internal static readonly ImmutableArray<OldOption> EnvironmentOnly =
    [
        OldTools.Text("add", 'a'), OldTools.Text("delete", 'd'), new("list", 'l', OldValue.Optional, (w, v) => w.Values["list"] = v), OldTools.Text("print", 'p'),
        OldTools.Flag("all-versions", 's'), OldTools.Text("env-user", 'u'), OldTools.Text("env-version", null), OldTools.Text("toggle-destructive-tag", null),
        OldTools.Text("set-visibility-tag", null), OldTools.Text("visibility-tag", 't'), OldTools.Text("update-image-checksum", null), OldTools.Text("update-preinstall-checksum", null),
        OldTools.Text("update-postinstalls-checksum", null), OldTools.Flag("move-files", null), OldTools.Text("files-to-move", 'm'),
    ];

    internal static readonly ImmutableArray<OldOption> NodesOnly =
    [
        OldTools.Flag("get-nodes-state", 's'), OldTools.Flag("deployments", 'd'), OldTools.Flag("reboots", 'r'), OldTools.Flag("powers", 'p'), OldTools.Flag("consoles", 'c'), OldTools.Flag("all", 'a'),
        OldTools.Text("workflow-id", 'w'),
    ];

    internal static readonly ImmutableArray<OldOption> RightsOnly =
    [
        OldTools.Flag("add", 'a'), OldTools.Flag("delete", 'd'), OldTools.Flag("list", 'l'), OldTools.Text("user", 'u'), OldTools.Text("part", 'p'), OldTools.Flag("overwrite-rights", 'o'),
    ];

    internal static readonly ImmutableArray<OldOption> StatisticsOnly =
    [
        OldTools.Flag("all", 'a'), new("failure-rate", 'b', OldValue.Optional, (w, v) => w.Values["failure-rate"] = v), OldTools.Text("operation", 'o'), OldTools.Text("min-retries", 'r'),
        OldTools.Text("retry-steps", 's'), OldTools.Text("workflow-id", 'w'), OldTools.Text("date-min", 'x'), OldTools.Text("date-max", 'y'), OldTools.Text("fields", 'F'),
        OldTools.Same("limit", null, "--limit"), OldTools.Text("sort", null),
    ];

    public static OldCall Environments(OldWords words)
    {
        string[] verbs = [.. new[] { "add", "delete", "list", "print", "toggle-destructive-tag", "set-visibility-tag", "update-image-checksum", "update-preinstall-checksum", "update-postinstalls-checksum", "move-files" }.Where(words.Has)];
        if (verbs.Length > 1)
            return words.Refused($"Choose one of: {string.Join(", ", verbs.Select(v => "--" + v))}");
        if (words["env-user"] is { } user)
            words.Note($"--env-user {user} has no effect: a name belongs to one owner, and everything that you may see is listed");
        var version = words["env-version"];
        switch (verbs.FirstOrDefault() ?? "list")
        {
            case "add":
                return words.Call("env", "apply", "-f", words["add"]!);
            case "delete":
                return version is null ? words.Refused("Say which version: --env-version N") : words.Call("env", "rm", $"{words["delete"]}:{version}");
            case "print":
                return words.Call("env", "show", version is null ? words["print"]! : $"{words["print"]}:{version}");
            case "list":
                if (words["list"] is { } pattern)
                    words.Note($"the pattern '{pattern}' has no effect: everything is listed");
                return words.Call("env", "ls");
            case "toggle-destructive-tag":
                return words.Call("env", "set", Versioned("toggle-destructive-tag"), "--toggle-destructive");
            case "set-visibility-tag":
                return words["visibility-tag"] is { } visibility
                    ? words.Call("env", "set", Versioned("set-visibility-tag"), "--visibility", visibility)
                    : words.Refused("Say which visibility: -t private, shared or public");
            case var verb:
                return words.Refused(verb == "move-files"
                    ? "files are kept by their digest and never move"
                    : $"--{verb}: what is registered never changes; change the description, raise its version and add it");
        }

        string Versioned(string verb) => version is null ? words[verb]! : $"{words[verb]}:{version}";
    }

    public static OldCall NodesOf(OldWords words, Func<string, string?> variable)
    {
        if (words.Has("get-nodes-state"))
            return words.Call(["nodes", "export", .. Named(words, variable)]);
        if (words.Nodes.Count > 0 || words.NodesFile is not null)
            return words.Refused("-m and -f go with -s");
        if (words.Has("consoles"))
            return words.Call("console", "-o", "json");
        if (!new[] { "deployments", "reboots", "powers", "all" }.Any(words.Has))
            return words.Refused("You must choose an operation: -s, -d, -r, -p or -a");
        return words["workflow-id"] is { } id ? words.Call("ops", "show", id, "-o", "json") : words.Call("ops", "ls", "-o", "json");
    }

    public static OldCall Rights(OldWords words, Func<string, string?> variable)
    {
        string[] verbs = [.. new[] { "add", "delete", "list" }.Where(words.Has)];
        if (verbs.Length != 1)
            return words.Refused("Choose one of -a, -d and -l");
        if (words["user"] is not { } user)
            return words.Refused("You must specify a user");
        if (verbs[0] == "list")
            return user == "*" ? words.Call("rights", "ls") : words.Call("rights", "ls", "--subject", user);
        var nodes = Named(words, variable);
        if (nodes.IsEmpty)
            return words.Refused("No node is chosen");
        if (verbs[0] == "delete")
            return nodes is ["-w", "*"] ? words.Call("rights", "revoke", user) : words.Call(["rights", "revoke", user, .. nodes]);
        if (words["part"] is { } part && part != "*")
            words.Options.AddRange(["--partition", part]);
        words.Options.Add(words.Has("overwrite-rights") ? "--overwrite" : "--alone");
        return words.Call(["rights", "grant", user, .. nodes]);
    }

    public static OldCall Statistics(OldWords words)
    {
        var rates = words.Has("failure-rate");
        if (rates == words.Has("all"))
            return words.Refused("Choose one of -a and -b");
        if (words["operation"] is { } operation)
        {
            if (operation is not ("deploy" or "reboot" or "power"))
                return words.Refused($"Invalid operation: {operation}");
            words.Options.AddRange(["--kind", operation]);
        }
        foreach (var (old, option) in ((string, string)[])[("date-min", "--since"), ("date-max", "--until")])
            if (words[old] is { } date)
            {
                if (!DateTime.TryParseExact(date, ["yyyy-MM-dd HH:mm:ss", "yyyy:MM:dd:HH:mm:ss", "yyyy-MM-dd"], CultureInfo.InvariantCulture, DateTimeStyles.None, out var at))
                    return words.Refused($"Invalid date: {date}");
                words.Options.AddRange([option, at.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture)]);
            }
        if (words["workflow-id"] is { } id)
            words.Options.AddRange(["--operation", id]);
        if (words["min-retries"] is { } retries)
        {
            if (rates || !int.TryParse(retries, NumberStyles.None, CultureInfo.InvariantCulture, out _))
                return words.Refused(rates ? "-r goes with -a" : $"Invalid number of retries: {retries}");
            words.Options.AddRange(["--min-failures", retries]);
        }
        if (words.Has("retry-steps"))
            words.Note("--retry-steps has no effect: tries that failed are counted over all steps");
        foreach (var (old, option) in ((string, string)[])[("fields", "--columns"), ("sort", "--sort")])
            if ((words[old] ?? (old == "sort" && !rates ? "start" : null)) is { } fields)
                words.Options.AddRange([option, string.Join(',', fields.Split(',').Select(f => Column(words, f.Trim(), rates)))]);
        if (words["failure-rate"] is { } minimum)
        {
            if (!double.TryParse(minimum, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var rate) || rate > 1)
                return words.Refused($"Invalid rate: {minimum}, 0 to 1 is expected");
            words.Options.AddRange(["--min-share", rate.ToString(CultureInfo.InvariantCulture)]);
        }
        if (words.Nodes.Count > 0)
            words.Options.AddRange(["-w", string.Join(',', words.Nodes)]);
        if (words.NodesFile is not null)
            words.Options.AddRange(["--nodes-file", words.NodesFile]);
        return words.Call(["stats", rates ? "failing" : "deploys", .. rates ? (string[])["--min-runs", "1"] : [], "-o", "csv"]);
    }

    /// <summary>What a field of Kadeploy3's table <c>log</c> is called here.</summary>
    static string Column(OldWords words, string field, bool rates)
    {
        var name = (rates, field) switch
        {
            (_, "hostname") => "node",
            (false, "wid") => "operation",
            (false, "user") => "owner",
            (false, "env") => "environment",
            (false, "start") => "started",
            (false, "success") => "result",
            (false, "error") => "code",
            (false, "step1_duration" or "step2_duration" or "step3_duration") => field[..5] + "_s",
            _ => null,
        };
        if (name is null)
            words.Refuse($"Invalid field: {field}; here are {(rates ? "hostname" : "wid, hostname, user, env, start, success, error, step1_duration, step2_duration and step3_duration")}");
        else if (name == "result")
            words.Note("success is said as ok, failed or cancelled");
        return name ?? "";
    }

    static ImmutableArray<string> Named(OldWords words, Func<string, string?> variable) => words.Selection(variable) ?? [];
}
