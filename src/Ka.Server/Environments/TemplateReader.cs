using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Yaml;

namespace Ka.Server.Environments;

/// <summary>Reads <c>files</c> of a description: path → text, or path → { text, escape, mode }.</summary>
static class TemplateReader
{
    /// <summary>Most files that one environment renders.</summary>
    const int CountLimit = 64;

    public static IEnumerable<TemplateFile> Read(YamlBinder binder, YamlSection top)
    {
        var entries = top.Names("files");
        if (entries.Length > CountLimit)
            top.Refuse("files", DescriptionReader.Code, $"{entries.Length} files are rendered for each node", $"at most {CountLimit}; put more into a post-install");
        foreach (var entry in entries.Take(CountLimit))
        {
            if (!entry.Key.StartsWith('/') || entry.Key.EndsWith('/') || entry.Key.Split('/').Any(p => p is "." or "..") || entry.Key.Any(char.IsControl))
            {
                binder.Refuse(entry.KeyAt, DescriptionReader.Code, $"'{DocumentError.Cut(entry.Key)}' is no absolute path of a file in the image", entry.Key);
                continue;
            }
            var (text, target, mode) = (entry.Value as YamlScalar, ByName(entry.Key), Convert.ToInt32("644", 8));
            if (entry.Value is YamlMapping)
            {
                var section = binder.Mapping(entry.Value, $"the file {entry.Key}", "text", "escape", "mode");
                text = section.RequiredScalar("text");
                target = section.OptionalText("escape") switch
                {
                    null => target,
                    "text" => TemplateTarget.Text,
                    "shell" => TemplateTarget.Shell,
                    "json" or "yaml" => TemplateTarget.Json,
                    var other => Refused(section, other),
                };
                mode = Mode(section) ?? mode;
            }
            if (text is null)
                continue;
            var file = new TemplateFile(entry.Key, text.Text, target, mode);
            foreach (var error in NodeTemplate.Check(file))
                binder.Refuse(text.At, DescriptionReader.Code, $"{entry.Key}, line {error.Line}, column {error.Column} of the template: {error.Message}");
            yield return file;
        }
    }

    static TemplateTarget Refused(YamlSection section, string other)
    {
        section.Refuse("escape", DescriptionReader.Code, $"'{DocumentError.Cut(other)}' is no form of a value", "text, shell, json or yaml");
        return TemplateTarget.Text;
    }

    static int? Mode(YamlSection section)
    {
        if (section.OptionalText("mode") is not { } text)
            return null;
        if (text.Length is 3 or 4 && text.All(c => c is >= '0' and <= '7'))
            return Convert.ToInt32(text, 8);
        section.Refuse("mode", DescriptionReader.Code, $"'{DocumentError.Cut(text)}' is no mode", "three or four octal digits in quotes, such as \"0644\"");
        return null;
    }

    /// <summary>The grammar that a file's name tells.</summary>
    static TemplateTarget ByName(string path) => Path.GetExtension(path) switch
    {
        ".sh" => TemplateTarget.Shell,
        ".json" or ".yaml" or ".yml" => TemplateTarget.Json,
        _ => TemplateTarget.Text,
    };
}
