using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Ka.Protocol.Rest;

/// <summary>JSON of the public API; also what <c>-o json</c> prints.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    MaxDepth = 32,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(DeployBody))]
[JsonSerializable(typeof(PlanReply))]
[JsonSerializable(typeof(NodeSshReply))]
[JsonSerializable(typeof(VerifyBody))]
[JsonSerializable(typeof(ImmutableArray<NodeVerifyReply>))]
[JsonSerializable(typeof(NodeVerifyReply[]))]
[JsonSerializable(typeof(RenderReply))]
[JsonSerializable(typeof(OperationReply))]
[JsonSerializable(typeof(ImmutableArray<OperationReply>))]
[JsonSerializable(typeof(OperationReply[]))]
[JsonSerializable(typeof(OperationEvent))]
[JsonSerializable(typeof(ImmutableArray<NodeProgress>))]
[JsonSerializable(typeof(ImmutableArray<LogLine>))]
[JsonSerializable(typeof(LogLine[]))]
[JsonSerializable(typeof(ImmutableArray<EnvironmentReply>))]
[JsonSerializable(typeof(EnvironmentReply[]))]
[JsonSerializable(typeof(ApplyBody))]
[JsonSerializable(typeof(ImportBody))]
[JsonSerializable(typeof(ApplyReply))]
[JsonSerializable(typeof(DescriptionFiles))]
[JsonSerializable(typeof(ImmutableArray<NodeReply>))]
[JsonSerializable(typeof(NodeReply[]))]
[JsonSerializable(typeof(NodeKeyReply))]
[JsonSerializable(typeof(ForgottenReply))]
[JsonSerializable(typeof(VersionReply))]
[JsonSerializable(typeof(Problem))]
public sealed partial class RestJson : JsonSerializerContext;
