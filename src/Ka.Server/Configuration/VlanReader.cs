using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>How the site puts switch ports into VLANs.</summary>
/// <param name="Command">Program and arguments; <c>{vlan}</c> and <c>{nodes}</c> (a folded node set) are replaced in these.</param>
/// <param name="Default">Where nodes are deployed; null when the program is never asked for it.</param>
/// <param name="Names">The name by which DNS knows a node in a VLAN, with <c>{node}</c> and <c>{vlan}</c>; null when nodes keep their addresses.</param>
/// <param name="Patience">For the program to end; then it is killed.</param>
public sealed record VlanSettings(ImmutableArray<string> Command, string? Default, string? Names, TimeSpan Patience)
{
    public IEnumerable<string> Arguments(string vlan, string nodes) =>
        Command.Skip(1).Select(a => a.Replace("{nodes}", nodes, StringComparison.Ordinal).Replace("{vlan}", vlan, StringComparison.Ordinal));

    public string? NameOf(string node, string vlan) => Names?.Replace("{node}", node, StringComparison.Ordinal).Replace("{vlan}", vlan, StringComparison.Ordinal);
}

/// <summary>Reads <c>vlan</c> of the server's configuration.</summary>
static class VlanReader
{
    /// <param name="folder">Where a relative path of the program begins.</param>
    public static VlanSettings? Read(YamlSection root, string folder)
    {
        if (!root.Has("vlan"))
            return null;
        var section = root.Section("vlan", "command", "default", "names", "timeout");
        var words = section.TextList("command");
        if (words.IsEmpty || !words.Skip(1).Any(w => w.Contains("{vlan}", StringComparison.Ordinal)) || !words.Skip(1).Any(w => w.Contains("{nodes}", StringComparison.Ordinal)))
            section.Refuse("command", SiteReader.Code, "the program must be told VLAN and nodes", "command: [PROGRAM, \"{vlan}\", \"{nodes}\"]");
        var byDefault = section.OptionalText("default");
        if (byDefault is not null && !VlanWish.IsName(byDefault))
            section.Refuse("default", SiteReader.Code, $"'{DocumentError.Cut(byDefault)}' is no VLAN", "letters, digits, '-' and '_'");
        var names = section.OptionalText("names");
        if (names is not null && !(names.Contains("{node}", StringComparison.Ordinal) && names.Contains("{vlan}", StringComparison.Ordinal)))
            section.Refuse("names", SiteReader.Code, $"'{DocumentError.Cut(names)}' does not name a node in a VLAN", "names: \"{node}-vlan{vlan}.example.org\"");
        return new VlanSettings(
            words.IsEmpty ? [] : [Path.GetFullPath(words[0], folder), .. words.Skip(1)], byDefault, names, section.Duration("timeout", TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(1), TimeSpan.FromHours(1)));
    }
}
