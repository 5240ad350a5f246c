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
[JsonSerializable(typeof(TagsBody))]
[JsonSerializable(typeof(CollectBody))]
[JsonSerializable(typeof(CollectReply))]
[JsonSerializable(typeof(DiffReply))]
[JsonSerializable(typeof(ExportReply))]
[JsonSerializable(typeof(PlanReply))]
[JsonSerializable(typeof(NodeSshReply))]
[JsonSerializable(typeof(VerifyBody))]
[JsonSerializable(typeof(ImmutableArray<NodeVerifyReply>)), JsonSerializable(typeof(NodeVerifyReply[]))]
[JsonSerializable(typeof(RenderReply))]
[JsonSerializable(typeof(OperationReply))]
[JsonSerializable(typeof(ImmutableArray<OperationReply>)), JsonSerializable(typeof(OperationReply[]))]
[JsonSerializable(typeof(OperationEvent))]
[JsonSerializable(typeof(ImmutableArray<NodeProgress>))]
[JsonSerializable(typeof(ImmutableArray<LogLine>)), JsonSerializable(typeof(LogLine[]))]
[JsonSerializable(typeof(ImmutableArray<EnvironmentReply>)), JsonSerializable(typeof(EnvironmentReply[]))]
[JsonSerializable(typeof(ApplyBody))]
[JsonSerializable(typeof(ImportBody))]
[JsonSerializable(typeof(ApplyReply))]
[JsonSerializable(typeof(DescriptionFiles))]
[JsonSerializable(typeof(ImmutableArray<NodeReply>)), JsonSerializable(typeof(NodeReply[]))]
[JsonSerializable(typeof(NodeKeyReply))]
[JsonSerializable(typeof(ForgottenReply))]
[JsonSerializable(typeof(VersionReply))]
[JsonSerializable(typeof(RebootBody))]
[JsonSerializable(typeof(PowerBody))]
[JsonSerializable(typeof(ImmutableArray<PowerReply>)), JsonSerializable(typeof(PowerReply[]))]
[JsonSerializable(typeof(IdentifyBody)), JsonSerializable(typeof(ImmutableArray<LightReply>)), JsonSerializable(typeof(LightReply[]))]
[JsonSerializable(typeof(ImmutableArray<UnknownMachineReply>)), JsonSerializable(typeof(UnknownMachineReply[]))]
[JsonSerializable(typeof(ImmutableArray<SummaryRow>)), JsonSerializable(typeof(SummaryRow[]))]
[JsonSerializable(typeof(ImmutableArray<FailingRow>)), JsonSerializable(typeof(FailingRow[]))]
[JsonSerializable(typeof(ImmutableArray<SlowRow>)), JsonSerializable(typeof(SlowRow[]))]
[JsonSerializable(typeof(ImmutableArray<DurationRow>)), JsonSerializable(typeof(DurationRow[]))]
[JsonSerializable(typeof(ImmutableArray<CauseRow>)), JsonSerializable(typeof(CauseRow[]))]
[JsonSerializable(typeof(ImmutableArray<RunRow>)), JsonSerializable(typeof(RunRow[]))]
[JsonSerializable(typeof(ImmutableArray<ConsoleReply>)), JsonSerializable(typeof(ConsoleReply[]))]
[JsonSerializable(typeof(ConsoleNote))]
[JsonSerializable(typeof(DrainBody)), JsonSerializable(typeof(DrainedReply))]
[JsonSerializable(typeof(StopBody))]
[JsonSerializable(typeof(StopReply))]
[JsonSerializable(typeof(RetryBody))]
[JsonSerializable(typeof(WhoReply))]
[JsonSerializable(typeof(AuthReply))]
[JsonSerializable(typeof(GrantBody))]
[JsonSerializable(typeof(GrantedReply))]
[JsonSerializable(typeof(ImmutableArray<GrantReply>)), JsonSerializable(typeof(GrantReply[]))]
[JsonSerializable(typeof(RevokedReply))]
[JsonSerializable(typeof(CheckReply))]
[JsonSerializable(typeof(TokenBody))]
[JsonSerializable(typeof(TokenReply))]
[JsonSerializable(typeof(ImmutableArray<TokenReply>)), JsonSerializable(typeof(TokenReply[]))]
[JsonSerializable(typeof(Problem))]
public sealed partial class RestJson : JsonSerializerContext;
