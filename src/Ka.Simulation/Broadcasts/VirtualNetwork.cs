using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Broadcast;

namespace Ka.Simulation.Broadcasts;

/// <summary>What all links of a simulated network have in common.</summary>
/// <param name="BitsPerSecond">Of each machine's one network card, in each direction.</param>
/// <param name="Latency">From any card to any other.</param>
/// <param name="Loss">Share of segments that come late because they had to be sent again.</param>
/// <param name="Resend">How late those come.</param>
/// <param name="SegmentBytes">What a card sends of one connection before it turns to the next.</param>
/// <param name="WindowBytes">What a connection takes before its receiver has read it.</param>
public sealed record NetworkShape(
    double BitsPerSecond, TimeSpan Latency, double Loss = 0, TimeSpan Resend = default, int SegmentBytes = 64 * 1024, int WindowBytes = 1024 * 1024);

/// <summary>How a machine goes away.</summary>
public enum Death
{
    /// <summary>Its processes end: connections are reset, new ones refused.</summary>
    Reset,

    /// <summary>It loses power: nothing more comes from it, not even a refusal.</summary>
    Silence,
}

/// <summary>Machines with one network card each, all connected to all, in virtual time.</summary>
sealed class VirtualNetwork(NetworkShape shape, ulong seed)
{
    const ulong Prime = 1099511628211;

    readonly Dictionary<string, VirtualHost> _hosts = new(StringComparer.Ordinal);
    readonly Random _luck = new(unchecked((int)(seed ^ (seed >> 32))));

    public VirtualThreads Threads { get; } = new();

    public NetworkShape Shape => shape;

    /// <summary>A number over all that has arrived where and when: the same for the same seed.</summary>
    public ulong Trace { get; private set; } = 14695981039346656037;

    public VirtualHost Add(string name) => _hosts[name] = new VirtualHost(this, name, _hosts.Count);

    public VirtualHost? Find(string name) => _hosts.GetValueOrDefault(name);

    public long Latency => VirtualThreads.Nanoseconds(shape.Latency);

    /// <summary>What this segment loses by being lost.</summary>
    public long LossDelay() => shape.Loss > 0 && _luck.NextDouble() < shape.Loss ? VirtualThreads.Nanoseconds(shape.Resend) : 0;

    public void Note(int host, int bytes) => Trace = unchecked(((((Trace ^ (ulong)Threads.Now) * Prime) ^ (ulong)host) * Prime ^ (ulong)bytes) * Prime);
}

/// <summary>A machine of the simulated network: the world of the protocol code that runs on it.</summary>
sealed class VirtualHost(VirtualNetwork network, string name, int number) : BroadcastWorld
{
    readonly VirtualThreads _threads = network.Threads;
    readonly Dictionary<int, VirtualDoor> _doors = [];
    readonly HashSet<VirtualWire> _wires = [];
    readonly LinkedList<VirtualWire> _sending = new();
    bool _cardBusy;
    long _downFree;
    long _stalledUntil;

    public VirtualNetwork Network => network;

    public string Name => name;

    public int Number => number;

    public bool IsAlive { get; private set; } = true;

    /// <summary>Dead, and not even its kernel answers.</summary>
    public bool IsSilent { get; private set; }

    /// <summary>Its card's speed against the others'.</summary>
    public double Speed { get; set; } = 1;

    /// <summary>Place in every connection's outgoing bytes where a bit is flipped.</summary>
    public long FlipsAt { get; set; } = -1;

    public BitFlips? WireFlips { get; set; }

    public BitFlips? RingFlips { get; set; }

    public long BytesSent { get; private set; }

    public override TaskCreationOptions Completion => TaskCreationOptions.None;

    public override long Now() => Stopwatch.Frequency == 1_000_000_000 ? _threads.Now : (long)(_threads.Now * (Stopwatch.Frequency / 1e9));

    public override RingStore Memory(int capacity) => RingFlips is { } flips ? new RottingStore(capacity, flips) : base.Memory(capacity);

    public override bool Wait(object gate, TimeSpan patience) => _threads.WaitAt(gate, _threads.Now + VirtualThreads.Nanoseconds(patience));

    public override void Wait(object gate) => _threads.WaitAt(gate, long.MaxValue);

    public override void PulseAll(object gate) => _threads.PulseAll(gate);

    public override void Start(string name, int stackBytes, Action run) => _threads.Start(this, $"{Name} {name}", stackBytes, run);

    public override IDisposable Every(TimeSpan period, Action call)
    {
        var beating = new Beating();
        Start("timer", 0, () =>
        {
            _threads.Sleep(period);
            while (!beating.IsOver)
            {
                call();
                _threads.Sleep(period);
            }
        });
        return beating;
    }

    public override Wire Dial(ChainPeer peer, TimeSpan patience)
    {
        var host = network.Find(peer.Host) ?? throw new SocketException((int)SocketError.HostNotFound);
        _threads.Sleep(TimeSpan.FromTicks(Math.Max(1, 2 * network.Shape.Latency.Ticks)));
        if (host.IsSilent)
        {
            _threads.Sleep(patience);
            throw new SocketException((int)SocketError.TimedOut);
        }
        if (!host._doors.TryGetValue(peer.Port, out var door))
        {
            throw new SocketException((int)SocketError.ConnectionRefused);
        }
        var mine = new VirtualWire(this, peer.ToString());
        var theirs = new VirtualWire(host, $"{Name}:0", isServing: true);
        (mine.Other, theirs.Other) = (theirs, mine);
        _wires.Add(mine);
        host._wires.Add(theirs);
        door.Enter(theirs);
        return mine;
    }

    public override Door Listen(IPAddress address, int port)
    {
        var chosen = port > 0 ? port : 1 + _doors.Count;
        return _doors[chosen] = new VirtualDoor(_threads, chosen, () => _doors.Remove(chosen));
    }

    public void Die(Death death)
    {
        foreach (var wire in _wires.Where(_ => death == Death.Reset))
        {
            wire.SendReset();
        }
        IsAlive = false;
        IsSilent = death == Death.Silence;
        _threads.End(this);
        _doors.Clear();
        _sending.Clear();
        _wires.Clear();
    }

    public void Forget(VirtualWire wire)
    {
        _wires.Remove(wire);
        _sending.Remove(wire);
    }

    /// <summary>A connection has something to send: the card takes one segment of each in turn.</summary>
    public void Queue(VirtualWire wire)
    {
        if (!IsAlive)
        {
            return;
        }
        _sending.AddLast(wire);
        Pump();
    }

    /// <summary>Nothing leaves this machine for a while.</summary>
    public void Stall(TimeSpan span)
    {
        _stalledUntil = _threads.Now + VirtualThreads.Nanoseconds(span);
        _threads.At(_stalledUntil, Pump);
    }

    void Pump()
    {
        if (_cardBusy || _threads.Now < _stalledUntil || !IsAlive || _sending.First is not { } first)
        {
            return;
        }
        _sending.RemoveFirst();
        var wire = first.Value;
        var segment = wire.TakeSegment();
        if (wire.HasMore)
        {
            _sending.AddLast(wire);
        }
        BytesSent += segment.Bytes.Length;
        _cardBusy = true;
        _threads.At(_threads.Now + Duration(segment.Bytes.Length), () =>
        {
            _cardBusy = false;
            if (IsAlive)
            {
                wire.Travel(segment);
            }
            Pump();
        });
    }

    /// <summary>When what arrives at a moment has passed this machine's card, which takes one thing after the other.</summary>
    public long Arrival(long moment, int bytes)
    {
        var duration = Duration(bytes);
        return _downFree = Math.Max(moment, Math.Max(_downFree, moment - duration) + duration);
    }

    long Duration(int bytes) => (long)(bytes * 8e9 / (network.Shape.BitsPerSecond * Speed));

    sealed class Beating : IDisposable
    {
        public bool IsOver { get; private set; }

        public void Dispose() => IsOver = true;
    }
}

/// <summary>Where a simulated machine takes connections.</summary>
sealed class VirtualDoor(VirtualThreads threads, int port, Action closed) : Door
{
    readonly Queue<VirtualWire> _waiting = new();
    VirtualThreads.Strand? _accepting;
    bool _isClosed;

    public override int Port => port;

    public void Enter(VirtualWire wire)
    {
        _waiting.Enqueue(wire);
        WakeAccepting();
    }

    public override Wire Accept()
    {
        while (true)
        {
            ObjectDisposedException.ThrowIf(_isClosed, this);
            if (_waiting.TryDequeue(out var wire))
            {
                return wire;
            }
            _accepting = threads.Me();
            threads.Wait(long.MaxValue);
            _accepting = null;
        }
    }

    public override void Dispose()
    {
        _isClosed = true;
        closed();
        while (_waiting.TryDequeue(out var wire))
        {
            wire.Reset();
        }
        WakeAccepting();
    }

    void WakeAccepting()
    {
        if (_accepting is { } strand)
        {
            threads.Wake(strand);
        }
    }
}
