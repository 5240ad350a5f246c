using System.Collections.Immutable;
using System.Text.RegularExpressions;

namespace Ka.Core.Clusters;

/// <summary>The arguments of a site's own broadcast program: words in braces are replaced, and no shell reads the result.</summary>
public static partial class CustomCommand
{
    /// <summary>
    /// <c>image</c> and <c>nodes</c> are files on the server (one address a line), <c>destination</c> the file on each node, <c>ok</c> and <c>ko</c> files
    /// into which the program may write who has it and who has not.
    /// </summary>
    public static readonly ImmutableArray<string> Words = ["image", "nodes", "destination", "ok", "ko", "bytes", "sha256"];

    /// <summary>The first word in braces that is not one of <see cref="Words"/>, or null.</summary>
    public static string? Unknown(string argument) => Word().Matches(argument).Select(m => m.Groups[1].Value).FirstOrDefault(w => !Words.Contains(w));

    /// <summary>The arguments with their words replaced; what a value contains is not looked at again.</summary>
    public static ImmutableArray<string> Render(ImmutableArray<string> arguments, IReadOnlyDictionary<string, string> values) =>
        [.. arguments.Select(a => Word().Replace(a, m => values[m.Groups[1].Value]))];

    [GeneratedRegex(@"\{([a-z0-9]+)\}")]
    private static partial Regex Word();
}
