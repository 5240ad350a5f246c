using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Ka.Server.Workflows;
using Ka.Store;

namespace Ka.Server.Environments;

/// <summary>A file of the store, or a part of one.</summary>
/// <param name="UsedAt">When it came, or was last asked for by somebody who registers.</param>
public sealed record StoredFile(string Sha256, long Bytes, DateTimeOffset UsedAt);

/// <summary>What collecting found and, unless it was only asked for, removed.</summary>
public sealed record Collection(ImmutableArray<StoredFile> Unused, int Used, long UsedBytes);

/// <summary>
/// Removes files of the store that nothing refers to. Whatever digest stands anywhere in a registered environment, in the boot profile of a node, or in an operation that runs or
/// may still be tried again is a reference: a file too many is kept, never one removed. When the store is full, files go by themselves: as in Kadeploy3's cache those of least
/// worth first, and of these the one that was used the longest ago.
/// </summary>
public sealed partial class StoreCollection
{
    /// <summary>Operations that have ended so long ago are not tried again.</summary>
    public static readonly TimeSpan RetryTime = TimeSpan.FromDays(7);

    /// <summary>Files that came or were used within this time do not go by themselves: they may be on their way into an environment.</summary>
    public static readonly TimeSpan YoungTime = TimeSpan.FromHours(1);

    readonly EnvironmentCatalogue _catalogue;
    readonly WorkflowTable _workflows;
    readonly NodeTable _nodes;
    readonly FileStore _files;
    readonly FileParts _parts;
    readonly FileOrigins _origins;
    readonly TorrentTools _tools;
    readonly TimeProvider _clock;

    public StoreCollection(EnvironmentCatalogue catalogue, WorkflowTable workflows, NodeTable nodes, FileStore files, FileParts parts, FileOrigins origins, TorrentTools tools, TimeProvider clock)
    {
        (_catalogue, _workflows, _nodes, _files, _parts, _origins, _tools, _clock) = (catalogue, workflows, nodes, files, parts, origins, tools, clock);
        files.Room.MakeRoom = MakeRoom;
    }

    /// <param name="age">Younger files stay: somebody may be about to register them.</param>
    public Collection Collect(TimeSpan age, bool dryRun)
    {
        var (environments, profiles, now) = (OfEnvironments(), OfProfiles(), _clock.GetUtcNow());
        var operations = OfOperations(now - RetryTime);
        var (unused, kept) = (ImmutableArray.CreateBuilder<StoredFile>(), new List<StoredFile>());
        foreach (var file in _files.All())
            if (now - file.UsedAt < age || environments.Contains(file.Sha256) || profiles.Contains(file.Sha256) || operations.Contains(file.Sha256))
                kept.Add(file);
            else
                unused.Add(file);
        if (!dryRun)
        {
            foreach (var file in unused)
                Remove(file);
            _origins.Forget(unused.Select(f => f.Sha256));
        }
        foreach (var part in _parts.All().Where(p => now - p.UsedAt >= age))
        {
            unused.Add(part with { Sha256 = part.Sha256[..64] });
            if (!dryRun)
                _parts.Remove(part);
        }
        return new Collection(unused.ToImmutable(), kept.Count, kept.Sum(f => f.Bytes));
    }

    /// <summary>Lets files go until so many bytes are free: first uploads that nobody goes on with, then those that nothing refers to, then fetched ones of these, which can be fetched again, then what only a repetition would need.</summary>
    /// <returns>What holds the room then.</returns>
    string MakeRoom(long missing)
    {
        var (environments, running, profiles, now) = (OfEnvironments(), OfOperations(Always), OfProfiles(), _clock.GetUtcNow());
        var (retried, fetched) = (OfOperations(now - RetryTime), _origins.Fetched());
        var (young, holds) = (0L, new long[3]);
        var unused = new List<StoredFile>();
        foreach (var file in _files.All())
            if (environments.Contains(file.Sha256))
                holds[0] += file.Bytes;
            else if (running.Contains(file.Sha256))
                holds[1] += file.Bytes;
            else if (profiles.Contains(file.Sha256))
                holds[2] += file.Bytes;
            else if (now - file.UsedAt < YoungTime)
                young += file.Bytes;
            else
                unused.Add(file);
        var unfinished = 0L;
        foreach (var part in _parts.All())
            if (missing > 0 && now - part.UsedAt >= YoungTime && _parts.Remove(part) is > 0 and var freed)
                missing -= freed;
            else
                unfinished += part.Bytes;
        foreach (var file in unused.OrderBy(f => retried.Contains(f.Sha256) ? 2 : fetched.Contains(f.Sha256) ? 1 : 0).ThenBy(f => f.UsedAt).ThenBy(f => f.Sha256, StringComparer.Ordinal))
        {
            if (missing <= 0)
                break;
            missing -= Remove(file);
        }
        return string.Join('\n',
            new[]
            {
                (Bytes: holds[0], Of: "registered environments"), (Bytes: holds[1], Of: "operations that run"), (Bytes: holds[2], Of: "boot profiles of nodes"),
                (Bytes: unfinished, Of: "uploads that are not whole"), (Bytes: young, Of: $"files that came or were used within {YoungTime.TotalMinutes:0} minutes"),
            }.Where(h => h.Bytes > 0).Select(h => $"{h.Of}: {h.Bytes} bytes"));
    }

    /// <summary>Removes an image with all that is kept beside it, unless somebody has asked for it just now.</summary>
    /// <returns>Its bytes when it is gone.</returns>
    long Remove(StoredFile file)
    {
        if (!_files.IsStill(file))
            return 0;
        FileManifests.RemoveImage(_files, file.Sha256);
        return file.Bytes;
    }

    static readonly DateTimeOffset Always = DateTimeOffset.MaxValue;

    HashSet<string> OfEnvironments() => Named(_catalogue.Documents());

    /// <summary>Of operations that run or ended after a moment.</summary>
    HashSet<string> OfOperations(DateTimeOffset since) => Named(_workflows.Documents(since), _tools.Digest);

    HashSet<string> OfProfiles() => _nodes.BootProfiles().SelectMany(p => new[] { p.Kernel, p.Initrd }).OfType<string>().ToHashSet(StringComparer.Ordinal);

    /// <summary>Every digest of these texts, and those of the lists that belong to images among them.</summary>
    HashSet<string> Named(IEnumerable<string> documents, string? more = null)
    {
        var named = documents.SelectMany(d => Digest().Matches(d).Select(m => m.Value)).ToHashSet(StringComparer.Ordinal);
        named.UnionWith(named.Where(_files.Has).Select(d => FileManifests.Find(_files, d)).Append(more).OfType<string>().ToArray());
        return named;
    }

    [GeneratedRegex("[0-9a-f]{64}")]
    private static partial Regex Digest();
}
