namespace Ka.Core.Faults;

/// <summary>Why a node, a step or a request did not succeed. Faults are data; they are never thrown.</summary>
/// <param name="Code">The stable code, the same in the command line, JSON, problem documents, metrics and web.</param>
/// <param name="Message">One sentence saying what is wrong.</param>
/// <param name="Evidence">What was seen: the tail of an output, an exit status, a kernel message. Never a secret.</param>
public sealed record Fault(FaultCode Code, string Message, string? Evidence = null)
{
    /// <summary>Evidence is cut to this many characters, so that a failing node cannot fill the journal.</summary>
    public const int EvidenceLimit = 2000;

    public static Fault Of(FaultCode code, string message, string? evidence = null) =>
        new(code, message, evidence is { Length: > EvidenceLimit } ? "…" + evidence[^EvidenceLimit..] : evidence);

    public override string ToString() => $"{Code}: {Message}";
}

/// <summary>A stable fault code such as <c>boot.no_dhcp</c>: area, dot, what happened. The catalogue explains each.</summary>
public readonly record struct FaultCode(string Text)
{
    public override string ToString() => Text;
}
