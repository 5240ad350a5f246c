using System.Collections.Immutable;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Protocol.Rest;
using Ka.Server.Api;
using Ka.Server.Configuration;
using Ka.Simulation;

namespace Ka.Tests.Server;

/// <summary>How an operation's way to broadcast is settled, told and refused.</summary>
public sealed class ChoosingBroadcast
{
    static readonly Cluster Cluster = SimulatedDeployment.SampleCluster(["gris-1"]);
    static readonly DeployBody Body = new("debian12", "gris-1", [], false);

    readonly List<Fault> _faults = [];

    (Cluster Cluster, BroadcastChoice Choice) Settle(DeployBody body, Cluster? cluster = null) => BroadcastChoices.Settle(cluster ?? Cluster, body, SimulatedDeployment.SampleEnvironment, new BroadcastGround(null, null, true, 1e9), _faults);

    static StrategySettings Known(string word) => Cluster.KnownInstall.Single(s => s.Do == word);

    [Fact]
    public void What_is_asked_for_takes_the_place_of_the_clusters_and_keeps_its_patience()
    {
        var site = Cluster with { Install = [Known("chain"), Known("tree") with { Retries = 7 }] };
        var (cluster, choice) = Settle(Body with { Broadcast = "tree" }, site);
        Assert.Equal([("tree", 7)], cluster.Install.Select(s => (s.Do, s.Retries)));
        Assert.Equal(new BroadcastChoice("tree", "asked for"), choice);
        Assert.Empty(_faults);
    }

    [Fact]
    public void The_clusters_own_ways_are_tried_one_after_another()
    {
        var (cluster, choice) = Settle(Body, Cluster with { Install = [Known("multicast"), Known("chain")] });
        Assert.Equal(["multicast", "chain"], cluster.Install.Select(s => s.Do));
        Assert.Equal(new BroadcastChoice("multicast", "the cluster's; after it chain"), choice);
        var plan = SimulatedDeployment.PlanFor(new Roster(["gris-1"]), cluster);
        Assert.Equal(["Multicast", "Chain"], plan.MacroSteps[1].Strategies.Select(s => s.Name));
    }

    [Theory]
    [InlineData("auto", "auto, asked for: ")]
    [InlineData(null, "auto, by default: ")]
    public void Auto_is_settled_before_the_operation_begins_and_says_why(string? asked, string why)
    {
        var (cluster, choice) = Settle(Body with { Broadcast = asked }, Cluster with { Install = Cluster.AutoInstall });
        Assert.Equal("chain", cluster.Install.Single().Do);
        Assert.Equal("chain", choice.Way);
        Assert.StartsWith(why + "a chain of 1 takes ", choice.Why, StringComparison.Ordinal);
        Assert.EndsWith("with links of 1 Gbit/s", choice.Why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(10, 1L << 30, "chain")]
    [InlineData(3000, 1L << 30, "two-trees")]
    [InlineData(1000, 1L << 20, "tree")]
    public void Auto_takes_what_is_expected_to_be_done_first(int nodes, long bytes, string way)
    {
        var sample = SimulatedDeployment.SampleEnvironment;
        var cluster = SimulatedDeployment.SampleCluster([.. Enumerable.Range(1, nodes).Select(i => $"gris-{i}")]) with { Install = Cluster.AutoInstall };
        var (settled, choice) = BroadcastChoices.Settle(cluster, Body, sample with { Image = sample.Image with { Bytes = bytes } }, new BroadcastGround(null, null, true), _faults);
        Assert.Equal((way, way), (settled.Install.Single().Do, choice.Way));
        Assert.EndsWith("where no node was seen yet", choice.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void A_way_that_is_none_is_refused_with_the_nearest()
    {
        Settle(Body with { Broadcast = "chian" });
        var fault = Assert.Single(_faults);
        Assert.Equal("broadcast.unavailable", fault.Code.Text);
        Assert.Contains("did you mean 'chain'?", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void To_ask_twice_is_refused()
    {
        Settle(Body with { Broadcast = "tree", Strategies = ["install=chain"] });
        Assert.Equal("strategy.invalid", Assert.Single(_faults).Code.Text);
    }

    [Theory]
    [InlineData("Kascade", "Chain")]
    [InlineData("Kastafior", "Chain")]
    [InlineData("Chain", "Chain")]
    [InlineData("Tree", "Tree")]
    [InlineData("Bittorrent", "Torrent")]
    [InlineData("Custom", "Custom")]
    [InlineData("", null)]
    public void Kadeploys_names_of_the_step_are_the_ways_of_the_same_kind(string former, string? strategy)
    {
        var (reading, errors) = OperationsReader.ReadDocument("steps.yaml", $"BroadcastEnv{former}: {{sync: {{pre-ops: [{{action: exec, command: ls}}]}}}}");
        Assert.Empty(errors);
        Assert.Equal(strategy, Assert.Single(reading!.Operations).Strategy);
    }
}
