using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Ka.Core.NodeSets;

/// <summary>
/// Groups written down: source → group → definition. The group called <c>all</c>, where there is one, defines a source's nodes;
/// otherwise all groups together do.
/// </summary>
public sealed class GroupTable(ImmutableDictionary<string, ImmutableDictionary<string, string>> sources, string? defaultSource) : IGroupSource
{
    /// <summary>No source, no group.</summary>
    public static GroupTable Empty { get; } = new(ImmutableDictionary<string, ImmutableDictionary<string, string>>.Empty, null);

    /// <summary>The sources by name.</summary>
    public ImmutableDictionary<string, ImmutableDictionary<string, string>> Sources => sources;

    /// <inheritdoc/>
    public bool TryGetGroup(string? source, string group, [NotNullWhen(true)] out string? definition)
    {
        definition = null;
        return Source(source) is { } groups && groups.TryGetValue(group, out definition);
    }

    /// <inheritdoc/>
    public bool TryGetAll(string? source, [NotNullWhen(true)] out string? definition)
    {
        definition = Source(source) is not { } groups ? null
            : groups.TryGetValue("all", out var all) ? all
            : string.Join(',', groups.Values.Where(text => !string.IsNullOrWhiteSpace(text)));
        return definition is not null;
    }

    /// <inheritdoc/>
    public IEnumerable<string> GroupsOf(string? source) => Source(source)?.Keys.Order(StringComparer.Ordinal) ?? Enumerable.Empty<string>();

    private ImmutableDictionary<string, string>? Source(string? name) =>
        (name ?? defaultSource) is { } known && sources.TryGetValue(known, out var groups) ? groups : null;
}
