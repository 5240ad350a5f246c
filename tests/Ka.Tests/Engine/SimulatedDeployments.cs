using System.Collections.Immutable;
using Ka.Core.Nodes;
using Ka.Simulation;

namespace Ka.Tests.Engine;

public class SimulatedDeployments
{
    [Fact]
    public void Ten_thousand_nodes_end_the_same_for_the_same_seed()
    {
        var roster = Roster(10_000);
        var lossy = SimulatedHardware.Sound with { Loss = 0.03 };
        var once = SimulatedDeployment.Run(roster, 1, lossy, []);
        var again = SimulatedDeployment.Run(roster, 1, lossy, []);
        var other = SimulatedDeployment.Run(roster, 2, lossy, []);
        Assert.Equal(10_000, once.Ok.Count + once.Ko.Count);
        Assert.True(once.Ok.Count > 9_000);
        Assert.Equal(once.JournalHash, again.JournalHash);
        Assert.NotEqual(once.JournalHash, other.JournalHash);
    }

    static Roster Roster(int n) => new([.. Enumerable.Range(1, n).Select(i => $"gris-{i}")]);
}
