using System.CommandLine;
using Ka.Core.Clusters;

namespace Ka.Cli.Commands;

/// <summary>What is done with a node that holds the others back, as people ask for it.</summary>
static class StragglerOptions
{
    public static readonly Option<string?> Policy = new("--straggler") { Description = "keep: wait for a slow node; tail: serve it alone when the others are done (default); evict: end it if it is slow even then" };

    public static readonly Option<string?> Floor = new("--floor") { Description = "Rate below which a node that the others wait for counts as slow, as tc writes it: 100mbit" };

    /// <summary>Null, or what is wrong with the words.</summary>
    public static string? Of(ParseResult parsed, out StragglerRules? rules)
    {
        rules = null;
        var policy = parsed.GetValue(Policy) ?? "tail";
        if (!StragglerRules.TryParse(policy, out var what))
            return $"--straggler is '{policy}', expected keep, tail or evict";
        var floor = 0L;
        if (parsed.GetValue(Floor) is { } text && !DataRate.TryParse(text, out floor))
            return $"--floor is '{text}', expected {DataRate.Expected}";
        rules = new StragglerRules(what, floor);
        return null;
    }
}
