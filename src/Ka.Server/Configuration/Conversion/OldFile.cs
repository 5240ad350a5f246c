using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Yaml;

namespace Ka.Server.Configuration.Conversion;

/// <summary>One file of Kadeploy3's configuration as paths and texts; what nobody took is left at the end.</summary>
sealed class OldFile
{
    readonly Dictionary<string, YamlScalar> _texts = new(StringComparer.Ordinal);
    readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    public OldFile(string name, YamlNode? root)
    {
        Name = name;
        if (root is not null)
            Add("", root);
    }

    public string Name { get; }

    void Add(string path, YamlNode node)
    {
        switch (node)
        {
            case YamlScalar scalar:
                _texts[path] = scalar;
                break;
            case YamlSequence list:
                for (var i = 0; i < list.Items.Length; i++)
                    Add(Under(path, i.ToString()), list.Items[i]);
                break;
            case YamlMapping mapping:
                foreach (var entry in mapping.Entries)
                    Add(Under(path, entry.Key), entry.Value);
                break;
        }
    }

    static string Under(string path, string key) => path.Length == 0 ? key : $"{path}/{key}";

    /// <summary>The text at a path, as in <c>windows/reboot/size</c> or <c>nodes/0/name</c>; null when there is none.</summary>
    public string? Take(string path)
    {
        if (!_texts.TryGetValue(path, out var scalar))
            return null;
        _taken.Add(path);
        return scalar.IsNothing ? null : scalar.Text;
    }

    /// <summary>Where a path stands in the file.</summary>
    public string PlaceOf(string path) => _texts.TryGetValue(path, out var scalar) ? $"{Name}:{scalar.At.Line}" : Name;

    /// <summary>The paths of a list's items, in order.</summary>
    public IEnumerable<string> Items(string path)
    {
        for (var i = 0; _texts.Keys.Any(k => k == Under(path, i.ToString()) || k.StartsWith(Under(path, i.ToString()) + "/", StringComparison.Ordinal)); i++)
            yield return Under(path, i.ToString());
    }

    /// <summary>What was not taken, as paths in the order of the file.</summary>
    public ImmutableArray<string> Left() => [.. _texts.Where(t => !_taken.Contains(t.Key) && !t.Value.IsNothing).OrderBy(t => t.Value.At.Line).Select(t => t.Key)];

    /// <summary>Reads a file; its errors are notes, and it then has nothing in it.</summary>
    public static OldFile Read(string path, ICollection<string> notes)
    {
        var name = Path.GetFileName(path);
        try
        {
            var text = File.ReadAllText(path);
            if (YamlReader.TryParse(name, text, YamlLimits.Default, out var root, out var errors))
                return new OldFile(name, root);
            foreach (var error in errors)
                notes.Add($"! {error.Render(text)}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            notes.Add($"! {path} cannot be read: {e.Message}");
        }
        return new OldFile(name, null);
    }
}
