using System.Collections.Immutable;

namespace Ka.Server.Telemetry;

/// <summary>A stretch of an operation: the whole of it, a node's macro step, or one try of a micro step on a node.</summary>
/// <param name="Fault">Code and message of what ended it; null when it went well.</param>
/// <param name="Children">In the order of their beginning.</param>
public sealed record OperationSpan(
    string Name, DateTimeOffset From, DateTimeOffset Until, (string Code, string Message)? Fault,
    ImmutableArray<KeyValuePair<string, object?>> Attributes, ImmutableArray<OperationSpan> Children)
{
    public object? this[string attribute] => Attributes.FirstOrDefault(a => a.Key == attribute).Value;
}
