using System.Text.Json.Serialization;

namespace Ka.Lab;

/// <summary>One node as `ka-lab status -o json` shows it.</summary>
public sealed record NodeReport(
    string Node, string Mac, string Address, string Firmware, string Power, string Bmc, bool BmcAlive,
    IReadOnlyList<string> Broken, string SerialSocket, string SerialLog);

/// <summary>A lab as `ka-lab status -o json` shows it.</summary>
/// <param name="Network">The network namespace, or null when there is none.</param>
/// <param name="Kad">"running", "ended" (it was started and is gone) or "none".</param>
public sealed record LabReport(
    string Name, string State, string? Network, string Accelerator, string Kad, string KadSocket, string Site, string BmcPassword,
    IReadOnlyList<NodeReport> Nodes);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(LabFacts))]
[JsonSerializable(typeof(LabReport))]
internal sealed partial class LabJson : JsonSerializerContext;
