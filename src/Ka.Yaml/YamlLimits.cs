namespace Ka.Yaml;

/// <summary>What a document may cost before it is refused. Anchors, aliases, tags and a second document are always refused.</summary>
/// <param name="Characters">Longest text, in UTF-16 units.</param>
/// <param name="Depth">Deepest nesting of lists and mappings.</param>
/// <param name="Nodes">Most scalars, lists and mappings together.</param>
/// <param name="ScalarCharacters">Longest single text.</param>
/// <param name="Errors">Errors collected before the binder stops adding more.</param>
public sealed record YamlLimits(int Characters, int Depth, int Nodes, int ScalarCharacters, int Errors)
{
    /// <summary>Enough for the configuration of a site with 10,000 described nodes.</summary>
    public static YamlLimits Default { get; } = new(1024 * 1024, 32, 100_000, 64 * 1024, 100);
}
