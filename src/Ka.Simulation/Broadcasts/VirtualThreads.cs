using System.Diagnostics;

namespace Ka.Simulation.Broadcasts;

/// <summary>Unwinds a thread of a machine that has died, or of a simulation that is over.</summary>
sealed class ThreadEnded : Exception;

/// <summary>
/// Threads that run one at a time in virtual time. Whoever must wait hands the baton to the next that can run, in the order in which they
/// became able to; when none can, the clock jumps to the next event. So one seed gives one order of everything.
/// </summary>
sealed class VirtualThreads
{
    /// <summary>A thread of the simulation: a thread of the system that runs only while it has the baton.</summary>
    public sealed class Strand(object owner, string name)
    {
        internal AutoResetEvent Baton { get; } = new(false);

        internal long WaitNumber { get; set; }

        internal bool Waits { get; set; }

        internal bool Woken { get; set; }

        public object Owner => owner;

        public string Name => name;
    }

    readonly PriorityQueue<Action, (long Due, long Order)> _events = new();
    readonly Queue<Strand> _ready = new();
    readonly List<Strand> _strands = [];
    readonly HashSet<object> _dead = [];
    readonly Dictionary<object, List<Strand>> _gates = [];
    readonly OneProcessor _processor = new();
    readonly Strand _outside = new(new object(), "outside");
    Strand? _current;
    Exception? _broken;
    long _order;
    long _limit;
    bool _over;

    /// <summary>Nanoseconds since the beginning.</summary>
    public long Now { get; private set; }

    public TimeSpan Elapsed => TimeSpan.FromTicks(Now / 100);

    /// <summary>How often the baton was handed on; a measure of the work done.</summary>
    public long Turns { get; private set; }

    public static long Nanoseconds(TimeSpan span) => span.Ticks * 100;

    /// <summary>Does something at a moment; on no thread's behalf, so it must not wait.</summary>
    public void At(long moment, Action act) => _events.Enqueue(act, (Math.Max(moment, Now), _order++));

    public void Start(object owner, string name, int stackBytes, Action run)
    {
        var strand = new Strand(owner, name);
        _strands.Add(strand);
        new Thread(() => Live(strand, run), Math.Max(stackBytes, 256 * 1024)) { IsBackground = true, Name = name }.Start();
        _ready.Enqueue(strand);
    }

    /// <summary>Lets <see cref="Run"/> return at the next wait.</summary>
    public void Stop() => _limit = -1;

    /// <summary>Runs until nothing can happen any more, until <see cref="Stop"/>, or until the given moment; then ends every thread that is left.</summary>
    public void Run(TimeSpan limit)
    {
        _limit = Nanoseconds(limit);
        PassOn(null);
        _outside.Baton.WaitOne();
        _over = true;
        foreach (var strand in _strands.ToArray())
        {
            Unwind(strand);
        }
        if (_broken is not null)
        {
            throw new InvalidOperationException("a thread of the simulation broke", _broken);
        }
    }

    /// <summary>Lets the calling thread wait until it is woken (true) or the moment has come (false).</summary>
    public bool Wait(long until)
    {
        var me = Me();
        me.Waits = true;
        me.Woken = false;
        var number = ++me.WaitNumber;
        if (until != long.MaxValue)
        {
            At(until, () =>
            {
                if (me.Waits && me.WaitNumber == number)
                {
                    Ready(me);
                }
            });
        }
        PassOn(me);
        if (_over || _dead.Contains(me.Owner))
        {
            throw new ThreadEnded();
        }
        return me.Woken;
    }

    public void Sleep(TimeSpan span) => Wait(Now + Nanoseconds(span));

    /// <summary>The calling thread.</summary>
    public Strand Me()
    {
        var me = _current ?? throw new InvalidOperationException("only a thread of the simulation can wait in it");
        return _over || _dead.Contains(me.Owner) ? throw new ThreadEnded() : me;
    }

    public void Wake(Strand strand)
    {
        if (strand.Waits)
        {
            strand.Woken = true;
            Ready(strand);
        }
    }

    /// <summary>As <see cref="Monitor.Wait(object)"/>.</summary>
    public bool WaitAt(object gate, long until)
    {
        var me = Me();
        if (!_gates.TryGetValue(gate, out var waiting))
        {
            _gates[gate] = waiting = [];
        }
        waiting.Add(me);
        Monitor.Exit(gate);
        try
        {
            return Wait(until);
        }
        finally
        {
            Monitor.Enter(gate);
            waiting.Remove(me);
        }
    }

    public void PulseAll(object gate)
    {
        if (_gates.TryGetValue(gate, out var waiting))
        {
            waiting.ForEach(Wake);
        }
    }

    /// <summary>Ends all threads of an owner at their present wait; the caller may be one of them.</summary>
    public void End(object owner)
    {
        _dead.Add(owner);
        foreach (var strand in _strands)
        {
            if (strand.Owner == owner && strand.Waits)
            {
                Ready(strand);
            }
        }
    }

    void Live(Strand strand, Action run)
    {
        _processor.Take();
        strand.Baton.WaitOne();
        try
        {
            if (!_over && !_dead.Contains(strand.Owner))
            {
                run();
            }
        }
        catch (ThreadEnded)
        {
            // its machine has died
        }
        catch (Exception e)
        {
            _broken ??= e;
        }
        _strands.Remove(strand);
        if (_over)
        {
            _outside.Baton.Set();
        }
        else
        {
            PassOn(null);
        }
    }

    void Ready(Strand strand)
    {
        strand.Waits = false;
        _ready.Enqueue(strand);
    }

    /// <summary>Hands the baton to whoever is next; returns when <paramref name="me"/> has it again, at once when there is no me.</summary>
    void PassOn(Strand? me)
    {
        var next = Next();
        _current = next;
        if (next == me && me is not null)
        {
            return;
        }
        Turns++;
        if (next is not null)
        {
            next.Baton.Set();
        }
        else
        {
            _outside.Baton.Set();
        }
        me?.Baton.WaitOne();
    }

    Strand? Next()
    {
        while (true)
        {
            if (_broken is null && _limit >= 0 && _ready.TryDequeue(out var strand))
            {
                return strand;
            }
            if (_broken is not null || _limit < 0 || !_events.TryDequeue(out var act, out var at) || at.Due > _limit)
            {
                return null;
            }
            Now = at.Due;
            try
            {
                act();
            }
            catch (Exception e)
            {
                _broken ??= e;
            }
        }
    }

    /// <summary>Lets a thread that still waits see that it is over, and waits for its end.</summary>
    void Unwind(Strand strand)
    {
        _current = strand;
        strand.Baton.Set();
        if (!_outside.Baton.WaitOne(TimeSpan.FromSeconds(30)))
        {
            throw new UnreachableException($"{strand.Name} does not end");
        }
    }
}
