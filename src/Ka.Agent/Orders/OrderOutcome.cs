using System.Collections.Immutable;
using Ka.Agent.Machine;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>What an order came to.</summary>
/// <param name="Tool">The program that mattered, when there was one: its status and outputs go into the result.</param>
/// <param name="Afterwards">Done once the result is with the server: the jump into another system.</param>
sealed record OrderOutcome(
    Fault? Fault,
    ImmutableDictionary<string, string>? Values = null,
    ToolOutcome? Tool = null,
    Func<Task>? Afterwards = null)
{
    public static readonly OrderOutcome Done = new((Fault?)null);

    public static OrderOutcome Found(params ReadOnlySpan<(string Name, string Value)> values)
    {
        var found = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in values)
        {
            found[name] = value;
        }
        return new OrderOutcome(null, found.ToImmutable());
    }

    public static implicit operator OrderOutcome(Fault fault) => new(fault);
}
