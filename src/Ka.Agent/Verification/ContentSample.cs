using Ka.Core;
using Ka.Protocol.Manifests;

namespace Ka.Agent.Verification;

/// <summary>Chooses the files whose content is read back. A pure function, so that a seed names the same files on every node.</summary>
static class ContentSample
{
    /// <summary>Share of the files' bytes that is read.</summary>
    public const double Share = 0.03;

    /// <summary>Read at least, however small the image.</summary>
    public const long LeastBytes = 4L << 20;

    /// <summary>Most files, as a share of all: on a rotating disk each costs a seek.</summary>
    public const double FileShare = 0.03;

    public const int LeastFiles = 100;

    /// <summary>True at the entries to read: the ones named (kernel, initrd), and others by luck until the share is full.</summary>
    public static bool[] Choose(FileManifest manifest, ulong seed, IEnumerable<string> always)
    {
        var chosen = new bool[manifest.Entries.Length];
        var named = always.ToHashSet(StringComparer.Ordinal);
        var files = new List<(ulong Luck, int Index)>();
        var total = 0L;
        for (var i = 0; i < chosen.Length; i++)
        {
            var entry = manifest.Entries[i];
            chosen[i] = entry.Type == FileType.File && named.Contains(entry.Path);
            if (entry is not { Type: FileType.File, SameAs: null, Bytes: > 0 })
                continue;
            total += entry.Bytes;
            if (!chosen[i])
                files.Add((SplitMix64.At(seed, (ulong)i), i));
        }
        var bytes = Math.Max(LeastBytes, (long)(total * Share));
        var count = Math.Max(LeastFiles, (int)(files.Count * FileShare));
        foreach (var (_, index) in files.Order())
        {
            if (manifest.Entries[index].Bytes > bytes || count == 0)
                continue;
            chosen[index] = true;
            bytes -= manifest.Entries[index].Bytes;
            count--;
        }
        return chosen;
    }
}
