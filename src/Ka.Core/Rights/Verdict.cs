using System.Collections.Immutable;
using Ka.Core.NodeSets;

namespace Ka.Core.Rights;

/// <summary>What one rule, or the lack of one, says of some nodes.</summary>
/// <param name="Rule">Id of the rule that decides, or <c>role:NAME</c>; null when nothing allows it.</param>
public sealed record VerdictPart(NodeSet Nodes, bool Allowed, string? Rule, string Reason);

/// <summary>Allowed, or denied with the reason and the nodes. Every node is in exactly one part.</summary>
public sealed record Verdict(ImmutableArray<VerdictPart> Parts)
{
    public bool Allowed => Parts.All(p => p.Allowed);

    public NodeSet Denied => Parts.Where(p => !p.Allowed).Aggregate(NodeSet.Empty, (all, p) => all | p.Nodes);
}

/// <summary>The rules for who may work on which node: pure, denied by default, and a rule never takes away what another gives.</summary>
public static class NodeRules
{
    /// <summary>Decides for each node. The rules that are tried first are the first ones of the list.</summary>
    public static Verdict Decide(Caller caller, NodeSet nodes, PartitionNeed need, IReadOnlyCollection<Grant> grants, DateTimeOffset now)
    {
        if (caller.Role >= Role.Operator)
            return new Verdict([new VerdictPart(nodes, true, $"role:{caller.Role.Word()}", $"{caller.Name} is {caller.Role.Word()}")]);
        if (caller.Role < Role.User)
            return new Verdict([new VerdictPart(nodes, false, $"role:{caller.Role.Word()}", $"{caller.Name} is {caller.Role.Word()} and changes nothing")]);
        var parts = ImmutableArray.CreateBuilder<VerdictPart>();
        var left = nodes;
        var own = grants.Where(g => g.RevokedAt is null && g.IsFor(caller)).ToArray();
        foreach (var grant in own.Where(g => g.HoldsAt(now) && g.Covers(need)))
            Take(grant, allowed: true, grant.ToString());
        foreach (var grant in own)
            Take(grant, allowed: false, Miss(grant, need, now));
        if (!left.IsEmpty)
            parts.Add(new VerdictPart(left, false, null, $"no rule gives {caller.Name} anything there"));
        return new Verdict(parts.ToImmutable());

        void Take(Grant grant, bool allowed, string reason)
        {
            var here = grant.Nodes is { } some ? left & some : left;
            if (here.IsEmpty)
                return;
            parts.Add(new VerdictPart(here, allowed, grant.Id, reason));
            left -= here;
        }
    }

    static string Miss(Grant grant, PartitionNeed need, DateTimeOffset now) =>
        grant.Until <= now ? $"{grant} is over"
        : grant.From > now ? $"{grant} has not begun"
        : need.Parts is null ? $"{grant} does not reach the whole disk, which is written"
        : $"{grant} does not reach {string.Join(", ", need.Parts.Value.Select(p => $"{p.Name} ({p.Number})"))}";
}
