namespace Ka.Protocol.Rest;

/// <summary>Counts of one kind of operation in one cluster.</summary>
/// <param name="Runs">One for each node of each operation.</param>
/// <param name="OkShare">Of those that were not cancelled; null when there are none.</param>
public sealed record SummaryRow(string Kind, string Cluster, int Operations, int Runs, int Ok, int Failed, int Cancelled, double? OkShare);

/// <summary>How often operations fail on one node.</summary>
/// <param name="LowerBound">Of the share of failures, with 95 % certainty (Wilson): few runs say little.</param>
/// <param name="Cause">The most frequent one.</param>
/// <param name="Drain">Whether the node should be taken out of use.</param>
public sealed record FailingRow(string Node, string Cluster, int Runs, int Failed, double Share, double LowerBound, string? Cause, DateTimeOffset? LastFailure, bool Drain);

/// <summary>How slow a node is beside the others of its cluster, in seconds of what went well.</summary>
public sealed record SlowRow(string Node, string Kind, string Cluster, int Runs, double Median, double Usual, double Ratio);

/// <summary>Seconds that nodes are in one macro step, or in the whole operation.</summary>
public sealed record DurationRow(string Kind, string Cluster, string Step, int Runs, double P50, double P95, double Longest);

/// <summary>What operations fail of, and where.</summary>
public sealed record CauseRow(string Code, string? Macro, string? Step, int Count, int Nodes, DateTimeOffset Last);

/// <summary>How one node fared in one operation.</summary>
/// <param name="Failures">How often a step failed there, also where a later try mended it.</param>
/// <param name="Macro1">Seconds in the first macro step; null when it was not finished.</param>
public sealed record RunRow(
    string Operation, string Node, string Kind, string Cluster, string Owner, string Environment, DateTimeOffset StartedAt, DateTimeOffset EndedAt, string Result, string? Code, string? Macro, string? Step,
    int Failures, double? Macro1, double? Macro2, double? Macro3);
