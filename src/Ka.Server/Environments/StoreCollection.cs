using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Ka.Store;

namespace Ka.Server.Environments;

/// <summary>A file of the store.</summary>
/// <param name="UsedAt">When it came, or was last asked for by somebody who registers.</param>
public sealed record StoredFile(string Sha256, long Bytes, DateTimeOffset UsedAt);

/// <summary>What collecting found and, unless it was only asked for, removed.</summary>
public sealed record Collection(ImmutableArray<StoredFile> Unused, int Used, long UsedBytes);

/// <summary>
/// Removes files of the store that nothing refers to. Whatever digest stands anywhere in a registered environment, in the boot profile of a node, or in an operation that runs or
/// may still be tried again is a reference: a file too many is kept, never one removed.
/// </summary>
public sealed partial class StoreCollection(EnvironmentCatalogue catalogue, WorkflowTable workflows, NodeTable nodes, FileStore files, TimeProvider clock)
{
    /// <summary>Operations that have ended so long ago are not tried again.</summary>
    public static readonly TimeSpan RetryTime = TimeSpan.FromDays(7);

    /// <param name="age">Younger files stay: somebody may be about to register them.</param>
    public Collection Collect(TimeSpan age, bool dryRun)
    {
        var used = Used();
        var now = clock.GetUtcNow();
        var (unused, kept) = (ImmutableArray.CreateBuilder<StoredFile>(), new List<StoredFile>());
        foreach (var file in files.All())
            if (used.Contains(file.Sha256) || now - file.UsedAt < age)
                kept.Add(file);
            else
                unused.Add(file);
        if (!dryRun)
            foreach (var file in unused)
                FileManifests.RemoveImage(files, file.Sha256);
        return new Collection(unused.ToImmutable(), kept.Count, kept.Sum(f => f.Bytes));
    }

    HashSet<string> Used()
    {
        var used = catalogue.Documents().Concat(workflows.Documents(clock.GetUtcNow() - RetryTime)).SelectMany(d => Digest().Matches(d).Select(m => m.Value))
            .Concat(nodes.BootProfiles().SelectMany(p => new[] { p.Kernel, p.Initrd }).OfType<string>())
            .ToHashSet(StringComparer.Ordinal);
        used.UnionWith(used.Where(files.Has).Select(d => FileManifests.Find(files, d)).OfType<string>().ToArray());
        return used;
    }

    [GeneratedRegex("[0-9a-f]{64}")]
    private static partial Regex Digest();
}
