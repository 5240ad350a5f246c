using System.Collections.Immutable;
using System.Text.Json;
using Ka.Core.Disks;
using Ka.Core.Faults;

namespace Ka.Agent.Machine;

/// <summary>Reads the partition table that a disk has, as <c>sfdisk --json</c> tells it.</summary>
static class CurrentTable
{
    /// <summary>The table; null without one.</summary>
    public static async Task<(ExistingTable? Table, Fault? Fault)> Read(string device, CancellationToken cancel)
    {
        var told = await Tool.Run("sfdisk", ["--json", device], cancel);
        if (!told.Ok)
        {
            return told.Errors.Contains("does not contain a recognized partition table", StringComparison.Ordinal)
                ? (null, null)
                : (null, told.Or(FaultCodes.DiskPartitionFailed, "The partition table could not be read."));
        }
        return Parse(told.Output) is { } table
            ? (table, null)
            : (null, Fault.Of(FaultCodes.DiskPartitionFailed, "sfdisk's description of the table is not understood.", told.Output[..Math.Min(told.Output.Length, 400)]));
    }

    /// <summary>Null when this is not what sfdisk writes.</summary>
    internal static ExistingTable? Parse(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var table = document.RootElement.GetProperty("partitiontable");
            var device = table.GetProperty("device").GetString()!;
            var sector = table.TryGetProperty("sectorsize", out var size) ? size.GetInt32() : 512;
            var entries = ImmutableArray.CreateBuilder<TableEntry>();
            foreach (var p in table.TryGetProperty("partitions", out var list) ? list.EnumerateArray() : default)
            {
                entries.Add(new TableEntry(
                    NumberOf(p.GetProperty("node").GetString()!, device),
                    p.GetProperty("start").GetInt64() * sector,
                    p.GetProperty("size").GetInt64() * sector,
                    p.GetProperty("type").GetString()!,
                    Optional(p, "name"), Optional(p, "uuid"), Optional(p, "attrs")));
            }
            return new ExistingTable(table.GetProperty("label").GetString()!, Optional(table, "id"), entries.ToImmutable(), sector);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }

    static int NumberOf(string node, string device)
    {
        var rest = node.StartsWith(device, StringComparison.Ordinal) ? node[device.Length..].TrimStart('p') : "";
        return int.TryParse(rest, out var number) ? number : 0;
    }

    static string? Optional(JsonElement element, string name) => element.TryGetProperty(name, out var value) ? value.GetString() : null;
}
