using System.Collections.Immutable;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Simulation;

namespace Ka.Tests.Engine;

public class SimulatedDeployments
{
    [Fact]
    public void A_healthy_cluster_is_deployed_whole() => Simulated.Cluster("gris-[1-4]").Deploy().ShouldFinish(ok: "gris-[1-4]");

    [Theory]
    [InlineData("ignores soft reboot")]
    [InlineData("ignores hard reboot")]
    [InlineData("hangs in kexec")]
    public void What_the_next_try_or_strategy_mends_ends_well(string misbehaviour) =>
        Simulated.Cluster("gris-[1-4]").With($"gris-3 {misbehaviour}").Deploy().ShouldFinish(ok: "gris-[1-4]");

    [Theory]
    [InlineData("has a dead bmc", "power.bmc_unreachable")]
    [InlineData("has no cable", "boot.no_dhcp")]
    [InlineData("dies in broadcast", "agent.lost")]
    [InlineData("has a bad disk", "disk.io_error")]
    [InlineData("flips bits on its disk", "disk.mismatch")]
    [InlineData("never boots", "boot.no_ssh")]
    [InlineData("is slow", "boot.no_agent")]
    public void What_nothing_mends_fails_with_its_cause_and_harms_nobody_else(string misbehaviour, string cause) =>
        Simulated.Cluster("gris-[1-4]").With($"gris-3 {misbehaviour}").Deploy().ShouldFinish(ok: "gris-[1-2,4]", failed: $"gris-3 {cause}");

    [Fact]
    public void A_disk_that_gives_back_other_bytes_is_tried_once_more_and_never_booted()
    {
        var end = Simulated.Cluster("gris-[1-2]").With("gris-1 flips bits on its disk").Deploy().ShouldFinish(ok: "gris-2", failed: "gris-1 disk.mismatch");
        Assert.False(end.Outcome.World.RunsDeployed(0));
    }

    [Fact]
    public void Every_misbehaviour_has_a_sentence() =>
        Assert.Equal(Enum.GetValues<Misbehaviour>().Order(), FaultPlan.Sentences.Values.Order());

    [Fact]
    public void An_unknown_misbehaviour_or_node_is_refused_with_what_is_known()
    {
        var roster = new Roster(["gris-1"]);
        Assert.False(FaultPlan.TryParse(["gris-1 sings"], roster, out _, out var sings));
        Assert.Contains("ignores soft reboot", sings);
        Assert.False(FaultPlan.TryParse(["gris-2 is slow"], roster, out _, out var missing));
        Assert.Contains("gris-2", missing);
    }

    [Fact]
    public void Nobody_waits_for_the_slowest()
    {
        var end = Simulated.Cluster("gris-[1-4]").With("gris-3 ignores hard reboot").Deploy().ShouldFinish(ok: "gris-[1-4]");
        var reached = end.Outcome.World.BootedAt(end.Asked.Roster.IndexOf("gris-3")!.Value);
        Assert.NotNull(reached);
        Assert.All(["gris-1", "gris-2", "gris-4"], n => Assert.True(end.EndOf(n) < reached, n));
    }

    [Fact]
    public void Cancelling_ends_every_node_with_that_cause() =>
        (Simulated.Cluster("gris-[1-4]") with { CancelledBy = "alice" }).Deploy()
            .ShouldFinish(ok: "", failed: "gris-[1-4] operation.cancelled").EveryNodeEndsOnce();

    [Fact]
    public void A_crash_of_the_server_at_any_moment_changes_no_end()
    {
        var faulty = Simulated.Cluster("gris-[1-4]").With("gris-1 ignores soft reboot", "gris-2 hangs in kexec", "gris-3 has a bad disk");
        const string ok = "gris-[1-2,4]", failed = "gris-3 disk.io_error";
        var whole = faulty.Deploy().ShouldFinish(ok, failed).EveryNodeEndsOnce();
        for (var position = 1; position < whole.Outcome.Journal.Length; position++)
            (faulty with { CrashAfter = position }).Deploy().ShouldFinish(ok, failed).EveryNodeEndsOnce();
    }

    [Fact]
    public void A_resumed_server_withdraws_the_install_profile_of_nodes_that_had_failed_before()
    {
        var roster = Simulated.Cluster("gris-[1-2]").Roster;
        var plan = SimulatedDeployment.PlanFor(roster, SimulatedDeployment.SampleCluster(roster.Names));
        var (next, _) = VirtualStrand.Run(async clock =>
        {
            var world = new SimulatedWorld(clock, 1, 2, SimulatedHardware.Sound, []);
            var attempt = new AttemptId("sim", 1, 1, false);
            await foreach (var _ in world.ChooseAsync(roster.All, BootChoice.Minimal, attempt, CancellationToken.None))
            {
            }
            // Journalled and then the server died: node 0 has failed, node 1 never began.
            var died = Automaton.For(plan) with { Nodes = roster.All, Ko = NodeBits.Of(0), Ok = NodeBits.Of(1) };
            var windows = new Ka.Engine.Automata.Windows(new Window(1), new Window(1), new Window(1), new Window(1));
            await foreach (var _ in new Runner("sim", 2, world.World, windows, new NoJournal()).ResumeAsync(died, 7, CancellationToken.None))
            {
            }
            return (world.BootsNext(0), world.BootsNext(1));
        });
        Assert.Equal((BootChoice.LocalDisk, BootChoice.Minimal), next);
    }

    sealed class NoJournal : IJournal
    {
        public Task AppendAsync(string workflow, ImmutableArray<JournalEntry> entries, CancellationToken cancel) => Task.CompletedTask;
    }

    [Fact]
    public void Whatever_the_seed_and_the_faults_every_node_ends_exactly_once()
    {
        var sentences = FaultPlan.Sentences.Keys.ToArray();
        for (var seed = 1; seed <= 40; seed++)
        {
            var luck = new Random(seed);
            var nodes = luck.Next(1, 13);
            var faults = Enumerable.Range(1, nodes).Where(_ => luck.Next(3) == 0).Select(n => $"gris-{n} {sentences[luck.Next(sentences.Length)]}");
            var cluster = Simulated.Cluster($"gris-[1-{nodes}]").With([.. faults]) with
            {
                Seed = (ulong)seed,
                Hardware = SimulatedHardware.Sound with { Loss = luck.NextDouble() * 0.4 },
                RebootWindow = luck.Next(1, 5),
                CrashAfter = luck.Next(2) == 0 ? null : luck.Next(1, 60),
                CancelledBy = luck.Next(8) == 0 ? "alice" : null,
            };
            cluster.Deploy().EveryNodeEndsOnce().EveryOkRunsItsSystem();
        }
    }

    [Fact]
    public void Two_thousand_nodes_all_have_an_end()
    {
        var lossy = Simulated.Cluster("gris-[1-2000]") with { Hardware = SimulatedHardware.Sound with { Loss = 0.03 } };
        var once = lossy.Deploy().EveryOkRunsItsSystem().Outcome;
        Assert.True(once.Ok.Count > 1_800);
        Assert.Equal(2_000, once.Ok.Count + once.Ko.Count);
    }

    [Fact]
    public void The_same_seed_is_the_same_run_and_another_seed_another()
    {
        var lossy = Simulated.Cluster("gris-[1-200]") with { Hardware = SimulatedHardware.Sound with { Loss = 0.03 } };
        Assert.Equal(lossy.Deploy().Outcome.JournalHash, lossy.Deploy().Outcome.JournalHash);
        Assert.NotEqual(lossy.Deploy().Outcome.JournalHash, (lossy with { Seed = 2 }).Deploy().Outcome.JournalHash);
    }
}
