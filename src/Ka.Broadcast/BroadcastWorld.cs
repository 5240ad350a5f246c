using System.Diagnostics;
using System.Net;

namespace Ka.Broadcast;

/// <summary>
/// What the protocol asks of the machine that it runs on: time, threads, waiting and connections. The real one hands every call on as it
/// is; a simulated one lets the same code run in virtual time.
/// </summary>
abstract class BroadcastWorld
{
    public static readonly BroadcastWorld Real = new RealWorld();

    /// <summary>How ends of threads are told to those that await them; the real world tells them on other threads.</summary>
    public abstract TaskCreationOptions Completion { get; }

    /// <summary>Whether its connections are sockets of this machine's kernel, from and to which pages can be moved.</summary>
    public virtual bool HasPipes => false;

    /// <summary>Memory for a ring of this many bytes.</summary>
    public virtual RingStore Memory(int capacity) => new MemoryStore(capacity);

    /// <summary>The present moment, in units of <see cref="Stopwatch.Frequency"/>.</summary>
    public abstract long Now();

    public TimeSpan Since(long moment) => Stopwatch.GetElapsedTime(moment, Now());

    /// <summary>Lets go the lock of the gate until somebody pulses it or the time is over (false).</summary>
    public abstract bool Wait(object gate, TimeSpan patience);

    /// <summary>As <see cref="Wait(object, TimeSpan)"/>, for ever.</summary>
    public abstract void Wait(object gate);

    /// <summary>Wakes all that wait at a gate whose lock the caller holds.</summary>
    public abstract void PulseAll(object gate);

    /// <summary>Begins a background thread.</summary>
    /// <param name="stackBytes">Zero for the default.</param>
    public abstract void Start(string name, int stackBytes, Action run);

    /// <summary>As <see cref="Start"/>, as a task.</summary>
    /// <param name="broken">Called before the task fails.</param>
    public Task Run(string name, Action run, Action? broken = null)
    {
        var done = new TaskCompletionSource(Completion);
        Start(name, stackBytes: 0, () =>
        {
            try
            {
                run();
                done.SetResult();
            }
            catch (Exception e)
            {
                broken?.Invoke();
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <summary>Calls again and again, first after one period, until disposed.</summary>
    public abstract IDisposable Every(TimeSpan period, Action call);

    /// <summary>Connects, or throws <see cref="System.Net.Sockets.SocketException"/>.</summary>
    public abstract Wire Dial(ChainPeer peer, TimeSpan patience);

    /// <summary>Listens, or throws <see cref="System.Net.Sockets.SocketException"/>.</summary>
    /// <param name="port">Zero for any.</param>
    public abstract Door Listen(IPAddress address, int port);

    sealed class RealWorld : BroadcastWorld
    {
        public override TaskCreationOptions Completion => TaskCreationOptions.RunContinuationsAsynchronously;

        public override bool HasPipes => true;

        public override long Now() => Stopwatch.GetTimestamp();

        public override bool Wait(object gate, TimeSpan patience) => Monitor.Wait(gate, patience);

        public override void Wait(object gate) => Monitor.Wait(gate);

        public override void PulseAll(object gate) => Monitor.PulseAll(gate);

        public override void Start(string name, int stackBytes, Action run) =>
            new Thread(() => run(), stackBytes) { IsBackground = true, Name = name }.Start();

        public override IDisposable Every(TimeSpan period, Action call) => new Recurrence(period, call);

        public override Wire Dial(ChainPeer peer, TimeSpan patience) => SocketWire.Dial(peer, patience);

        public override Door Listen(IPAddress address, int port) => new SocketDoor(address, port);
    }

    /// <summary>A thread of its own: a timer wakes two for each call.</summary>
    sealed class Recurrence : IDisposable
    {
        const int StackBytes = 128 * 1024;

        readonly object _gate = new();
        bool _stopped;

        public Recurrence(TimeSpan period, Action call) => Real.Start("every", StackBytes, () =>
        {
            while (Waits(period))
            {
                call();
            }
        });

        bool Waits(TimeSpan period)
        {
            lock (_gate)
            {
                return !_stopped && !Monitor.Wait(_gate, period) && !_stopped;
            }
        }

        public void Dispose()
        {
            lock (_gate)
            {
                _stopped = true;
                Monitor.PulseAll(_gate);
            }
        }
    }
}
