namespace Ka.Simulation;

/// <summary>
/// One thread, one run queue, one virtual clock. Time moves only when nobody has anything left to do, so a run depends on its
/// seed alone. A continuation that comes from another thread ends the simulation with the reason.
/// </summary>
public sealed class VirtualStrand : SynchronizationContext
{
    readonly Queue<(SendOrPostCallback Callback, object? State)> _ready = new();
    readonly int _thread = Environment.CurrentManagedThreadId;
    readonly Lock _gate = new();
    volatile bool _escaped;

    VirtualStrand()
    {
    }

    public VirtualTime Clock { get; } = new();

    public override void Post(SendOrPostCallback d, object? state)
    {
        if (Environment.CurrentManagedThreadId != _thread)
            _escaped = true;
        lock (_gate)
            _ready.Enqueue((d, state));
    }

    public override void Send(SendOrPostCallback d, object? state) => d(state);

    /// <summary>Runs asynchronous work to its end in virtual time.</summary>
    /// <exception cref="InvalidOperationException">Something left the strand, or everything waits and no timer is armed.</exception>
    public static (T Result, TimeSpan Elapsed) Run<T>(Func<VirtualTime, Task<T>> body)
    {
        var strand = new VirtualStrand();
        var previous = Current;
        SetSynchronizationContext(strand);
        try
        {
            var work = body(strand.Clock);
            while (!work.IsCompleted)
                strand.Turn();
            return (work.GetAwaiter().GetResult(), strand.Clock.Elapsed);
        }
        finally
        {
            SetSynchronizationContext(previous);
        }
    }

    void Turn()
    {
        if (_escaped)
            throw new InvalidOperationException("a continuation came from another thread: somebody left the strand (Task.Run, ConfigureAwait(false), real input or output)");
        (SendOrPostCallback Callback, object? State) work;
        bool any;
        lock (_gate)
            any = _ready.TryDequeue(out work);
        if (any)
            work.Callback(work.State);
        else if (!Clock.FireNext())
            throw new InvalidOperationException("nothing is ready and no timer is armed: something waits for the real world");
    }
}
