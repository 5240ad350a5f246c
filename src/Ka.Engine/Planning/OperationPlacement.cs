using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Engine.Steps;

namespace Ka.Engine.Planning;

/// <summary>Puts custom operations into a plan: before, after or instead of the micro steps they name. They need an agent, so only where there is one.</summary>
static class OperationPlacement
{
    public static ImmutableArray<MacroStep> Insert(ImmutableArray<MacroStep> macros, ImmutableArray<CustomOperation> operations, ImmutableArray<Fault>.Builder faults)
    {
        if (operations.IsEmpty)
            return macros;
        var placed = new HashSet<CustomOperation>();
        var plan = macros.Select(m => m with { Strategies = [.. m.Strategies.Select(s => Insert(m, s, operations, placed))] }).ToImmutableArray();
        foreach (var operation in operations.Where(o => !placed.Contains(o)))
            faults.Add(Why(operation, macros));
        return plan;
    }

    static Strategy Insert(MacroStep macro, Strategy strategy, ImmutableArray<CustomOperation> operations, HashSet<CustomOperation> placed)
    {
        var steps = ImmutableArray.CreateBuilder<MicroStep>();
        var checkedBefore = -1;
        for (var i = 0; i < strategy.Steps.Length; i++)
        {
            var step = strategy.Steps[i];
            var here = operations.Where(o => o.Macro == macro.Name && (o.Strategy is null || o.Strategy == strategy.Name) && o.Step == step.Name).ToArray();
            var (before, at) = (HasAgent(strategy, i), HasAgent(strategy, i + 1));
            Add(OperationPlace.Before, before);
            var instead = before && here.Any(o => o.Place == OperationPlace.Instead);
            if (instead)
                Add(OperationPlace.Instead, before);
            else if (i != checkedBefore)
                steps.Add(step);
            // The check compares with the image: nothing comes between them, and where something else is sent there is no check.
            if (step is SendImage && i + 1 < strategy.Steps.Length && strategy.Steps[i + 1] is AgentStep { Task: AgentTask.Verify } check)
            {
                checkedBefore = i + 1;
                if (!instead)
                    steps.Add(check);
            }
            Add(OperationPlace.After, at);

            void Add(OperationPlace place, bool agent)
            {
                foreach (var operation in here.Where(o => agent && o.Place == place))
                {
                    steps.Add(new OperationStep(operation));
                    placed.Add(operation);
                }
            }
        }
        return strategy with { Steps = steps.ToImmutable() };
    }

    /// <summary>Whether an agent answers just before the step of this index.</summary>
    static bool HasAgent(Strategy strategy, int index)
    {
        var steps = strategy.Steps;
        var arrives = steps.IndexOf(steps.FirstOrDefault(s => s is AwaitAgent)!);
        if (arrives >= 0)
            return index > arrives;
        var leaves = steps.IndexOf(steps.FirstOrDefault(s => s is PowerReboot or AgentStep { Task: AgentTask.Kexec or AgentTask.Reboot })!);
        // A reset from outside is for nodes whose agent does not answer any more.
        return leaves < 0 || (index <= leaves && steps[leaves] is not PowerReboot);
    }

    static Fault Why(CustomOperation operation, ImmutableArray<MacroStep> macros)
    {
        var macro = macros.FirstOrDefault(m => m.Name == operation.Macro);
        var strategies = macro?.Strategies.Where(s => operation.Strategy is null || s.Name == operation.Strategy).ToArray() ?? [];
        var names = strategies.SelectMany(s => s.Steps).Select(s => s.Name).Distinct().ToArray();
        var what = macro is null ? $"there is no macro step '{DocumentError.Cut(operation.Macro)}'; known: {string.Join(", ", macros.Select(m => m.Name))}"
            : strategies.Length == 0 ? $"{macro.Name} has no strategy '{DocumentError.Cut(operation.Strategy!)}' here; it has {string.Join(", ", macro.Strategies.Select(s => s.Name))}"
            : names.Contains(operation.Step) ? $"no agent answers {operation.Place.ToString().ToLowerInvariant()} {operation.Step}"
            : $"there is no micro step '{DocumentError.Cut(operation.Step)}' in {macro.Name}{Guess(operation.Step, names)}; it has {string.Join(", ", names)}";
        return Fault.Of(FaultCodes.OperationInvalid, $"custom operation '{DocumentError.Cut(operation.Name)}': {what}");
    }

    static string Guess(string word, IEnumerable<string> known) => Suggestion.Nearest(word, known) is { } near ? $", did you mean '{near}'?" : "";
}

/// <summary>Cuts a plan off before the step at which the nodes are to be left as they are.</summary>
static class BreakpointPlacement
{
    public static ImmutableArray<MacroStep> CutOff(ImmutableArray<MacroStep> macros, string? breakpoint, ImmutableArray<Fault>.Builder faults)
    {
        if (breakpoint is null)
            return macros;
        var parts = breakpoint.Split(':', 2);
        var index = macros.IndexOf(macros.FirstOrDefault(m => m.Name == parts[0])!);
        if (index < 0)
        {
            faults.Add(Fault.Of(FaultCodes.BreakpointInvalid, $"breakpoint '{DocumentError.Cut(breakpoint)}': there is no macro step '{DocumentError.Cut(parts[0])}'; known: {string.Join(", ", macros.Select(m => m.Name))}"));
            return macros;
        }
        var cut = macros.Take(index).ToList();
        if (parts is [_, var step])
        {
            var strategies = macros[index].Strategies.Where(s => At(s, step) is not null).ToArray();
            if (strategies.Length == 0)
            {
                var names = macros[index].Strategies.SelectMany(s => s.Steps).Select(s => s.Name).Distinct();
                faults.Add(Fault.Of(FaultCodes.BreakpointInvalid, $"breakpoint '{DocumentError.Cut(breakpoint)}': {parts[0]} has no micro step '{DocumentError.Cut(step)}'; it has {string.Join(", ", names)}"));
                return macros;
            }
            var shorter = strategies.Select(s => s with { Steps = s.Steps[..At(s, step)!.Value] }).Where(s => !s.Steps.IsEmpty).ToImmutableArray();
            if (!shorter.IsEmpty)
                cut.Add(macros[index] with { Strategies = shorter });
        }
        if (cut.Count == 0)
            faults.Add(Fault.Of(FaultCodes.BreakpointInvalid, $"breakpoint '{DocumentError.Cut(breakpoint)}' stands before the first step: nothing would be done"));
        return [.. cut];
    }

    /// <summary>Where the micro step begins, with the operations that belong before it.</summary>
    static int? At(Strategy strategy, string step)
    {
        for (var i = 0; i < strategy.Steps.Length; i++)
            if (strategy.Steps[i].Name == step || strategy.Steps[i] is OperationStep { Operation: { Place: not OperationPlace.After } o } && o.Step == step)
                return i;
        return null;
    }
}
