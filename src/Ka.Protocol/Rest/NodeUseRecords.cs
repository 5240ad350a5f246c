using System.Collections.Immutable;

namespace Ka.Protocol.Rest;

/// <summary>Takes nodes out of use.</summary>
public sealed record DrainBody(string Nodes, string Reason);

/// <summary>Nodes that went out of use, or came back.</summary>
public sealed record DrainedReply(string Nodes, int Count);

/// <summary>Why a node is out of use.</summary>
public sealed record OutOfUseReply(string Reason, string By, DateTimeOffset At);

/// <summary>Stops everything that changes nodes.</summary>
public sealed record StopBody(string Reason);

/// <summary>Whether everything is stopped.</summary>
/// <param name="Operations">Those that this request ended.</param>
public sealed record StopReply(bool Stopped, string? Reason, string? By, DateTimeOffset? At, ImmutableArray<string> Operations);

/// <summary>Begins an ended operation again.</summary>
/// <param name="Failed">Only on the nodes that failed or were cancelled; else on all.</param>
public sealed record RetryBody(bool Failed, bool DryRun);
