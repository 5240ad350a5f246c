using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>A micro step whose operations of the site are replaced by the user's.</summary>
public sealed record OperationOverride(string Macro, string? Strategy, string Step);

/// <summary>Custom operations as a document lists them; files are still paths.</summary>
public sealed record OperationsReading(ImmutableArray<CustomOperation> Operations, ImmutableArray<OperationOverride> Overrides)
{
    public static readonly OperationsReading Nothing = new([], []);

    /// <summary>The site's operations with the user's behind them, or in their place where the user says <c>override</c>.</summary>
    public ImmutableArray<CustomOperation> Over(ImmutableArray<CustomOperation> site) =>
        [.. site.Where(s => !Overrides.Any(o => o.Macro == s.Macro && o.Step == s.Step && (o.Strategy is null || o.Strategy == s.Strategy))), .. Operations];
}

/// <summary>Reads custom operations in the shape of Kadeploy3's <c>--custom-steps</c>: macro step → micro step → pre-ops, post-ops, substitute.</summary>
public static class OperationsReader
{
    /// <summary>Kadeploy3's names of micro steps and what they are here.</summary>
    static readonly ImmutableDictionary<string, string> FormerSteps = new Dictionary<string, string>
    {
        ["wait_reboot"] = "await_agent",
        ["send_key_in_deploy_env"] = "keys_minimal",
        ["create_partition_table"] = "partition",
        ["format_deploy_part"] = "format",
        ["format_tmp_part"] = "format",
        ["format_swap_part"] = "format",
        ["mount_deploy_part"] = "mount",
        ["manage_admin_pre_install"] = "pre_install",
        ["send_environment"] = "send_image",
        ["manage_admin_post_install"] = "post_install",
        ["manage_user_post_install"] = "post_install",
        ["send_key"] = "keys",
        ["install_bootloader"] = "bootloader",
        ["reboot_from_deploy_env"] = "reboot_from_minimal",
    }.ToImmutableDictionary();

    static readonly ImmutableArray<string> Macros = ["SetDeploymentEnv", "BroadcastEnv", "BootNewEnv"];

    /// <summary>A document that holds nothing else.</summary>
    public static (OperationsReading? Reading, ImmutableArray<DocumentError> Errors) ReadDocument(string file, string text)
    {
        if (!YamlReader.TryParse(file, text, YamlLimits.Default, out var root, out var errors))
            return (null, errors);
        var binder = new YamlBinder();
        var reading = Read(binder, root, "request.invalid", null);
        return (binder.HasErrors ? null : reading, binder.Findings);
    }

    /// <param name="folder">Where relative paths of files begin; null leaves paths as they are written.</param>
    public static OperationsReading Read(YamlBinder binder, YamlNode? node, string code, string? folder)
    {
        var operations = ImmutableArray.CreateBuilder<CustomOperation>();
        var overrides = ImmutableArray.CreateBuilder<OperationOverride>();
        if (node is null)
            return OperationsReading.Nothing;
        foreach (var macroEntry in binder.Names(node, "custom steps"))
        {
            if (Macros.FirstOrDefault(m => macroEntry.Key.StartsWith(m, StringComparison.Ordinal)) is not { } macro)
            {
                binder.Refuse(macroEntry.KeyAt, code, $"'{DocumentError.Cut(macroEntry.Key)}' is no macro step", macroEntry.Key, string.Join(", ", Macros));
                continue;
            }
            var strategy = StrategyOf(macro, macroEntry.Key[macro.Length..]);
            foreach (var stepEntry in binder.Names(macroEntry.Value, macroEntry.Key))
            {
                var step = FormerSteps.GetValueOrDefault(stepEntry.Key, stepEntry.Key);
                var places = binder.Mapping(stepEntry.Value, $"'{stepEntry.Key}'", "pre-ops", "post-ops", "substitute", "override");
                if (places.Bool("override", false))
                    overrides.Add(new OperationOverride(macro, strategy, step));
                foreach (var (key, place) in new[] { ("pre-ops", OperationPlace.Before), ("substitute", OperationPlace.Instead), ("post-ops", OperationPlace.After) })
                    foreach (var item in places.List(key))
                        if (Operation(binder, item, code, folder, $"{macro.ToLowerInvariant()}-{step}-{operations.Count + 1}") is { } read)
                            operations.Add(read with { Macro = macro, Strategy = strategy, Step = step, Place = place });
            }
        }
        return new OperationsReading(operations.ToImmutable(), overrides.ToImmutable());
    }

    /// <summary><c>SetDeploymentEnvUntrusted</c> names a strategy; so do Kadeploy3's ways to broadcast, of which three are the chain here.</summary>
    static string? StrategyOf(string macro, string rest) => rest switch
    {
        "" => null,
        "Kascade" or "Kastafior" when macro == "BroadcastEnv" => "Chain",
        "Bittorrent" when macro == "BroadcastEnv" => "Torrent",
        "UntrustedCustomPreInstall" => "Untrusted",
        _ => rest,
    };

    static CustomOperation? Operation(YamlBinder binder, YamlNode item, string code, string? folder, string unnamed)
    {
        var entry = binder.Mapping(item, "a custom operation", "name", "action", "command", "file", "destination", "params", "timeout", "retries", "scattering");
        var name = entry.Text("name", unnamed);
        if (name.Length > 64 || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.' or ' ')))
            entry.Refuse("name", code, $"'{DocumentError.Cut(name)}' is no name of an operation", "at most 64 letters, digits, '-', '_', '.' and blanks");
        var action = entry.OptionalEnum<OperationAction>("action");
        if (action is null)
        {
            if (!entry.Has("action"))
                entry.Refuse("action", code, "the operation says no action", "exec, send or run");
            return null;
        }
        foreach (var key in action switch { OperationAction.Exec => new[] { "command" }, OperationAction.Send => ["file", "destination"], OperationAction.Run => ["file"] })
            entry.RequiredText(key);
        if (entry.OptionalText("scattering") is { } scattering && scattering is not ("tree" or "chain"))
            entry.Refuse("scattering", code, $"'{DocumentError.Cut(scattering)}' is no way to scatter", "tree or chain; files of operations come from the server itself");
        var file = entry.OptionalText("file");
        var words = entry.Node("params") is YamlSequence ? entry.TextList("params") : [.. entry.Text("params", "").Split(' ', StringSplitOptions.RemoveEmptyEntries)];
        // Kadeploy3 writes seconds without a unit, and 0 for no limit.
        var limit = entry.OptionalText("timeout") is { } plain && int.TryParse(plain, out var seconds)
            ? TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 86_400))
            : entry.Duration("timeout", TimeSpan.FromMinutes(2), TimeSpan.Zero, TimeSpan.FromHours(24));
        return new CustomOperation(
            name, "", null, "", OperationPlace.Before, action.Value, entry.OptionalText("command"),
            file is null || folder is null ? file : Path.GetFullPath(file, folder), file is null ? null : Path.GetFileName(file), words,
            entry.OptionalText("destination"), limit == TimeSpan.Zero ? TimeSpan.FromHours(24) : limit, entry.Int("retries", 0, 20, 0));
    }
}
