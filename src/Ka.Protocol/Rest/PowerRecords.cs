using System.Collections.Immutable;

namespace Ka.Protocol.Rest;

/// <summary>Asks for a reboot.</summary>
/// <param name="Nodes">Node set.</param>
public sealed record RebootBody(string Nodes, bool DryRun)
{
    /// <summary><c>disk</c> (null too), <c>environment</c>, <c>minimal</c> or <c>profile</c>.</summary>
    public string? To { get; init; }

    /// <summary><c>name</c> or <c>name:version</c> of what was last deployed there; refused when something else was.</summary>
    public string? Environment { get; init; }

    /// <summary>How roughly it begins: <c>soft</c> (null too), <c>hard</c> or <c>very-hard</c>.</summary>
    public string? Level { get; init; }

    /// <summary>Public ssh keys for root of the minimal environment.</summary>
    public ImmutableArray<string> AuthorizedKeys { get; init; } = [];

    /// <summary>What the nodes boot from the network until another operation; files by digest, the client has sent them before.</summary>
    public ApplyBody? BootProfile { get; init; }

    /// <summary>Takes nodes that are out of use as well; for operators.</summary>
    public bool Drained { get; init; }

    /// <summary>VLAN that the switch ports are put into; null leaves them where they are.</summary>
    public string? Vlan { get; init; }

    /// <summary>Refuse when the last environment of any node is destructive.</summary>
    public bool CheckDestructive { get; init; }
}

/// <summary>Asks for a change of power.</summary>
/// <param name="Action"><c>on</c>, <c>off</c> or <c>cycle</c>.</param>
/// <param name="Level">How roughly it begins: <c>soft</c> (null too), <c>hard</c> or <c>very-hard</c>.</param>
public sealed record PowerBody(string Nodes, string Action, string? Level, bool DryRun)
{
    /// <summary>Takes nodes that are out of use as well; for operators.</summary>
    public bool Drained { get; init; }
}

/// <param name="Power"><c>on</c>, <c>off</c>, or <c>unknown</c> with the reason.</param>
public sealed record PowerReply(string Node, string Power, string? Code, string? Message);

/// <summary>Asks for the light by which a person finds a machine in its rack.</summary>
/// <param name="Seconds">1 to 255; null is 60.</param>
public sealed record IdentifyBody(string Nodes, bool Off, int? Seconds);

/// <param name="Light"><c>on</c>, <c>off</c>, or <c>unknown</c> with the reason.</param>
public sealed record LightReply(string Node, string Light, string? Code, string? Message);
