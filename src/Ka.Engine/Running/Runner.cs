using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine.Automata;
using Ka.Engine.Ports;
using Ka.Engine.Steps;

namespace Ka.Engine;

/// <summary>One line of the journal.</summary>
/// <param name="Seq">1, 2, 3 … within the workflow.</param>
public sealed record JournalEntry(long Seq, DateTimeOffset At, EngineEvent Event);

/// <summary>Where events become durable before anything follows from them.</summary>
public interface IJournal
{
    /// <summary>Returns when all entries are on stable storage.</summary>
    Task AppendAsync(string workflow, ImmutableArray<JournalEntry> entries, CancellationToken cancel);
}

/// <summary>One turn of a workflow: what happened, what follows, and the state after it.</summary>
public sealed record WorkflowTurn(JournalEntry Entry, ImmutableArray<Decision> Decisions, Automaton After);

/// <summary>
/// Drives one automaton: events are journalled, then applied, then their decisions carried out through the ports. Everything
/// runs on the caller's strand; the runner has no lock and no clock of its own.
/// </summary>
public sealed class Runner(string workflow, long fence, World world, Windows windows, IJournal journal)
{
    readonly Channel<EngineEvent> _inbox = Channel.CreateUnbounded<EngineEvent>(new UnboundedChannelOptions { SingleReader = true });
    readonly Dictionary<int, CancellationTokenSource> _running = [];
    readonly List<Task> _withdrawals = [];
    TaskCompletionSource? _quiet;
    long? _waitingSince;

    /// <summary>
    /// The engine's own share of the time: from each event's arrival until what follows from it has begun, added up. It contains the
    /// journal's write to stable storage and holds back no node that is at work meanwhile.
    /// </summary>
    public TimeSpan OwnTime { get; private set; }

    /// <summary>Asks for the end of the workflow; may be called from any thread.</summary>
    public void Cancel(string by, Fault? why = null) => _inbox.Writer.TryWrite(new EngineEvent.Cancelled(by, why));

    /// <summary>Runs a new workflow to its end.</summary>
    public IAsyncEnumerable<WorkflowTurn> StartAsync(Plan plan, NodeBits nodes, CancellationToken cancel)
    {
        _inbox.Writer.TryWrite(new EngineEvent.Started(nodes));
        return TurnsAsync(Automaton.For(plan), 0, cancel);
    }

    /// <summary>After the turns were cancelled: completes when no step is at work any more.</summary>
    public async Task QuietAsync()
    {
        if (_running.Count > 0)
            await (_quiet = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        await Task.WhenAll(_withdrawals).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
    }

    /// <summary>Goes on where the journal ended: every group that runs is run again as resumed, every gathering waits anew.</summary>
    public IAsyncEnumerable<WorkflowTurn> ResumeAsync(Automaton state, long lastSeq, CancellationToken cancel)
    {
        foreach (var group in state.Running.Values.OrderBy(g => g.Id))
            Start(group, state.Plan, resumed: true, cancel);
        foreach (var at in state.Gathering.Keys)
            _ = ElapseAsync(at, state.Plan.Gather, cancel);
        if (!state.Ko.IsEmpty && ChoosesBoot(state.Plan))
            _withdrawals.Add(WithdrawAsync(state.Ko, cancel)); // the last process may have died between journal and withdrawal
        return TurnsAsync(state, lastSeq, cancel);
    }

    async IAsyncEnumerable<WorkflowTurn> TurnsAsync(Automaton state, long seq, [EnumeratorCancellation] CancellationToken cancel)
    {
        try
        {
            while (!state.Ended && await _inbox.Reader.WaitToReadAsync(cancel))
            {
                // Taken before the journal's write: what comes during it belongs to the next turn.
                var since = _waitingSince ?? world.Clock.GetTimestamp();
                _waitingSince = null;
                var entries = ImmutableArray.CreateBuilder<JournalEntry>();
                foreach (var happened in Coalesce())
                    entries.Add(new JournalEntry(++seq, world.Clock.GetUtcNow(), happened));
                await journal.AppendAsync(workflow, entries.ToImmutable(), cancel);
                foreach (var entry in entries)
                {
                    (state, var decisions) = state.Apply(entry.Event);
                    foreach (var decision in decisions)
                        Carry(decision, state.Plan, cancel);
                    yield return new WorkflowTurn(entry, decisions, state);
                }
                OwnTime += world.Clock.GetElapsedTime(since);
            }
            await Task.WhenAll(_withdrawals);
        }
        finally
        {
            foreach (var running in _running.Values.ToArray())
                running.Cancel(); // CancelAsync would leave the strand
        }
    }

    /// <summary>Takes all that has come and joins results of one group, so that a set that answers together costs one event.</summary>
    List<EngineEvent> Coalesce()
    {
        var events = new List<EngineEvent>();
        while (_inbox.Reader.TryRead(out var next))
        {
            if (next is EngineEvent.Results b && events is [.., EngineEvent.Results a] && a.Group == b.Group)
                events[^1] = new EngineEvent.Results(a.Group, a.Ok | b.Ok, Join(a.Failed, b.Failed));
            else
                events.Add(next);
        }
        return events;
    }

    static ImmutableArray<NodeFault> Join(ImmutableArray<NodeFault> a, ImmutableArray<NodeFault> b)
    {
        var joined = a.ToBuilder();
        foreach (var fault in b)
        {
            var same = 0;
            while (same < joined.Count && joined[same].Fault != fault.Fault)
                same++;
            if (same == joined.Count)
                joined.Add(fault);
            else
                joined[same] = joined[same] with { Nodes = joined[same].Nodes | fault.Nodes };
        }
        return joined.ToImmutable();
    }

    void Carry(Decision decision, Plan plan, CancellationToken cancel)
    {
        switch (decision)
        {
            case Decision.Run run:
                Start(run.Group, plan, resumed: false, cancel);
                break;
            case Decision.AwaitGather gather:
                _ = ElapseAsync(gather.At, gather.Patience, cancel);
                break;
            case Decision.Abandon abandon:
                foreach (var id in abandon.Groups)
                    if (_running.TryGetValue(id, out var running))
                        running.Cancel();
                break;
            case Decision.Finish { Fault: not null } failed when ChoosesBoot(plan):
                _withdrawals.Add(WithdrawAsync(failed.Nodes, cancel));
                break;
            case Decision.Finish:
                break;
        }
    }

    void Start(NodeGroup group, Plan plan, bool resumed, CancellationToken cancel)
    {
        var source = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        _running.Add(group.Id, source);
        _ = SettleAsync(group, group.At.In(plan), resumed, source);
    }

    async Task SettleAsync(NodeGroup group, MicroStep step, bool resumed, CancellationTokenSource source)
    {
        var left = group.Nodes;
        var run = new StepRun(group.Nodes, new AttemptId(workflow, fence, group.Id, resumed), group.At.Try, windows);
        try
        {
            await foreach (var result in step.RunAsync(world, run, source.Token))
            {
                var node = NodeBits.Of(result.Node);
                left -= node;
                Tell(group, node, result.Fault);
            }
            if (!source.IsCancellationRequested)
                Tell(group, left, Fault.Of(FaultCodes.StepNoResult, $"{step.Name} ended without a result"));
        }
        catch (OperationCanceledException) when (source.IsCancellationRequested)
        {
        }
        catch (Exception bug)
        {
            Tell(group, left, Fault.Of(FaultCodes.StepCrashed, $"{step.Name}: {bug.Message}", bug.ToString()));
        }
        finally
        {
            _running.Remove(group.Id);
            source.Dispose();
            if (_running.Count == 0)
                _quiet?.TrySetResult();
        }
    }

    void Tell(NodeGroup group, NodeBits nodes, Fault? fault)
    {
        if (nodes.IsEmpty)
            return;
        _waitingSince ??= world.Clock.GetTimestamp();
        _inbox.Writer.TryWrite(fault is null
            ? new EngineEvent.Results(group.Id, nodes, [])
            : new EngineEvent.Results(group.Id, NodeBits.Empty, [new NodeFault(nodes, fault)]));
    }

    async Task ElapseAsync(Position at, TimeSpan patience, CancellationToken cancel)
    {
        try
        {
            await Task.Delay(patience, world.Clock, cancel);
            _inbox.Writer.TryWrite(new EngineEvent.GatherElapsed(at));
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <summary>A change of power leaves what the nodes boot as it is.</summary>
    static bool ChoosesBoot(Plan plan) => plan.MacroSteps.Any(m => m.Strategies.Any(s => s.Steps.Any(step => step is ChooseBoot)));

    /// <summary>A failed node must not meet the install profile at its next boot.</summary>
    async Task WithdrawAsync(NodeBits nodes, CancellationToken cancel)
    {
        await foreach (var _ in world.Boot.ChooseAsync(nodes, BootChoice.LocalDisk, new AttemptId(workflow, fence, 0, false), cancel))
        {
        }
    }
}
