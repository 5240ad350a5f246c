using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using Ka.Broadcast;
using Ka.Broadcast.Torrent;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Drivers.Power;
using Ka.Engine;
using Ka.Engine.Automata;
using Ka.Engine.Planning;
using Ka.Engine.Workflows;
using Ka.Server.Agents;
using Ka.Server.Api;
using Ka.Server.Boot;
using Ka.Server.Environments;
using Ka.Server.Hosting;
using Ka.Server.Statistics;
using Ka.Server.Telemetry;
using Ka.Store;

namespace Ka.Server.Workflows;

/// <summary>What workflows need of the server.</summary>
public sealed record WorkflowResources(
    AgentHub Hub, NodeBoots Boots, BootDirectory Directory, Site Site, SiteKeys Keys, ChainSource Source, IPAddress Address, FileStore Files, ServerSecrets Secrets,
    Journal Journal, WorkflowTable Workflows, NodeTable Nodes, LogTable Logs, RunTable Runs, OutOfUseTable OutOfUse, TorrentSource Torrents, TorrentTools TorrentTools, PowerDrivers Drivers, TimeProvider Clock);

/// <summary>A workflow of this process.</summary>
public sealed class LiveWorkflow
{
    TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal LiveWorkflow(Workflow workflow, Runner runner, LiveProgress progress) => (Workflow, Runner, Progress) = (workflow, runner, progress);

    public Workflow Workflow { get; }

    internal Runner Runner { get; }

    internal LiveProgress Progress { get; }

    /// <summary>Completes when nothing of it runs in this process any more; never fails.</summary>
    internal Task Run { get; set; } = Task.CompletedTask;

    /// <summary>Completes at the next turn.</summary>
    public Task Changed => Volatile.Read(ref _changed).Task;

    internal void Signal() => Interlocked.Exchange(ref _changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
}

/// <summary>
/// Runs all workflows of this server on one strand, and takes up at start what the last process left. One of the three places
/// where exceptions are caught.
/// </summary>
public sealed partial class WorkflowHost(WorkflowResources have, EndHooks hooks, OperationTraces traces, ILogger<WorkflowHost> log) : IHostedService, IDisposable
{
    readonly TaskFactory _strand = new(
        CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskContinuationOptions.None, new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler);

    readonly ConcurrentDictionary<string, LiveWorkflow> _live = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, Window> _rebootWindows = new(StringComparer.Ordinal);
    readonly CancellationTokenSource _stopping = new();

    /// <summary>So long a stop waits for steps that were told to end.</summary>
    static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);

    public LiveWorkflow? Find(string id) => _live.GetValueOrDefault(id);

    /// <summary>The workflows that run in this process.</summary>
    public IEnumerable<Workflow> Running => _live.Values.Select(l => l.Workflow);

    /// <summary>Completes when a workflow does not run in this process any more: it has ended and its nodes are free, or the server stops.</summary>
    public async Task LeftAsync(string id, CancellationToken cancel)
    {
        while (Find(id) is { } live)
        {
            var changed = live.Changed;
            if (Find(id) is not null)
                await changed.WaitAsync(cancel);
        }
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (var id in have.Runs.Missing())
            if (have.Workflows.Find(id) is { } ended)
                Count(ended.Workflow);
        foreach (var stored in have.Workflows.Running())
        {
            var workflow = stored.Workflow;
            var fence = have.Workflows.TakeOver(workflow.Id);
            have.Boots.Restore(workflow.Id, workflow.NodeNames);
            var journal = have.Journal.Read(workflow.Id);
            LogResumed(workflow.Id, journal.Length);
            var fold = new OperationFold(workflow);
            foreach (var entry in journal)
                fold.Apply(entry);
            if (have.OutOfUse.Stopped() is { } stop)
                await EndAsync(fold, fence, stop, cancellationToken);
            else
                Launch(fold, fence);
        }
    }

    /// <summary>Returns when nothing works on a node or on the store any more; what runs stays as the journal has it.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        var left = Task.WhenAll(_live.Values.Select(l => l.Run));
        // The host's own time may be used up by requests.
        if (await Task.WhenAny(left, Task.Delay(StopPatience, have.Clock, CancellationToken.None)) != left)
            LogLeftBehind(string.Join(", ", _live.Keys));
    }

    public void Dispose() => _stopping.Dispose();

    /// <summary>Begins a workflow that is already durable.</summary>
    public void Start(Workflow workflow, long fence)
    {
        // A reboot recognises the system by the host key of the deployment that brought it.
        if (workflow.Kind == WorkflowKind.Reboot)
            have.Nodes.SetFacts(workflow.Id, workflow.NodeNames.SelectMany(n => have.Nodes.RecentFacts(n, "hostKey", workflow.Id).Take(1).Select(key => (n, "hostKey", key))));
        Launch(new OperationFold(workflow), fence);
    }

    /// <param name="why">What its unfinished nodes are told; null when a person just wished it.</param>
    public bool Cancel(string id, string by, Fault? why = null)
    {
        if (Find(id) is not { } live)
            return false;
        live.Runner.Cancel(by, why);
        return true;
    }

    void Launch(OperationFold fold, long fence)
    {
        var workflow = fold.Workflow;
        var progress = new LiveProgress(have.Clock);
        var roster = workflow.Cluster.Nodes;
        var agents = new AgentPort(workflow, have.Hub, have.Keys, have.Secrets.DiskKeys, have.Nodes, have.Logs, progress, have.Files, have.Clock);
        var world = new Engine.Ports.World(
            have.Clock,
            new PowerControl(roster, have.Clock, have.Drivers.For, node => have.Hub.HasCheckedIn(workflow.Id, node)),
            new BootPort(workflow, have.Boots),
            new PresencePort(workflow.Id, roster, have.Hub, have.Boots, have.Nodes, new DeployedAddresses(workflow, have.Site.Configuration.Vlan, have.Clock), have.Clock),
            agents,
            new Broadcasts(new BroadcastParts(workflow, agents, have.Hub, have.Source, have.Address, have.Files, have.Secrets, have.Torrents, have.TorrentTools)).Of,
            new SystemsPort(workflow, have.Site, have.Keys, have.Directory, have.Boots, have.Hub, have.Nodes, have.Clock)) { Network = new VlanPort(roster, have.Site.Configuration.Vlan, have.Clock) };
        var windows = new Engine.Automata.Windows(
            _rebootWindows.GetOrAdd(workflow.Cluster.Name, _ => new Window(workflow.Cluster.RebootWindow)),
            new Window(Planner.AgentWindow), new Window(Planner.WaitingWindow), new Window(Planner.SystemWindow));
        var live = new LiveWorkflow(workflow, new Runner(workflow.Id, fence, world, windows, have.Journal), progress);
        _live[workflow.Id] = live;
        live.Run = _strand.StartNew(() => RunAsync(live, fence, fold), CancellationToken.None).Unwrap();
    }

    async Task RunAsync(LiveWorkflow live, long fence, OperationFold fold)
    {
        var workflow = live.Workflow;
        try
        {
            var turns = fold.LastSeq == 0
                ? live.Runner.StartAsync(fold.Plan, fold.Roster.All, _stopping.Token)
                : live.Runner.ResumeAsync(fold.Automaton, fold.LastSeq, _stopping.Token);
            await foreach (var turn in turns)
            {
                fold.Apply(turn.Entry);
                Note(workflow, turn);
                live.Signal();
            }
            if (_stopping.IsCancellationRequested)
                return;
            have.Boots.Forget(workflow.Id);
            // Before the end is seen, so that whoever sees it finds the statistics; beside the strand, because it reads the whole journal.
            await Task.Run(() => Count(workflow), CancellationToken.None);
            if (!have.Workflows.End(workflow.Id, fold.State, fence, have.Clock.GetUtcNow()))
                LogFenced(workflow.Id, fence);
            else
                Tell(workflow.Id);
            LogEnded(workflow.Id, fold.State, fold.Automaton.Ok.Count, fold.Automaton.Ko.Count, live.Runner.OwnTime.TotalMilliseconds);
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
        }
        catch (Exception bug)
        {
            // The workflow stays 'Running' in the store: the next start of the server takes it up from its journal.
            LogCrashed(bug, workflow.Id);
        }
        finally
        {
            if (_stopping.IsCancellationRequested)
                await live.Runner.QuietAsync();
            _live.TryRemove(workflow.Id, out _);
            live.Signal();
        }
    }

    /// <summary>Ends a workflow that the last process left, without any of its steps: everything is stopped.</summary>
    async Task EndAsync(OperationFold fold, long fence, OutOfUse stop, CancellationToken cancel)
    {
        var workflow = fold.Workflow;
        var entries = ImmutableArray.CreateBuilder<JournalEntry>();
        if (fold.LastSeq == 0)
            entries.Add(new JournalEntry(1, have.Clock.GetUtcNow(), new EngineEvent.Started(fold.Roster.All)));
        entries.Add(new JournalEntry(fold.LastSeq + entries.Count + 1, have.Clock.GetUtcNow(), new EngineEvent.Cancelled(stop.By, NodeUse.Stopped(stop))));
        await have.Journal.AppendAsync(workflow.Id, entries.ToImmutable(), cancel);
        foreach (var entry in entries)
        {
            var (after, decisions) = fold.Automaton.Apply(entry.Event);
            fold.Apply(entry);
            Note(workflow, new WorkflowTurn(entry, decisions, after));
        }
        have.Boots.Forget(workflow.Id);
        Count(workflow);
        have.Workflows.End(workflow.Id, fold.State, fence, have.Clock.GetUtcNow());
        Tell(workflow.Id);
    }

    void Tell(string ended)
    {
        hooks.Begin(ended);
        traces.Begin(ended);
    }

    void Count(Workflow workflow) => have.Runs.Add(RunFold.Of(workflow, have.Journal.Read(workflow.Id)));

    void Note(Workflow workflow, WorkflowTurn turn)
    {
        var states = NodeNotes.Of(workflow, turn, have.Nodes.States).ToArray();
        if (states.Length > 0)
            have.Nodes.SetStates(states);
    }

    [LoggerMessage(3001, LogLevel.Information, "{Workflow} resumed after {Entries} journal entries")]
    partial void LogResumed(string workflow, int entries);

    [LoggerMessage(3002, LogLevel.Information, "{Workflow} ended {State}: {Ok} ok, {Ko} failed; the engine's own share was {OwnMilliseconds:0} ms")]
    partial void LogEnded(string workflow, WorkflowState state, int ok, int ko, double ownMilliseconds);

    [LoggerMessage(3003, LogLevel.Critical, "{Workflow} stopped by an unexpected exception; the next start takes it up")]
    partial void LogCrashed(Exception exception, string workflow);

    [LoggerMessage(3004, LogLevel.Error, "{Workflow} ended under fence {Fence}, which is no longer the newest")]
    partial void LogFenced(string workflow, long fence);

    [LoggerMessage(3006, LogLevel.Warning, "the server stops while steps of {Workflows} still end")]
    partial void LogLeftBehind(string workflows);
}
