using System.Collections.Immutable;
using Ka.Core.NodeSets;
using Ka.Core.Nodes;

namespace Ka.Simulation;

/// <summary>Reads faults as sentences: <c>gris-3 ignores soft reboot</c>, <c>gris-[5-6] dies in broadcast</c>.</summary>
public static class FaultPlan
{
    public static readonly ImmutableSortedDictionary<string, Misbehaviour> Sentences = new Dictionary<string, Misbehaviour>
    {
        ["ignores soft reboot"] = Misbehaviour.IgnoresSoft,
        ["ignores hard reboot"] = Misbehaviour.IgnoresHard,
        ["has a dead bmc"] = Misbehaviour.DeadBmc,
        ["has no cable"] = Misbehaviour.NoCable,
        ["dies in broadcast"] = Misbehaviour.DiesInBroadcast,
        ["has a bad disk"] = Misbehaviour.BadDisk,
        ["flips bits on its disk"] = Misbehaviour.FlipsBits,
        ["hangs in kexec"] = Misbehaviour.HangsInKexec,
        ["never boots"] = Misbehaviour.NeverBoots,
        ["refuses ssh"] = Misbehaviour.RefusesSsh,
        ["fails operations once"] = Misbehaviour.FailsOperationOnce,
        ["is slow"] = Misbehaviour.Slow,
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);

    public static bool TryParse(IEnumerable<string> lines, Roster roster, out ImmutableArray<(int Node, Misbehaviour What)> faults, out string? error)
    {
        var plan = ImmutableArray.CreateBuilder<(int, Misbehaviour)>();
        (faults, error) = ([], null);
        foreach (var line in lines.Select(l => l.Trim()).Where(l => l.Length > 0))
        {
            var blank = line.IndexOf(' ', StringComparison.Ordinal);
            var sentence = blank < 0 ? "" : line[(blank + 1)..].Trim().ToLowerInvariant();
            if (!Sentences.TryGetValue(sentence, out var what))
            {
                error = $"'{line}': expected NODES and one of: {string.Join("; ", Sentences.Keys)}";
                return false;
            }
            if (!NodeSet.TryParse(line[..blank], out var nodes, out var bad))
            {
                error = $"'{line}': {bad}";
                return false;
            }
            foreach (var node in nodes)
            {
                if (roster.IndexOf(node.Value) is not { } index)
                {
                    error = $"'{line}': the simulated cluster has no node {node}";
                    return false;
                }
                plan.Add((index, what));
            }
        }
        faults = plan.ToImmutable();
        return true;
    }
}
