using System.Collections.Immutable;
using Ka.Core.Documents;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Ka.Yaml;

/// <summary>
/// Reads one YAML document within limits, from YamlDotNet's event stream and without recursion. Refuses what configuration does
/// not need and readers disagree about: anchors, aliases, merge keys, tags, duplicate keys, keys that are not texts, second
/// documents, control characters.
/// </summary>
public static class YamlReader
{
    /// <summary>
    /// Parses the text. False: <paramref name="errors"/> says every error up to the first syntax error and <paramref name="root"/>
    /// is null. An empty document is a scalar for which <see cref="YamlScalar.IsNothing"/> holds.
    /// </summary>
    /// <param name="file">The name used in places; not opened.</param>
    public static bool TryParse(
        string file, string text, YamlLimits limits, out YamlNode? root, out ImmutableArray<DocumentError> errors)
    {
        root = null;
        if (text.Length > limits.Characters)
        {
            errors = [new("yaml.too_long", new(file, 1, 1), $"the document has {text.Length:N0} characters, the limit is {limits.Characters:N0}")];
            return false;
        }

        text = text.TrimStart('\ufeff');
        if (FindForbidden(file, text) is { } forbidden)
        {
            errors = [forbidden];
            return false;
        }

        var tree = new YamlTree(limits);
        Walk(file, text, tree);
        errors = tree.Errors;
        root = errors.IsEmpty ? tree.Root ?? new YamlScalar(new(file, 1, 1), "", true) : null;
        return errors.IsEmpty;
    }

    private static void Walk(string file, string text, YamlTree tree)
    {
        var parser = new Parser(new StringReader(text));
        var last = new Location(file, 1, 1);
        try
        {
            while (parser.MoveNext())
            {
                var step = parser.Current!;
                last = Place(file, step.End);
                if (!tree.Add(step, Place(file, step.Start)))
                {
                    return;
                }
            }
        }
        catch (YamlException bad)
        {
            var at = bad.Message.Contains("invalid tab") ? FirstTab(file, text) : Place(file, bad.Start);
            tree.Refuse("yaml.syntax", at, $"not YAML: {Sentence(bad)}");
        }
        catch (InvalidOperationException)
        {
            // YamlDotNet 16.3.0 throws this bare on an unclosed flow collection followed by a key.
            tree.Refuse("yaml.syntax", last, "not YAML: a list or mapping is not closed, or a line is out of place here");
        }
    }

    /// <summary>YamlDotNet gives the place of the mapping, not of the tab.</summary>
    private static Location FirstTab(string file, string text)
    {
        var number = 0;
        foreach (var line in text.AsSpan().EnumerateLines())
        {
            number++;
            var indentation = line[..^line.TrimStart().Length];
            if (indentation.IndexOf('\t') is >= 0 and var column)
            {
                return new(file, number, column + 1);
            }
        }

        return new(file, 1, 1);
    }

    private static string Sentence(YamlException bad)
    {
        var message = (bad.InnerException ?? bad).Message.TrimEnd('.');
        return DocumentError.Cut(message.Length > 0 ? char.ToLowerInvariant(message[0]) + message[1..] : "unreadable");
    }

    internal static Location Place(string file, Mark mark) => new(file, (int)Math.Max(1, mark.Line), (int)Math.Max(1, mark.Column));

    private static DocumentError? FindForbidden(string file, string text)
    {
        var (line, start) = (1, 0);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c == '\n')
            {
                (line, start) = (line + 1, i + 1);
            }
            else if (char.IsSurrogate(c))
            {
                if (char.IsHighSurrogate(c) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
                {
                    i++;
                    continue;
                }

                return Forbidden(c);
            }
            else if ((char.IsControl(c) && c is not ('\t' or '\r')) || c is '\u2028' or '\u2029' or '\ufeff')
            {
                return Forbidden(c);
            }

            DocumentError Forbidden(char what) => new(
                "yaml.control_character", new(file, line, i - start + 1), $"the character U+{(int)what:X4} may not stand in a document",
                Next: "save the file as plain UTF-8 text");
        }

        return null;
    }
}
