namespace Ka.Engine;

/// <summary>How a set-wide operation is paced: how many at once, and how long each node has from its own turn.</summary>
/// <param name="Window">Shared by all groups of the same kind, so that a limit is one limit.</param>
/// <param name="Deadline">From the node's turn, never from the step's start.</param>
/// <param name="FirstSign">For waiting: how long nothing at all may be seen of the node; null for no such limit.</param>
public sealed record Pace(Window Window, TimeSpan Deadline, TimeProvider Clock, TimeSpan? FirstSign = null);

/// <summary>A counting semaphore in order of arrival that never leaves the strand. Not for several threads: the strand is the lock.</summary>
public sealed class Window(int size)
{
    readonly LinkedList<TaskCompletionSource<bool>> _waiting = new();
    int _free = size > 0 ? size : throw new ArgumentOutOfRangeException(nameof(size), size, "a window holds at least one");

    /// <summary>Waits for a place. Returns false when cancelled first.</summary>
    public async Task<bool> EnterAsync(CancellationToken cancel)
    {
        if (cancel.IsCancellationRequested)
            return false;
        if (_free > 0)
        {
            _free--;
            return true;
        }
        var turn = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var place = _waiting.AddLast(turn);
        await using var registration = cancel.Register(() => turn.TrySetResult(false));
        var entered = await turn.Task;
        if (!entered && place.List is not null)
            _waiting.Remove(place);
        return entered;
    }

    public void Leave()
    {
        while (_waiting.First is { } next)
        {
            _waiting.RemoveFirst();
            if (next.Value.TrySetResult(true))
                return;
        }
        _free++;
    }
}
