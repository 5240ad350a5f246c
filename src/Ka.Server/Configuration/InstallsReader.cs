using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Server.Environments;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>Reads the scripts of a site that run before the disk is prepared or after the image is unpacked, and variables for scripts.</summary>
static partial class InstallsReader
{
    /// <summary>Paths of archives and scripts are absolute here; their digests take their place when a workflow is accepted.</summary>
    public static ImmutableArray<PostInstall> Read(YamlBinder binder, YamlSection file, string key, string folder)
    {
        var installs = ImmutableArray.CreateBuilder<PostInstall>();
        foreach (var item in file.List(key))
        {
            var entry = binder.Mapping(item, $"an entry of '{key}'", "name", "archive", "file", "compression", "format", "script", "run", "timeout");
            var archive = Existing(entry, entry.Has("file") ? "file" : "archive", folder);
            var run = (entry.OptionalText("run") ?? entry.Text("script", "none")).Split(' ', StringSplitOptions.RemoveEmptyEntries).ToImmutableArray();
            var timeout = entry.Duration("timeout", TimeSpan.FromSeconds(120), TimeSpan.FromSeconds(1), TimeSpan.FromHours(1));
            var name = entry.Text("name", Path.GetFileName(archive ?? run.FirstOrDefault() ?? key));
            if (archive is not null)
                installs.Add(new PostInstall(name, archive, entry.OptionalEnum<ImageCompression>("compression") ?? DescriptionReader.ByName(archive), null, run is ["none"] ? [] : run, timeout));
            else if (run is [var program, ..] && program != "none")
            {
                var path = Path.GetFullPath(program, folder);
                if (!File.Exists(path))
                    entry.Refuse(entry.Has("run") ? "run" : "script", SiteReader.Code, $"the script {path} does not exist");
                installs.Add(new PostInstall(name, null, ImageCompression.None, path, run[1..], timeout));
            }
            else
                entry.Refuse("script", SiteReader.Code, $"an entry of '{key}' needs an archive or a script");
        }
        return installs.ToImmutable();
    }

    static string? Existing(YamlSection entry, string key, string folder)
    {
        if (entry.OptionalText(key) is not { } text)
            return null;
        var path = Path.GetFullPath(text, folder);
        if (!File.Exists(path))
            entry.Refuse(key, SiteReader.Code, $"the archive {path} does not exist");
        return path;
    }

    /// <summary>Names and values for the environment of scripts.</summary>
    public static ImmutableSortedDictionary<string, string> Variables(YamlBinder binder, YamlSection file, string key, string code)
    {
        var variables = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var entry in file.Names(key))
        {
            if (!VariableName().IsMatch(entry.Key))
                binder.Refuse(entry.KeyAt, code, $"'{DocumentError.Cut(entry.Key)}' is no name of a variable", entry.Key, "1 to 64 letters, digits and '_', not beginning with a digit");
            else if (entry.Key.StartsWith("KADEPLOY_", StringComparison.Ordinal) || entry.Key is "PATH" or "IFS" or "ENV" or "BASH_ENV" || entry.Key.StartsWith("LD_", StringComparison.Ordinal))
                binder.Refuse(entry.KeyAt, code, $"the variable {entry.Key} is Ka's or the system's own", entry.Key, "another name");
            else if (binder.Scalar(entry.Value, $"the variable {entry.Key}") is { } value)
            {
                if (value.Text.Length > 4096 || value.Text.Contains('\0', StringComparison.Ordinal))
                    binder.Refuse(entry.Value.At, code, $"the value of {entry.Key} is too long or holds a zero byte", null, "at most 4096 characters");
                variables[entry.Key] = value.Text;
            }
        }
        return variables.ToImmutable();
    }

    [GeneratedRegex("^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    private static partial Regex VariableName();
}
