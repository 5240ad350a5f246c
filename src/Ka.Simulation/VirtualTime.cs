namespace Ka.Simulation;

/// <summary>A clock that moves only when told to; timers fire in order of due time, then of creation. Any thread may ask it and arm timers.</summary>
public sealed class VirtualTime : TimeProvider
{
    readonly Lock _gate = new();
    readonly PriorityQueue<VirtualTimer, (long Due, long Order)> _timers = new();
    long _now;
    long _order;
    long _wallAhead;

    public TimeSpan Elapsed => TimeSpan.FromTicks(GetTimestamp());

    /// <summary>Whether somebody waits for this clock.</summary>
    public bool IsAwaited
    {
        get
        {
            lock (_gate)
                return NextArmed() is not null;
        }
    }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Volatile.Read(ref _now);

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(GetTimestamp() + Volatile.Read(ref _wallAhead));

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new VirtualTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Somebody sets the wall clock: neither timestamps nor timers move.</summary>
    public void SetWallForward(TimeSpan step) => Interlocked.Add(ref _wallAhead, step.Ticks);

    /// <summary>The process is stopped and goes on: time has passed, and what was due meanwhile fires only now.</summary>
    public void Suspend(TimeSpan length) => Interlocked.Add(ref _now, length.Ticks);

    /// <summary>Moves the clock to the next timer and fires it. False when none is armed.</summary>
    public bool FireNext()
    {
        TimerCallback callback;
        object? state;
        lock (_gate)
        {
            if (NextArmed() is not { } timer)
                return false;
            _timers.TryDequeue(out _, out var at);
            _now = Math.Max(_now, at.Due);
            (callback, state) = timer.Fired();
        }
        callback(state);
        return true;
    }

    /// <summary>The timer that is due first; stays in the queue. Called under the lock.</summary>
    VirtualTimer? NextArmed()
    {
        while (_timers.TryPeek(out var timer, out var at))
        {
            if (timer.Order == at.Order)
                return timer;
            _timers.Dequeue(); // changed or disposed since it was queued
        }
        return null;
    }

    /// <summary>Its state is guarded by the clock's lock.</summary>
    sealed class VirtualTimer(VirtualTime clock, TimerCallback callback, object? state) : ITimer
    {
        TimeSpan _period;
        object? _state = state;

        /// <summary>Order of the armed due time, -1 when not armed.</summary>
        public long Order { get; private set; } = -1;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock._gate)
            {
                Order = -1;
                _period = period;
                if (dueTime == Timeout.InfiniteTimeSpan)
                    return true;
                Order = clock._order++;
                clock._timers.Enqueue(this, (clock._now + dueTime.Ticks, Order));
                return true;
            }
        }

        /// <summary>It is no longer armed, or for its next period. What is to be called now.</summary>
        public (TimerCallback, object?) Fired()
        {
            Order = -1;
            if (_period > TimeSpan.Zero)
                Change(_period, _period);
            return (callback, _state);
        }

        /// <summary>Its place in the queue stays until it would be due; what it would have called goes now.</summary>
        public void Dispose()
        {
            lock (clock._gate)
                (Order, _state) = (-1, null);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return default;
        }
    }
}
