using System.Collections.Immutable;
using Ka.Core.Documents;

namespace Ka.Yaml;

/// <summary>A piece of a YAML document and where it stands. Three kinds only: no anchors, aliases or tags.</summary>
public abstract record YamlNode(Location At);

/// <summary>A text. <paramref name="IsPlain"/>: written without quotes, so that it may also stand for a number, a truth value or nothing.</summary>
public sealed record YamlScalar(Location At, string Text, bool IsPlain) : YamlNode(At)
{
    /// <summary>Nothing was written: empty, <c>~</c> or <c>null</c> without quotes.</summary>
    public bool IsNothing => IsPlain && Text is ("" or "~" or "null");
}

/// <summary>A list.</summary>
public sealed record YamlSequence(Location At, ImmutableArray<YamlNode> Items) : YamlNode(At);

/// <summary>Keys and values in the order written. Keys are texts and differ.</summary>
public sealed record YamlMapping(Location At, ImmutableArray<YamlEntry> Entries) : YamlNode(At)
{
    /// <summary>The value of a key, or null when the key is absent.</summary>
    public YamlNode? this[string key]
    {
        get
        {
            foreach (var entry in Entries)
            {
                if (entry.Key == key)
                {
                    return entry.Value;
                }
            }

            return null;
        }
    }
}

/// <summary>One line of a mapping: the key, where the key stands, and its value.</summary>
public sealed record YamlEntry(string Key, Location KeyAt, YamlNode Value);
