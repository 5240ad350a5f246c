using System.Collections.Concurrent;
using Ka.Protocol.Agents;

namespace Ka.Server.Workflows;

/// <summary>How far a node's transfer is.</summary>
/// <param name="BytesPerSecond">Over the time since the phase began.</param>
public sealed record TransferState(string Phase, long Done, long? Total, double BytesPerSecond)
{
    /// <summary>How it held the others back; null when it did not.</summary>
    public string? Slow { get; init; }
}

/// <summary>The newest progress of every node of a workflow. Not journalled: it is gone after a restart and comes again by itself.</summary>
sealed class LiveProgress(TimeProvider clock)
{
    readonly ConcurrentDictionary<string, (TransferState State, long Since, long From)> _nodes = new(StringComparer.Ordinal);

    public void Report(string node, AgentProgress progress)
    {
        var now = clock.GetTimestamp();
        _nodes.AddOrUpdate(
            node,
            _ => (new TransferState(progress.Phase, progress.Done, progress.Total, 0), now, progress.Done),
            (_, old) =>
            {
                if (old.State.Phase != progress.Phase)
                    return (new TransferState(progress.Phase, progress.Done, progress.Total, 0) { Slow = old.State.Slow }, now, progress.Done);
                var seconds = clock.GetElapsedTime(old.Since, now).TotalSeconds;
                var rate = seconds > 0.2 ? (progress.Done - old.From) / seconds : old.State.BytesPerSecond;
                return (old.State with { Done = progress.Done, Total = progress.Total, BytesPerSecond = rate }, old.Since, old.From);
            });
    }

    public void Slow(string node, string how)
    {
        if (_nodes.TryGetValue(node, out var live))
            _nodes.TryUpdate(node, live with { State = live.State with { Slow = how } }, live);
    }

    public void Clear(string node) => _nodes.TryRemove(node, out _);

    public TransferState? Of(string node) => _nodes.TryGetValue(node, out var live) ? live.State : null;
}
