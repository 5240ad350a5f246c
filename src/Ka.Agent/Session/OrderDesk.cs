using System.Collections.Immutable;
using Ka.Agent.Orders;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Session;

/// <summary>Carries out an order.</summary>
delegate Task<OrderOutcome> Execute(AgentOrder order, Report report, CancellationToken cancel);

/// <summary>
/// The orders of this boot. The same id is the same order: it runs once, and its result is kept and sent again. Orders run on while the link
/// is down; results wait until they are sent.
/// </summary>
sealed class OrderDesk(Execute execute)
{
    /// <summary>Results kept; the oldest that was sent is forgotten first.</summary>
    public const int Limit = 1000;

    /// <summary>How long a jump waits for its result to reach the server.</summary>
    public static readonly TimeSpan FarewellPatience = TimeSpan.FromSeconds(15);

    readonly Lock _gate = new();
    readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    readonly Queue<string> _ages = new();
    TaskCompletionSource _news = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Flushes and closes the link before a jump; set by the link.</summary>
    public Func<Task>? Farewell { get; set; }

    /// <summary>Lets a reception that is under way ask others.</summary>
    public Action<SourcesChanged>? Turn { get; init; }

    /// <summary>Starts an order, or prepares its result for sending once more.</summary>
    public void Take(OrderGiven given)
    {
        Entry entry;
        lock (_gate)
        {
            if (_entries.TryGetValue(given.Id, out var known))
            {
                (known.Sent, known.AskedAgain) = (false, true);
                Announce();
                return;
            }
            entry = new Entry(given);
            _entries.Add(given.Id, entry);
            _ages.Enqueue(given.Id);
            Forget();
        }
        _ = Run(entry);
    }

    public void Cancel(string id)
    {
        Entry? entry;
        lock (_gate)
        {
            entry = _entries.GetValueOrDefault(id);
        }
        entry?.Cancel.Cancel();
    }

    /// <summary>Results that wait to be sent, and the latest progress of each running order since the last call.</summary>
    public ImmutableArray<AgentMessage> Outgoing()
    {
        var messages = ImmutableArray.CreateBuilder<AgentMessage>();
        lock (_gate)
        {
            _news = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            foreach (var entry in _entries.Values)
            {
                if (entry.Result is { } result && !entry.Sent)
                {
                    messages.Add(result);
                    entry.AskedAgain = false;
                }
                else if (entry.Result is null && entry.Progress is { } progress)
                {
                    messages.Add(progress);
                    entry.Progress = null;
                }
            }
        }
        return messages.ToImmutable();
    }

    /// <summary>A result has gone out. If it was asked for again since it was taken out, that is still to be answered.</summary>
    public void Sent(string id)
    {
        lock (_gate)
        {
            if (_entries.TryGetValue(id, out var entry))
            {
                entry.Sent = !entry.AskedAgain;
                entry.Delivered.TrySetResult();
            }
        }
    }

    /// <summary>Completes when a result waits to be sent.</summary>
    public Task News()
    {
        lock (_gate)
        {
            return _entries.Values.Any(e => e.Result is not null && !e.Sent) ? Task.CompletedTask : _news.Task;
        }
    }

    async Task Run(Entry entry)
    {
        var id = entry.Given.Id;
        var deadline = TimeSpan.FromSeconds(Math.Clamp(entry.Given.DeadlineSeconds, 1, 7 * 24 * 3600));
        var outcome = await Task.Run(() => Outcome(entry, deadline));
        lock (_gate)
        {
            entry.Result = Result(id, outcome);
            Announce();
        }
        if (outcome is { Fault: null, Afterwards: { } afterwards })
        {
            await Task.WhenAny(entry.Delivered.Task, Task.Delay(FarewellPatience));
            if (Farewell is { } farewell)
            {
                await farewell();
            }
            await afterwards();
        }
    }

    async Task<OrderOutcome> Outcome(Entry entry, TimeSpan deadline)
    {
        using var late = new CancellationTokenSource(deadline);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(late.Token, entry.Cancel.Token);
        try
        {
            return await execute(entry.Given.Order, Note, both.Token);
        }
        catch (OperationCanceledException) when (both.IsCancellationRequested)
        {
            return entry.Cancel.IsCancellationRequested
                ? Fault.Of(FaultCodes.OperationCancelled, "The order was cancelled.")
                : Fault.Of(FaultCodes.StepTimeout, $"The node did not finish within {deadline.TotalSeconds:0} s.", entry.LastPhase);
        }
        catch (Exception e)
        {
            // The agent's Main: a bug in one order must not end the agent.
            return Fault.Of(FaultCodes.StepCrashed, "The agent met an unexpected exception.", e.ToString());
        }

        void Note(string phase, long done, long? total, long bytesIn, long bytesOut, RingSeen? ring)
        {
            lock (_gate)
            {
                entry.LastPhase = phase;
                entry.Progress = new AgentProgress(entry.Given.Id, phase, done, total, bytesIn, bytesOut) { Ring = ring };
            }
        }
    }

    static AgentResult Result(string id, OrderOutcome outcome) => new(
        id,
        outcome.Fault is { } fault ? new AgentFault(fault.Code.Text, fault.Message, fault.Evidence) : null,
        outcome.Tool?.ExitCode,
        outcome.Tool?.Output,
        outcome.Tool?.Errors,
        outcome.Values);

    void Announce() => _news.TrySetResult();

    void Forget()
    {
        for (var tries = _ages.Count; _entries.Count > Limit && tries > 0; tries--)
        {
            var id = _ages.Dequeue();
            if (_entries[id] is { Result: not null, Sent: true })
            {
                _entries.Remove(id);
            }
            else
            {
                _ages.Enqueue(id);
            }
        }
    }

    sealed class Entry(OrderGiven given)
    {
        public OrderGiven Given { get; } = given;

        public CancellationTokenSource Cancel { get; } = new();

        public TaskCompletionSource Delivered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public AgentProgress? Progress { get; set; }

        public string? LastPhase { get; set; }

        public AgentResult? Result { get; set; }

        public bool Sent { get; set; }

        /// <summary>Since the result was last taken out for sending.</summary>
        public bool AskedAgain { get; set; }
    }
}
