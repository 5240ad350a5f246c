using System.Collections.Immutable;

namespace Ka.Protocol.Rest;

/// <summary>What is to be said of an environment from now on; what is null stays.</summary>
public sealed record TagsBody
{
    /// <summary><c>private</c>, <c>shared</c> or <c>public</c>.</summary>
    public string? Visibility { get; init; }

    public bool? Destructive { get; init; }

    /// <summary>Makes a destructive one harmless and the other way round.</summary>
    public bool ToggleDestructive { get; init; }

    /// <summary>Empty for none.</summary>
    public string? Alias { get; init; }

    /// <summary>Labels to set; null for a label to take away.</summary>
    public ImmutableDictionary<string, string?>? Labels { get; init; }

    /// <summary>Only says whether they may be given, and how it would be.</summary>
    public bool DryRun { get; init; }
}

/// <summary>In what two environments are not the same.</summary>
public sealed record DiffReply(string Left, string Right, ImmutableArray<DifferenceReply> Differences);

/// <param name="Key">As in <c>params</c> or <c>image</c>, files by digest.</param>
/// <param name="Left">Empty for nothing.</param>
/// <param name="Right">Empty for nothing.</param>
public sealed record DifferenceReply(string Key, string Left, string Right);

/// <summary>The description of an environment, and the files that it names.</summary>
/// <param name="Files">Name in the description → SHA-256.</param>
public sealed record ExportReply(string Name, int Version, string Text, ImmutableDictionary<string, string> Files);

/// <summary>Removes files of the store that nothing refers to.</summary>
/// <param name="OlderThanSeconds">Files that came or were last asked for later stay; at least 600.</param>
public sealed record CollectBody(double OlderThanSeconds, bool DryRun);

/// <param name="Files">What was removed, or would be.</param>
/// <param name="Bytes">Their sum.</param>
/// <param name="Kept">Number of files that stay.</param>
/// <param name="KeptBytes">Their sum.</param>
public sealed record CollectReply(bool DryRun, ImmutableArray<StoredFileReply> Files, long Bytes, int Kept, long KeptBytes)
{
    /// <summary>All that the store holds now, with what is kept beside the files and what is on its way.</summary>
    public long StoreBytes { get; init; }

    /// <summary>What it may hold; null for as much as the disk holds.</summary>
    public long? LimitBytes { get; init; }
}

/// <summary>A file of the store.</summary>
/// <param name="UsedAt">When it came, or was last asked for by somebody who registers.</param>
public sealed record StoredFileReply(string Sha256, long Bytes, DateTimeOffset UsedAt);
