using Ka.Core.Clusters;

namespace Ka.Tests.Engine;

/// <summary>When the switch ports of nodes are put into another VLAN.</summary>
public sealed class SimulatedVlans
{
    static Simulated Gris(VlanWish? vlan) => Simulated.Cluster("gris-[1-4]") with { Options = new DeployOptions { Vlan = vlan } };

    [Fact]
    public void Nodes_are_deployed_in_the_default_and_end_in_the_VLAN_that_was_asked_for()
    {
        var end = Gris(new VlanWish("blue", "default")).Deploy().ShouldFinish(ok: "gris-[1-4]");
        Assert.All(end.Outcome.Ok, node => Assert.Equal(["default", "blue"], end.Outcome.World.VlansOf(node).Select(v => v.Vlan)));
    }

    [Fact]
    public void Without_a_wish_only_the_default_is_set_and_without_a_default_nothing()
    {
        var end = Gris(new VlanWish(null, "default")).Deploy().ShouldFinish(ok: "gris-[1-4]");
        Assert.All(end.Outcome.Ok, node => Assert.Equal(["default"], end.Outcome.World.VlansOf(node).Select(v => v.Vlan)));
        Assert.All(Gris(null).Deploy().Outcome.Ok, node => Assert.Empty(Gris(null).Deploy().Outcome.World.VlansOf(node)));
    }

    [Fact]
    public void An_agent_that_still_has_orders_is_never_moved_away()
    {
        var end = Gris(new VlanWish("blue", null)).With("gris-2 hangs in kexec").Deploy().ShouldFinish(ok: "gris-[1-4]");
        Assert.All(end.Outcome.Ok, node => Assert.All(end.Outcome.World.VlansOf(node), v => Assert.False(v.RunsMinimal)));
        Assert.Equal(["blue", "blue"], end.Outcome.World.VlansOf(1).Select(v => v.Vlan));
    }
}
