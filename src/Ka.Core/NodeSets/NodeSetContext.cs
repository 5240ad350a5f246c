using System.Diagnostics.CodeAnalysis;
using Ka.Core.Documents;

namespace Ka.Core.NodeSets;

/// <summary>What a text may mean and cost while it is read.</summary>
/// <param name="Groups">Where <c>@group</c> is looked up; without it groups are refused.</param>
/// <param name="Universe">All nodes: what <c>@*</c> and wildcards range over. Without it, all nodes of the default group source.</param>
/// <param name="Limit">Most nodes of one operand and of the result.</param>
/// <param name="TextLimit">Longest text in characters, of the expression and of each group's definition.</param>
public sealed record NodeSetContext(IGroupSource? Groups = null, NodeSet? Universe = null, int Limit = 1_000_000, int TextLimit = 4 * 1024 * 1024)
{
    /// <summary>No groups, no wildcards, usual limits.</summary>
    public static NodeSetContext Plain { get; } = new();
}

/// <summary>
/// Looks up groups; answers at once from memory. Implemented by the site's group files and by live sources such as
/// <c>@state:failed</c>. A definition is again an expression in which a bare <c>@group</c> means the same source.
/// </summary>
public interface IGroupSource
{
    /// <summary>The definition of a group of a source; null as source is the default one.</summary>
    bool TryGetGroup(string? source, string group, [NotNullWhen(true)] out string? definition);

    /// <summary>The definition of all nodes of a source.</summary>
    bool TryGetAll(string? source, [NotNullWhen(true)] out string? definition);

    /// <summary>The names of a source's groups; empty when there is no such source.</summary>
    IEnumerable<string> GroupsOf(string? source);
}

/// <summary>Why a text is no node set.</summary>
/// <param name="Code">Stable: <c>nodeset.syntax</c>, <c>nodeset.bad_range</c>, <c>nodeset.bad_name</c>, <c>nodeset.ambiguous</c>,
/// <c>nodeset.too_many</c>, <c>nodeset.too_long</c>, <c>nodeset.unknown_group</c>, <c>nodeset.group_cycle</c>, <c>nodeset.no_universe</c>.</param>
/// <param name="Message">One sentence.</param>
/// <param name="Position">Where in the text given, counted from 0; an error inside a group stands at the group's name.</param>
/// <param name="Offending">What stands there, cut to 80 characters.</param>
/// <param name="Expected">What was expected, or null.</param>
/// <param name="Next">What to do, or null.</param>
public sealed record NodeSetError(string Code, string Message, int Position, string Offending, string? Expected = null, string? Next = null)
{
    /// <inheritdoc cref="NodeSetError(string, string, int, string, string?, string?)"/>
    public string Offending { get; init; } = DocumentError.Cut(Offending);

    /// <summary>The same error for a text that begins at a place in a document.</summary>
    public DocumentError At(Location text) =>
        new(Code, text with { Column = text.Column + Position }, $"node set: {Message}", Offending, Expected, Next);

    /// <summary>The sentence with its position counted from 1.</summary>
    public override string ToString() => $"{Message} (character {Position + 1})";
}
