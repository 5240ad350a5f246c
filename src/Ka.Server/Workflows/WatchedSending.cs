using System.Collections.Immutable;
using Ka.Broadcast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Server.Workflows;

/// <summary>A chain or tree whose nodes are watched: who holds the others back is named, and stands aside or is ended as the cluster's rules say.</summary>
sealed class WatchedSending : ISending
{
    static readonly TimeSpan Period = TimeSpan.FromMilliseconds(200);

    readonly Delivery _delivery;
    readonly StragglerWatch _watch;
    readonly TimeProvider _clock;
    readonly long _start;
    readonly object _gate = new();
    readonly CancellationTokenSource _stop = new();
    readonly (CancellationTokenSource? Stop, Fault? Fault, string? Slow)[] _nodes;
    readonly Task _watching;

    public WatchedSending(Delivery delivery)
    {
        (_delivery, _clock) = (delivery, delivery.Parts.Agents.Clock);
        _watch = new StragglerWatch(delivery.Peers, delivery.Links, delivery.Parts.Workflow.Cluster.Broadcast.Stragglers);
        _nodes = new (CancellationTokenSource?, Fault?, string?)[delivery.Order.Length];
        _start = _clock.GetTimestamp();
        _watching = WatchAsync();
    }

    public (ReceiveImage?, Fault?) For(int index, int place, ReceiveImage plain) => (plain, null);

    public async Task<Fault?> FollowAsync(int place, Func<Action<AgentProgress>?, CancellationToken, Task<Fault?>> give, CancellationToken cancel)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        lock (_gate)
            _nodes[place].Stop = stop;
        try
        {
            return await give(p => See(place, p), stop.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested && _nodes[place].Fault is not null)
        {
            return _nodes[place].Fault;
        }
        finally
        {
            lock (_gate)
            {
                _nodes[place].Stop = null;
                _watch.Ended(place);
            }
        }
    }

    void See(int place, AgentProgress progress)
    {
        if (progress is not { Ring: { } ring, Total: { } total })
            return;
        lock (_gate)
            _watch.Report(place, new ChainProgress(total, progress.BytesIn, progress.BytesOut, progress.Done, ring.Written, ring.Held, ring.Upstream, 0, 0) { RingCapacity = ring.Capacity }, _clock.GetElapsedTime(_start));
    }

    async Task WatchAsync()
    {
        try
        {
            using var timer = new PeriodicTimer(Period, _clock);
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                StragglerAdvice advice;
                lock (_gate)
                    advice = _watch.Look(_clock.GetElapsedTime(_start));
                foreach (var (step, who) in advice.Steps)
                    Take(step, who);
                await TellAsync(advice.Orders);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // the last node has ended
        }
    }

    void Take(StragglerStep step, Straggler who)
    {
        var node = _delivery.Parts.Roster[_delivery.Order[who.Place]];
        var words = _nodes[who.Place].Slow = step.Words(who, _nodes[who.Place].Slow);
        _delivery.Parts.Agents.SaySlow(node, _delivery.Word, words);
        if (step == StragglerStep.Evict)
        {
            lock (_gate)
            {
                _nodes[who.Place].Fault = Fault.Of(FaultCodes.BroadcastStraggler, $"It was slow even when it was served alone: {who}.");
                _nodes[who.Place].Stop?.Cancel();
            }
        }
    }

    Task TellAsync(ImmutableArray<(int Place, ImmutableArray<ChainPeer> Upstreams)> orders) => Task.WhenAll(orders.Select(r => _delivery.Parts.Agents.TurnAsync(
        _delivery.Parts.Roster[_delivery.Order[r.Place]], new SourcesChanged(_delivery.Key, [.. r.Upstreams.Select(Delivery.Address)]), _stop.Token)));

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watching;
        _stop.Dispose();
    }
}
