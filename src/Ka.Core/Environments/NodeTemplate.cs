using System.Collections.Immutable;
using System.Text;
using Ka.Core.Clusters;
using Ka.Core.Documents;

namespace Ka.Core.Environments;

/// <summary>The grammar that a value is put into.</summary>
public enum TemplateTarget
{
    /// <summary>Lines of text: a value may hold no control character, so that it stays on its line.</summary>
    Text,

    /// <summary>A POSIX shell: one word in single quotes.</summary>
    Shell,

    /// <summary>A JSON string with its quotes (RFC 8259), which is a YAML scalar as well.</summary>
    Json,
}

/// <summary>A file of the target that is written anew on every node.</summary>
/// <param name="Path">Absolute path in the deployed system.</param>
/// <param name="Mode">Permission bits.</param>
public sealed record TemplateFile(string Path, string Text, TemplateTarget Target, int Mode);

/// <summary>What is wrong in a template.</summary>
/// <param name="Line">1, 2, 3 … within the template.</param>
public sealed record TemplateError(int Line, int Column, string Message)
{
    public override string ToString() => $"line {Line}, column {Column}: {Message}";
}

/// <summary>What a template may name.</summary>
public sealed record TemplateValues(ImmutableSortedDictionary<string, string> Known)
{
    public static TemplateValues Of(ClusterNode node, Cluster cluster, OsEnvironment environment)
    {
        var known = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        known["node.name"] = node.Name;
        known["node.short"] = node.Name.Split('.')[0];
        known["node.address"] = node.Address;
        known["node.mac"] = node.Mac;
        known["node.rack"] = node.Rack ?? "";
        known["node.firmware"] = node.Firmware;
        known["cluster.name"] = cluster.Name;
        known["env.name"] = environment.Name;
        known["env.version"] = environment.Version.ToString();
        foreach (var (name, value) in cluster.Variables)
            known["var." + name] = value;
        foreach (var (name, value) in environment.Variables)
            known["var." + name] = value;
        return new TemplateValues(known.ToImmutable());
    }
}

/// <summary>
/// Texts with <c>{{ node.name }}</c> in them. A value is escaped for the grammar of its file; <c>{{ node.name | json }}</c> says another
/// one, <c>{{{{</c> stands for two braces. No conditions, no loops: what differs more than by a value belongs into a post-install.
/// </summary>
public static class NodeTemplate
{
    /// <summary>Largest template, characters.</summary>
    public const int SizeLimit = 256 * 1024;

    /// <summary>Renders, or says everything that is wrong.</summary>
    public static bool TryRender(TemplateFile file, TemplateValues values, out string text, out ImmutableArray<TemplateError> errors)
    {
        var rendered = new StringBuilder();
        var found = ImmutableArray.CreateBuilder<TemplateError>();
        foreach (var part in Parts(file, found))
        {
            if (part.Name is null)
                rendered.Append(part.Literal);
            else if (!values.Known.TryGetValue(part.Name, out var value))
                found.Add(part.Error($"'{DocumentError.Cut(part.Name)}' is not known{Guess(part.Name, values)}"));
            else if (part.Target == TemplateTarget.Text && value.Any(char.IsControl))
                found.Add(part.Error($"the value of {part.Name} holds a control character, which text cannot carry"));
            else
                rendered.Append(Escape(value, part.Target));
        }
        (text, errors) = (rendered.ToString(), found.ToImmutable());
        return errors.IsEmpty;
    }

    /// <summary>What is wrong whatever the values are; variables of sites are not known yet.</summary>
    public static ImmutableArray<TemplateError> Check(TemplateFile file)
    {
        var errors = ImmutableArray.CreateBuilder<TemplateError>();
        if (file.Text.Length > SizeLimit)
            errors.Add(new TemplateError(1, 1, $"the template has {file.Text.Length} characters, more than {SizeLimit}"));
        string[] known = ["node.name", "node.short", "node.address", "node.mac", "node.rack", "node.firmware", "cluster.name", "env.name", "env.version"];
        foreach (var part in Parts(file, errors))
            if (part.Name is { } name && !known.Contains(name) && !name.StartsWith("var.", StringComparison.Ordinal))
                errors.Add(part.Error($"'{DocumentError.Cut(name)}' is not known{(Suggestion.Nearest(name, known) is { } near ? $", did you mean '{near}'?" : "")}; known: {string.Join(", ", known)}, var.NAME"));
        return errors.ToImmutable();
    }

    sealed record Part(string Literal, string? Name, TemplateTarget Target, int Line, int Column)
    {
        public TemplateError Error(string message) => new(Line, Column, message);
    }

    static IEnumerable<Part> Parts(TemplateFile file, ImmutableArray<TemplateError>.Builder errors)
    {
        var text = file.Text;
        var at = 0;
        while (at < text.Length)
        {
            var open = text.IndexOf("{{", at, StringComparison.Ordinal);
            if (open < 0)
                break;
            yield return new Part(text[at..open], null, file.Target, 0, 0);
            var line = text.AsSpan(0, open).Count('\n') + 1;
            var column = open - (open == 0 ? -1 : text.LastIndexOf('\n', open - 1));
            if (text.AsSpan(open).StartsWith("{{{{"))
            {
                yield return new Part("{{", null, file.Target, line, column);
                at = open + 4;
                continue;
            }
            var close = text.IndexOf("}}", open, StringComparison.Ordinal);
            if (close < 0)
            {
                errors.Add(new TemplateError(line, column, "'{{' is not closed by '}}'; '{{{{' stands for two braces"));
                yield break;
            }
            var words = text[(open + 2)..close].Split('|', 2);
            TemplateTarget? target = words.Length < 2 ? file.Target : words[1].Trim() switch
            {
                "text" => TemplateTarget.Text,
                "shell" => TemplateTarget.Shell,
                "json" or "yaml" => TemplateTarget.Json,
                _ => null,
            };
            if (target is null)
                errors.Add(new TemplateError(line, column, $"'{DocumentError.Cut(words[1].Trim())}' is no form of a value: expected text, shell, json or yaml"));
            else
                yield return new Part("", words[0].Trim(), target.Value, line, column);
            at = close + 2;
        }
        yield return new Part(text[at..], null, file.Target, 0, 0);
    }

    static string Escape(string value, TemplateTarget target) => target switch
    {
        TemplateTarget.Text => value,
        TemplateTarget.Shell => "'" + value.Replace("'", "'\\''", StringComparison.Ordinal) + "'",
        TemplateTarget.Json => Quoted(value),
    };

    /// <summary>Only what both grammars read alike: everything outside printable ASCII by its number.</summary>
    static string Quoted(string value)
    {
        var text = new StringBuilder("\"");
        foreach (var c in value)
            text.Append(c is '"' or '\\' ? $"\\{c}" : c is >= ' ' and <= '~' ? c.ToString() : $"\\u{(int)c:x4}");
        return text.Append('"').ToString();
    }

    static string Guess(string name, TemplateValues values) => Suggestion.Nearest(name, values.Known.Keys) is { } near ? $", did you mean '{near}'?" : "";
}
