using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Ka.Core.Faults;
using Ka.Core.Nodes;

namespace Ka.Engine.Automata;

/// <summary>Nodes that failed alike.</summary>
public sealed record NodeFault(NodeBits Nodes, Fault Fault);

/// <summary>What happened. The journal holds these and nothing else; everything else is a fold over them.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "event")]
[JsonDerivedType(typeof(Started), "started")]
[JsonDerivedType(typeof(Results), "results")]
[JsonDerivedType(typeof(GatherElapsed), "gather_elapsed")]
[JsonDerivedType(typeof(Cancelled), "cancelled")]
public abstract record EngineEvent
{
    /// <summary>The workflow begins with these nodes.</summary>
    public sealed record Started(NodeBits Nodes) : EngineEvent;

    /// <summary>Some nodes of a group have a result.</summary>
    public sealed record Results(int Group, NodeBits Ok, ImmutableArray<NodeFault> Failed) : EngineEvent;

    /// <summary>A gathering has waited long enough.</summary>
    public sealed record GatherElapsed(Position At) : EngineEvent;

    /// <summary>A person or the server ends the workflow.</summary>
    /// <param name="Why">What its unfinished nodes are told; null when a person just wished it.</param>
    public sealed record Cancelled(string By, Fault? Why = null) : EngineEvent;
}

/// <summary>What to do next; carried out by the runner.</summary>
public abstract record Decision
{
    public sealed record Run(NodeGroup Group) : Decision;

    public sealed record AwaitGather(Position At, TimeSpan Patience) : Decision;

    /// <summary>Nodes are through. A null fault means success.</summary>
    public sealed record Finish(NodeBits Nodes, Fault? Fault) : Decision;

    /// <summary>Stop what runs for these groups; their results no longer count.</summary>
    public sealed record Abandon(ImmutableArray<int> Groups) : Decision;
}

/// <summary>JSON of the journal.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(NodeBitsJson), typeof(FaultCodeJson)])]
[JsonSerializable(typeof(EngineEvent))]
public sealed partial class EngineJson : JsonSerializerContext;

sealed class NodeBitsJson : JsonConverter<NodeBits>
{
    public override NodeBits Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => NodeBits.Parse(reader.GetString() ?? "");

    public override void Write(Utf8JsonWriter writer, NodeBits value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

sealed class FaultCodeJson : JsonConverter<FaultCode>
{
    public override FaultCode Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => new(reader.GetString() ?? "");

    public override void Write(Utf8JsonWriter writer, FaultCode value, JsonSerializerOptions options) => writer.WriteStringValue(value.Text);
}
