using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.NodeSets;
using Ka.Protocol.Agents;

namespace Ka.Server.Api;

/// <summary>What a deployment would do to the disks of its nodes, in words: one line for each disk and each thing made of several.</summary>
static class PlannedDisks
{
    /// <param name="inventories">What the agents saw last, as documents; a node that is missing is told by its selectors alone.</param>
    public static ImmutableArray<string> Of(ImmutableArray<ClusterNode> nodes, ImmutableDictionary<string, string> inventories)
    {
        var lines = ImmutableArray.CreateBuilder<string>();
        foreach (var group in nodes.GroupBy(n => string.Join('\n', Lines(n, Seen(n, inventories)))))
            foreach (var line in group.Key.Split('\n'))
                lines.Add($"{NodeSet.FromNames(group.Select(n => NodeName.Parse(n.Name)))}: {line}");
        return lines.ToImmutable();
    }

    static IEnumerable<string> Lines(ClusterNode node, ImmutableArray<DiskFacts> seen)
    {
        var layout = node.Layout;
        var places = new List<PartitionPlace>();
        var known = node.PartitionScript is null;
        var left = seen;
        var selectors = layout.Selectors(node.Disk).ToArray();
        var index = 0;
        foreach (var (table, partitions) in layout.Disks())
        {
            var disk = DiskSelection.TryChoose(selectors[index], left, out var found, out _) ? found : null;
            left = disk is null ? left : left.Remove(disk);
            var placed = ImmutableArray<PartitionPlace>.Empty;
            // where kept partitions are is only on the disk itself
            known = disk is not null && !partitions.Any(p => p.Keep)
                && SfdiskScript.TryPlace(table, partitions, disk.Bytes, ImmutableDictionary<string, TableEntry>.Empty, out placed, out _) && known;
            places.AddRange(placed);
            yield return $"{Disk(disk, selectors[index++])}: {Fate(node, table, partitions, placed)}";
        }
        ImmutableDictionary<string, long>? room = null;
        if (known && LayoutRoom.TryMeasure(layout, places, out var measured, out _))
            room = measured;
        foreach (var array in layout.RaidArrays())
            yield return $"RAID {array.Level} over {string.Join(", ", array.Members)}: {Part(array.Content, room?.GetValueOrDefault(array.Content.Name))}";
        foreach (var group in layout.VolumeGroups())
            yield return $"volume group {group.Name} over {string.Join(", ", group.Members)}: {string.Join(", ", group.Volumes.Select(v => Part(v, room?.GetValueOrDefault(v.Name) ?? v.Bytes)))}";
    }

    static string Fate(ClusterNode node, PartitionTableKind table, ImmutableArray<PartitionSpec> partitions, ImmutableArray<PartitionPlace> places)
    {
        if (node.PartitionScript is not null)
            return $"divided by the site's script {Path.GetFileName(node.PartitionScript)}";
        var kept = partitions.Where(p => p.Keep).Select(p => p.Name).ToArray();
        var made = partitions.Where(p => !p.Keep).Select(p => Part(p, places.FirstOrDefault(x => x.Partition == p)?.Bytes ?? p.Bytes));
        var erased = kept.Length == 0 ? "whole" : $"all but {string.Join(", ", kept)}";
        return $"erases {erased}; keeps {(kept.Length == 0 ? "nothing" : string.Join(", ", kept))}; makes {table.ToString().ToLowerInvariant()} with {string.Join(", ", made)}";
    }

    static string Part(PartitionSpec part, long? bytes)
    {
        string?[] words =
        [
            part.Name,
            bytes is > 0 and { } size ? Size(size) : "rest",
            part.Encrypted ? "encrypted" : null,
            part.FileSystem == FileSystemKind.None ? null : part.FileSystem.ToString().ToLowerInvariant(),
            part.Deploy ? "deployed" : part.MountPoint,
        ];
        return string.Join(' ', words.Where(w => w is not null));
    }

    static string Disk(DiskFacts? disk, DiskSelector selector) =>
        disk is null ? DiskSelection.Describe(selector) : $"{disk.Device} ({Size(disk.Bytes)}, {disk.Bus}{(disk.Serial is null ? "" : ", serial " + disk.Serial)})";

    static ImmutableArray<DiskFacts> Seen(ClusterNode node, ImmutableDictionary<string, string> inventories) =>
        inventories.TryGetValue(node.Name, out var document) && JsonSerializer.Deserialize(document, AgentJson.Default.NodeInventory) is { } inventory
            ? [.. inventory.Disks.Select(d => new DiskFacts(d.Name, d.Path, d.Bus, d.Bytes, d.Model, d.Serial))]
            : [];

    /// <summary>Powers of 1024, as layouts are written.</summary>
    static string Size(long bytes) => bytes >= 1L << 30
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):0.#} GiB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):0.#} MiB");
}
