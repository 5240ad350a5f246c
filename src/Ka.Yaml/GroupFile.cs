using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Core.NodeSets;

namespace Ka.Yaml;

/// <summary>
/// ClusterShell's own group files (<c>/etc/clustershell/groups.d/*.yaml</c>), read as they are: source → group → nodes, where the nodes
/// are one expression or a list of them.
/// </summary>
public static class GroupFile
{
    /// <summary>Reads the texts of several files into one table. The same source in two files is an error; nothing is expanded yet.</summary>
    /// <param name="files">Name and text of each, in order.</param>
    /// <param name="defaultSource">The source of <c>@group</c>; the first one read when null.</param>
    public static bool TryRead(
        IEnumerable<(string File, string Text)> files, string? defaultSource, out GroupTable groups, out ImmutableArray<DocumentError> errors)
    {
        var binder = new YamlBinder();
        var sources = ImmutableDictionary.CreateBuilder<string, ImmutableDictionary<string, string>>(StringComparer.Ordinal);
        foreach (var (file, text) in files)
        {
            if (!YamlReader.TryParse(file, text, YamlLimits.Default, out var root, out var broken))
            {
                foreach (var error in broken)
                {
                    binder.Add(error);
                }

                continue;
            }

            foreach (var source in binder.Names(root, "a file of groups"))
            {
                defaultSource ??= source.Key;
                if (!sources.TryAdd(source.Key, ReadSource(binder, source)))
                {
                    binder.Refuse(source.KeyAt, "groups.duplicate_source", $"the source '{DocumentError.Cut(source.Key)}' stands in another file already", source.Key);
                }
            }
        }

        errors = [.. binder.Findings.Where(finding => finding.Severity == Severity.Error)];
        groups = binder.HasErrors ? GroupTable.Empty : new(sources.ToImmutable(), defaultSource);
        return !binder.HasErrors;
    }

    private static ImmutableDictionary<string, string> ReadSource(YamlBinder binder, YamlEntry source)
    {
        var groups = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var group in binder.Names(source.Value, $"the source '{DocumentError.Cut(source.Key)}'"))
        {
            var items = group.Value is YamlSequence list ? list.Items : [group.Value];
            var texts = items.OfType<YamlScalar>().Where(item => !item.IsNothing && item.Text.Length > 0).Select(item => item.Text.Trim());
            groups[group.Key] = string.Join(',', texts);
            foreach (var item in items.Where(item => item is not YamlScalar))
            {
                binder.Refuse(item.At, "document.wrong_kind", $"the nodes of the group '{DocumentError.Cut(group.Key)}' must be texts", expected: "a node set");
            }
        }

        return groups.ToImmutable();
    }
}
