using System.Collections.Immutable;
using System.Text;
using System.Text.RegularExpressions;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine.Automata;
using Ka.Engine.Ports;

namespace Ka.Tests.Engine;

/// <summary>
/// A conversation with the automaton as text. First the plan, a macro step on each line:
/// <c>install: chain x2 reformat send* sync | unicast x1 copy</c> (x2: two tries; *: gathers). Then events, each begun by
/// <c>&gt;</c>, and under each what the automaton decides. Lines with <c>--</c> are for people.
/// </summary>
static partial class Conversation
{
    static readonly TimeSpan Gather = TimeSpan.FromSeconds(30);

    sealed record Named(string Word, bool Together) : MicroStep(Word, TimeSpan.FromMinutes(1), Together)
    {
        public override IAsyncEnumerable<NodeResult> RunAsync(World world, StepRun run, CancellationToken cancel) => throw new NotSupportedException();
    }

    /// <summary>Says the events of the text to a new automaton and writes its answers under them.</summary>
    public static string Hold(string text)
    {
        var lines = text.Split('\n').Select(l => l.TrimEnd()).ToArray();
        var first = Array.FindIndex(lines, l => l.StartsWith('>'));
        var plan = PlanOf(lines.Take(first).Where(l => l.Length > 0 && !l.StartsWith("--", StringComparison.Ordinal)));
        var automaton = Automaton.For(plan);
        var said = new StringBuilder(string.Join('\n', lines.Take(first).Append("")));
        foreach (var line in lines.Skip(first).Where(l => l.StartsWith('>') || l.StartsWith("--", StringComparison.Ordinal)))
        {
            said.Append(line).Append('\n');
            if (!line.StartsWith('>'))
                continue;
            (automaton, var decisions) = automaton.Apply(EventOf(plan, line[1..].Trim()));
            foreach (var decision in decisions)
                said.Append("  ").Append(Say(plan, decision)).Append('\n');
            if (decisions.IsEmpty)
                said.Append("  nothing\n");
            if (automaton.Ended)
                said.Append("  ended: ok ").Append(Set(automaton.Ok)).Append(", failed ").Append(Set(automaton.Ko)).Append('\n');
            said.Append('\n');
        }
        return said.ToString().TrimEnd('\n') + "\n";
    }

    static Plan PlanOf(IEnumerable<string> lines) => new([.. lines.Select(line =>
    {
        var (name, rest) = Cut(line, ':');
        return new MacroStep(name, [.. rest.Split('|').Select(StrategyOf)]);
    })], Gather);

    static Strategy StrategyOf(string text)
    {
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return new Strategy(words[0], int.Parse(words[1][1..]) - 1, [.. words.Skip(2).Select(w => new Named(w.TrimEnd('*'), w.EndsWith('*')))]);
    }

    static EngineEvent EventOf(Plan plan, string text)
    {
        var (word, rest) = Cut(text, ' ');
        return word switch
        {
            "start" => new EngineEvent.Started(NodeBits.Parse(rest)),
            "cancel" => new EngineEvent.Cancelled(rest),
            "elapsed" => new EngineEvent.GatherElapsed(PlaceOf(plan, rest)),
            _ => ResultsOf(int.Parse(word[1..]), rest),
        };
    }

    static EngineEvent.Results ResultsOf(int group, string text)
    {
        var ok = NodeBits.Empty;
        var failed = ImmutableArray.CreateBuilder<NodeFault>();
        foreach (var part in text.Split(';', StringSplitOptions.TrimEntries))
        {
            var words = part.Split(' ');
            if (words[0] == "ok")
                ok |= NodeBits.Parse(words[1]);
            else
                failed.Add(new NodeFault(NodeBits.Parse(words[1]), Fault.Of(new FaultCode(words[2]), "as said")));
        }
        return new EngineEvent.Results(group, ok, failed.ToImmutable());
    }

    static string Say(Plan plan, Decision decision) => decision switch
    {
        Decision.Run run => $"run #{run.Group.Id}: {run.Group.Nodes} in {Say(plan, run.Group.At)}",
        Decision.AwaitGather gather => $"gather for {gather.Patience.TotalSeconds:0} s before {Say(plan, gather.At)}",
        Decision.Finish { Fault: null } finish => $"ok {finish.Nodes}",
        Decision.Finish finish => $"failed {finish.Nodes} with {finish.Fault}",
        Decision.Abandon abandon => $"abandon {string.Join(' ', abandon.Groups.Select(g => $"#{g}"))}".TrimEnd(),
        _ => throw new ArgumentOutOfRangeException(nameof(decision)),
    };

    static string Say(Plan plan, Position at)
    {
        var macro = plan.MacroSteps[at.Macro];
        return $"{macro.Name}/{macro.Strategies[at.Strategy].Name}/{at.In(plan).Name}" + (at.Try > 0 ? $" try {at.Try + 1}" : "");
    }

    static Position PlaceOf(Plan plan, string text)
    {
        var found = Place().Match(text);
        var macro = plan.MacroSteps.Select(m => m.Name).ToList().IndexOf(found.Groups["macro"].Value);
        var strategies = plan.MacroSteps[macro].Strategies;
        var strategy = strategies.Select(s => s.Name).ToList().IndexOf(found.Groups["strategy"].Value);
        var micro = strategies[strategy].Steps.Select(s => s.Name).ToList().IndexOf(found.Groups["step"].Value);
        return new Position(macro, strategy, found.Groups["try"].Success ? int.Parse(found.Groups["try"].Value) - 1 : 0, micro);
    }

    static string Set(NodeBits nodes) => nodes.IsEmpty ? "none" : nodes.ToString();

    static (string, string) Cut(string text, char at) => text.IndexOf(at) is var i and >= 0 ? (text[..i], text[(i + 1)..].Trim()) : (text, "");

    [GeneratedRegex("^(?<macro>[^/]+)/(?<strategy>[^/]+)/(?<step>[^ ]+)( try (?<try>[0-9]+))?$")]
    private static partial Regex Place();
}
