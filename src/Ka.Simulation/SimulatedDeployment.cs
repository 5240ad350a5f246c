using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Planning;

namespace Ka.Simulation;

/// <summary>How a simulated deployment ended.</summary>
/// <param name="JournalHash">SHA-256 over the journal's lines; the same for the same seed.</param>
/// <param name="Causes">Node count for each final fault code.</param>
public sealed record SimulatedOutcome(
    Roster Roster,
    NodeBits Ok,
    NodeBits Ko,
    ImmutableDictionary<int, Fault> Faults,
    ImmutableSortedDictionary<string, int> Causes,
    TimeSpan Elapsed,
    ImmutableArray<JournalEntry> Journal,
    string JournalHash,
    SimulatedWorld World);

/// <summary>A whole deployment in virtual time: the real planner, automaton and runner over machines that do not exist.</summary>
public static class SimulatedDeployment
{
    /// <summary>A cancellation comes when the journal holds this many entries.</summary>
    const int CancelAfter = 5;

    /// <summary>Runs to the end, or to the moment when the journal holds <paramref name="stopAfter"/> entries (a crash), which returns what there is.</summary>
    public static SimulatedOutcome Run(
        Roster roster,
        ulong seed,
        SimulatedHardware hardware,
        IReadOnlyList<(int Node, Misbehaviour What)> faults,
        Cluster? cluster = null,
        int? stopAfter = null,
        string? cancelBy = null,
        DeployOptions? options = null) =>
        Run(roster, seed, hardware, faults, PlanFor(roster, cluster ?? SampleCluster(roster.Names), options: options), cluster?.RebootWindow ?? 500, _ => { }, stopAfter, cancelBy);

    /// <summary>Any operation: a reboot, a change of power.</summary>
    /// <param name="before">What the machines are when it begins.</param>
    public static SimulatedOutcome Run(
        Roster roster, ulong seed, SimulatedHardware hardware, IReadOnlyList<(int Node, Misbehaviour What)> faults, Plan plan, int rebootWindow, Action<SimulatedWorld> before,
        int? stopAfter = null, string? cancelBy = null)
    {
        var ((journal, after, ends, world), elapsed) = VirtualStrand.Run(async clock =>
        {
            var memory = new MemoryJournal();
            var simulated = new SimulatedWorld(clock, seed, roster.Count, hardware, faults);
            before(simulated);
            var windows = new Windows(new Window(rebootWindow), new Window(Planner.AgentWindow), new Window(Planner.WaitingWindow), new Window(Planner.SystemWindow));
            var (state, why) = await DriveAsync(simulated, windows, memory, plan, roster.All, stopAfter, cancelBy);
            return (memory.Entries.ToImmutable(), state, why, simulated);
        });
        return new SimulatedOutcome(
            roster, after.Ok, after.Ko, ends, CountCauses(ends), elapsed, journal, Hash(journal), world);
    }

    static async Task<(Automaton, ImmutableDictionary<int, Fault>)> DriveAsync(
        SimulatedWorld simulated, Windows windows, MemoryJournal memory, Plan plan, NodeBits nodes, int? stopAfter, string? cancelBy)
    {
        var runner = new Runner("sim", 1, simulated.World, windows, memory);
        var state = Automaton.For(plan);
        var ends = ImmutableDictionary.CreateBuilder<int, Fault>();
        var crashed = false;
        await ConsumeAsync(runner.StartAsync(plan, nodes, CancellationToken.None));
        if (crashed)
        {
            // The server dies here and comes back: nothing but the journal is left of it.
            var folded = memory.Entries.Aggregate(Automaton.For(plan), (s, e) => s.Apply(e.Event).Next);
            state = folded;
            stopAfter = null;
            var second = new Runner("sim", 2, simulated.World, windows, memory);
            await ConsumeAsync(second.ResumeAsync(folded, memory.Entries.Count, CancellationToken.None));
        }
        return (state, ends.ToImmutable());

        async Task ConsumeAsync(IAsyncEnumerable<WorkflowTurn> turns)
        {
            await foreach (var turn in turns)
            {
                state = turn.After;
                foreach (var finish in turn.Decisions.OfType<Decision.Finish>().Where(f => f.Fault is not null))
                    foreach (var node in finish.Nodes)
                        ends[node] = finish.Fault!;
                if (cancelBy is not null && memory.Entries.Count >= CancelAfter)
                {
                    runner.Cancel(cancelBy);
                    cancelBy = null;
                }
                if (memory.Entries.Count >= stopAfter && !turn.After.Ended)
                {
                    crashed = true;
                    return;
                }
            }
        }
    }

    public static Plan PlanFor(Roster roster, Cluster cluster, OsEnvironment? environment = null, DeployOptions? options = null)
    {
        var outcome = Planner.Plan(new DeployRequest(environment ?? SampleEnvironment, cluster, cluster.Nodes, WithKeys: true, DiskBytes: null)
        {
            Options = options ?? DeployOptions.Default,
        });
        return outcome.Plan ?? throw new InvalidOperationException(string.Join("; ", outcome.Faults));
    }

    static ImmutableSortedDictionary<string, int> CountCauses(ImmutableDictionary<int, Fault> ends) =>
        ends.Values.GroupBy(f => f.Code.Text).ToImmutableSortedDictionary(g => g.Key, g => g.Count());

    static string Hash(ImmutableArray<JournalEntry> journal)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var entry in journal)
        {
            hash.AppendData(BitConverter.GetBytes(entry.Seq));
            hash.AppendData(BitConverter.GetBytes(entry.At.UtcTicks));
            hash.AppendData(JsonSerializer.SerializeToUtf8Bytes(entry.Event, EngineJson.Default.EngineEvent));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public static Cluster SampleCluster(ImmutableArray<string> names)
    {
        var layout = new DiskLayout(PartitionTableKind.Gpt,
        [
            new PartitionSpec("bios", 1 << 20, PartitionType.BiosBoot, FileSystemKind.None),
            new PartitionSpec("root", null, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true),
        ]);
        var power = new PowerSettings("none", null, 0, null, null, 17, ImmutableDictionary<string, ImmutableArray<string>>.Empty);
        return new Cluster(
            "sim",
            [.. names.Select(n => new ClusterNode(n, "", "", null, "bios", power, new DiskSelector(), layout, null, []))],
            Cluster.DefaultMinimalEnv,
            Cluster.DefaultInstall,
            Cluster.DefaultBoot,
            RebootWindow: 500,
            Gather: TimeSpan.FromSeconds(30),
            StepTimeout: TimeSpan.FromSeconds(120),
            PostInstalls: []);
    }

    public static OsEnvironment SampleEnvironment { get; } = new(
        "debian12", 1, "root", "", "", Visibility.Public, false, "linux", "amd64",
        new Image(new string('0', 64), 100 << 20, ImageKind.Tar, ImageCompression.Zstd, 400 << 20),
        FileSystemKind.Ext4,
        new BootSpec("/vmlinuz", "/initrd.img", []),
        [],
        DateTimeOffset.UnixEpoch);

    sealed class MemoryJournal : IJournal
    {
        public ImmutableArray<JournalEntry>.Builder Entries { get; } = ImmutableArray.CreateBuilder<JournalEntry>();

        public Task AppendAsync(string workflow, ImmutableArray<JournalEntry> entries, CancellationToken cancel)
        {
            Entries.AddRange(entries);
            return Task.CompletedTask;
        }
    }
}
