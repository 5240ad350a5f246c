using System.Collections.Immutable;
using Ka.Core.Documents;

namespace Ka.Yaml;

/// <summary>
/// Binds a document to records and collects every error on the way, so that a person sees all of them at once. Each question
/// returns a usable value even after an error; use what was bound only when <see cref="HasErrors"/> is false.
/// </summary>
/// <example><code>
/// var binder = new YamlBinder();
/// var step = binder.Mapping(node, "step 'kexec'", "do", "timeout", "retries");
/// var timeout = step.Duration("timeout", fallback: TimeSpan.FromSeconds(60));
/// </code></example>
public sealed class YamlBinder(YamlLimits? limits = null)
{
    private readonly int _most = (limits ?? YamlLimits.Default).Errors;
    private readonly ImmutableArray<DocumentError>.Builder _findings = ImmutableArray.CreateBuilder<DocumentError>();

    /// <summary>Errors and warnings in the order of the questions, at most the limit's number.</summary>
    public ImmutableArray<DocumentError> Findings => _findings.ToImmutable();

    /// <summary>Whether anything was refused. Warnings do not count.</summary>
    public bool HasErrors { get; private set; }

    /// <summary>
    /// Reads a mapping. Keys other than those named are errors with a suggestion; a missing or empty node is an empty mapping, so that
    /// the required keys are reported; another kind of node is one error and then an empty mapping.
    /// </summary>
    /// <param name="what">What the mapping describes, as in <c>step 'kexec'</c>; it stands in the errors.</param>
    public YamlSection Mapping(YamlNode? node, string what, params ReadOnlySpan<string> keys)
    {
        var mapping = AsMapping(node, what, out var broken);
        var allowed = keys.ToArray();
        foreach (var entry in mapping.Entries)
        {
            if (!allowed.AsSpan().Contains(entry.Key))
            {
                UnknownKey(entry, what, allowed);
            }
        }

        return new YamlSection(this, mapping, what, broken);
    }

    /// <summary>Reads a mapping whose keys are names the person chose, such as groups of nodes; every entry is returned.</summary>
    public ImmutableArray<YamlEntry> Names(YamlNode? node, string what) => AsMapping(node, what, out _).Entries;

    /// <summary>The items of a list; a missing node is an empty list, anything but a list one error.</summary>
    public ImmutableArray<YamlNode> List(YamlNode? node, string what)
    {
        switch (node)
        {
            case null or YamlScalar { IsNothing: true }:
                return [];
            case YamlSequence list:
                return list.Items;
            default:
                WrongKind(node, what, "a list");
                return [];
        }
    }

    /// <summary>A text; null after an error. What is empty without quotes is an error here.</summary>
    public YamlScalar? Scalar(YamlNode node, string what)
    {
        if (node is YamlScalar { IsNothing: false } scalar)
        {
            return scalar;
        }

        WrongKind(node, what, "a text");
        return null;
    }

    /// <summary>Notes an error.</summary>
    public void Refuse(Location at, string code, string message, string? offending = null, string? expected = null, string? next = null) =>
        Add(new(code, at, message, offending, expected, next));

    /// <summary>Notes a warning: the document is still good.</summary>
    public void Warn(Location at, string code, string message, string? next = null) =>
        Add(new(code, at, message, Next: next) { Severity = Severity.Warning });

    /// <summary>Notes a finding made elsewhere.</summary>
    public void Add(DocumentError finding)
    {
        HasErrors |= finding.Severity == Severity.Error;
        if (_findings.Count < _most)
        {
            _findings.Add(finding);
        }
    }

    internal void WrongKind(YamlNode node, string what, string expected)
    {
        var kind = node switch
        {
            YamlScalar { IsNothing: true } => "nothing",
            YamlScalar => "a text",
            YamlSequence => "a list",
            _ => "a mapping",
        };
        Refuse(node.At, "document.wrong_kind", $"{what} must be {expected}, here stands {kind}", (node as YamlScalar)?.Text, expected);
    }

    private YamlMapping AsMapping(YamlNode? node, string what, out bool broken)
    {
        broken = false;
        switch (node)
        {
            case YamlMapping mapping:
                return mapping;
            case null:
                return new(default, []);
            case YamlScalar { IsNothing: true }:
                return new(node.At, []);
            default:
                broken = true;
                WrongKind(node, what, "a mapping");
                return new(node.At, []);
        }
    }

    private void UnknownKey(YamlEntry entry, string what, string[] allowed)
    {
        var known = allowed.Length == 0 ? "none" : string.Join(", ", allowed);
        Add(new(
            "document.unknown_key", entry.KeyAt, $"unknown key '{DocumentError.Cut(entry.Key)}' in {what}", entry.Key,
            $"one of: {known}", Suggestion.DidYouMean(entry.Key, allowed)));
    }
}
