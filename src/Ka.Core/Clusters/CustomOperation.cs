using System.Collections.Immutable;

namespace Ka.Core.Clusters;

/// <summary>What a custom operation does on each node, as Kadeploy3 names it.</summary>
public enum OperationAction
{
    /// <summary>Runs a command line.</summary>
    Exec,

    /// <summary>Puts a file into a directory of the node.</summary>
    Send,

    /// <summary>Runs a script with parameters.</summary>
    Run,
}

/// <summary>Where a custom operation stands.</summary>
public enum OperationPlace
{
    Before,
    After,
    Instead,
}

/// <summary>A step of a site or a user in a plan: before, after or instead of a micro step.</summary>
/// <param name="Macro"><c>SetDeploymentEnv</c>, <c>BroadcastEnv</c>, <c>BootNewEnv</c>.</param>
/// <param name="Strategy">Only in this strategy; null in each one of the macro step.</param>
/// <param name="Step">Name of the micro step.</param>
/// <param name="Command">For <c>exec</c>: the command line, run by the node's <c>/bin/sh</c> as a script of one line.</param>
/// <param name="File">For <c>send</c> and <c>run</c>: path of the file; once accepted the SHA-256 of its bytes, as for <c>exec</c>.</param>
/// <param name="FileName">The file's own name, under which <c>send</c> puts it down.</param>
/// <param name="Arguments">Parameters of <c>run</c>.</param>
/// <param name="Destination">Directory for <c>send</c>; <c>KADEPLOY_*</c> variables in it are replaced on the node.</param>
/// <param name="Timeout">For one node and one try.</param>
/// <param name="Retries">Further tries on the nodes where it failed.</param>
public sealed record CustomOperation(
    string Name,
    string Macro,
    string? Strategy,
    string Step,
    OperationPlace Place,
    OperationAction Action,
    string? Command,
    string? File,
    string? FileName,
    ImmutableArray<string> Arguments,
    string? Destination,
    TimeSpan Timeout,
    int Retries);
