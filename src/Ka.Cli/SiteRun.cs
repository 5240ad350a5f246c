using Ka.Core.NodeSets;
using Ka.Protocol.Rest;

namespace Ka.Cli;

/// <summary>One command line carried out on one of several servers.</summary>
/// <param name="Nodes">Its part of the node set; null when the command has none.</param>
sealed record SiteRun(string Name, string? Nodes, ServerAddress Address)
{
    static readonly AsyncLocal<SiteRun?> Flow = new();

    /// <summary>That of this flow of work; null where one server is all there is.</summary>
    public static SiteRun? Current => Flow.Value;

    public StringWriter Output { get; } = new();

    /// <summary>The operation that was accepted there, as it ended where it did.</summary>
    public OperationReply? Operation { get; set; }

    public int Status { get; set; }

    /// <summary>The only run: its output is that of the command.</summary>
    public bool Alone { get; init; }

    public void Enter() => Flow.Value = this;

    public string[] Ok => Operation is { Ok.Length: > 0 } ended ? [.. NodeSet.Parse(ended.Ok).Select(n => n.Value)] : [];

    /// <summary>Every node of its part that did not end well, also where nothing could be begun; null when they cannot be told.</summary>
    public string[]? Failed
    {
        get
        {
            if ((Operation?.Nodes ?? Nodes) is not { } nodes || !NodeSet.TryParse(nodes, out var set, out _))
                return null;
            var ok = Ok.ToHashSet(StringComparer.Ordinal);
            return [.. set.Select(n => n.Value).Where(n => !ok.Contains(n))];
        }
    }
}
