using System.Collections.Immutable;
using Ka.Yaml;

namespace Ka.Server.Configuration;

/// <summary>A program of the site that is told how each operation ended.</summary>
/// <param name="Command">Program and arguments.</param>
/// <param name="Patience">For the program to end; then it is killed.</param>
public sealed record EndHook(ImmutableArray<string> Command, TimeSpan Patience);

/// <summary>Reads <c>hooks</c> of the server's configuration.</summary>
static class HooksReader
{
    static readonly TimeSpan PatienceByDefault = TimeSpan.FromSeconds(60), PatienceLimit = TimeSpan.FromHours(1);

    /// <param name="folder">Where a relative path of a program begins.</param>
    public static ImmutableArray<EndHook> Read(YamlBinder binder, YamlSection root, string folder)
    {
        var hooks = ImmutableArray.CreateBuilder<EndHook>();
        foreach (var item in root.List("hooks"))
        {
            var hook = binder.Mapping(item, "a hook", "command", "timeout");
            var words = hook.TextList("command");
            if (words.IsEmpty)
                hook.Refuse("command", SiteReader.Code, "the hook has no program", "command: [PROGRAM, ARGUMENT…]");
            else
                hooks.Add(new EndHook([Path.GetFullPath(words[0], folder), .. words.Skip(1)], hook.Duration("timeout", PatienceByDefault, TimeSpan.FromSeconds(1), PatienceLimit)));
        }
        return hooks.ToImmutable();
    }
}
