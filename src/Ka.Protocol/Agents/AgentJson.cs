using System.Text.Json;
using System.Text.Json.Serialization;

namespace Ka.Protocol.Agents;

/// <summary>JSON of the agent protocol: strict, bounded, made at build time.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    MaxDepth = 32,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = false,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip)]
[JsonSerializable(typeof(AgentMessage))]
[JsonSerializable(typeof(ServerMessage))]
[JsonSerializable(typeof(AgentOrder))]
[JsonSerializable(typeof(NodeInventory))]
[JsonSerializable(typeof(CopyOrder))]
public sealed partial class AgentJson : JsonSerializerContext;
