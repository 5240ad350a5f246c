namespace Ka.Simulation;

/// <summary>A clock that moves only when told to; timers fire in order of due time, then of creation.</summary>
public sealed class VirtualTime : TimeProvider
{
    readonly PriorityQueue<VirtualTimer, (long Due, long Order)> _timers = new();
    long _now;
    long _order;
    long _wallAhead;

    public TimeSpan Elapsed => TimeSpan.FromTicks(_now);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(_now + _wallAhead);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new VirtualTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Somebody sets the wall clock: neither timestamps nor timers move.</summary>
    public void SetWallForward(TimeSpan step) => _wallAhead += step.Ticks;

    /// <summary>The process is stopped and goes on: time has passed, and what was due meanwhile fires only now.</summary>
    public void Suspend(TimeSpan length) => _now += length.Ticks;

    /// <summary>Moves the clock to the next timer and fires it. False when none is armed.</summary>
    public bool FireNext()
    {
        while (_timers.TryDequeue(out var timer, out var at))
        {
            if (timer.Order != at.Order)
                continue; // changed or disposed since it was queued
            _now = Math.Max(_now, at.Due);
            timer.Fire();
            return true;
        }
        return false;
    }

    sealed class VirtualTimer(VirtualTime clock, TimerCallback callback, object? state) : ITimer
    {
        TimeSpan _period;
        object? _state = state;

        /// <summary>Order of the armed due time, -1 when not armed.</summary>
        public long Order { get; private set; } = -1;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Order = -1;
            _period = period;
            if (dueTime == Timeout.InfiniteTimeSpan)
                return true;
            Order = clock._order++;
            clock._timers.Enqueue(this, (clock._now + dueTime.Ticks, Order));
            return true;
        }

        public void Fire()
        {
            Order = -1;
            if (_period > TimeSpan.Zero)
                Change(_period, _period);
            callback(_state);
        }

        /// <summary>Its place in the queue stays until it would be due; what it would have called goes now.</summary>
        public void Dispose() => (Order, _state) = (-1, null);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return default;
        }
    }
}
