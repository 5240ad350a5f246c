using System.Collections.Immutable;
using System.Net;
using Ka.Broadcast;
using Ka.Broadcast.Swarm;
using Ka.Core.Clusters;

namespace Ka.Simulation.Broadcasts;

/// <summary>A whole broadcast in virtual time: the real source, listeners, rings, receivers and healing over machines that do not exist.</summary>
public sealed class SimulatedBroadcast
{
    const int Port = 1;
    static readonly string Secret = new('5', BroadcastKey.Bytes * 2);

    readonly BroadcastScene _scene;
    readonly VirtualNetwork _network;
    readonly BroadcastKey _key;
    readonly byte[] _image;
    readonly ImageManifest _manifest;
    readonly NodeEnd[] _ends;
    readonly SimulatedSink[] _sinks;
    readonly VirtualHost[] _hosts;
    readonly ChainNode?[] _chains;
    int _left;
    TimeSpan _elapsed;

    SimulatedBroadcast(BroadcastScene scene)
    {
        _scene = scene;
        _network = new VirtualNetwork(scene.Shape, scene.Seed);
        _key = BroadcastKey.TryParse(Secret, out var key) ? key : throw new InvalidOperationException("the key is none");
        _image = new byte[scene.Bytes];
        new Random(scene.Bytes).NextBytes(_image);
        using var stream = new MemoryStream(_image);
        _manifest = scene.Verified ? ImageManifest.Of(stream, scene.ChunkBytes, CancellationToken.None) : ImageManifest.Unverified(scene.Bytes) with { ChunkBytes = scene.ChunkBytes };
        _hosts = [.. Enumerable.Range(0, scene.Nodes).Select(i => _network.Add($"n{i}"))];
        _sinks = [.. _hosts.Select(h => new SimulatedSink(h, _image))];
        _ends = [.. _hosts.Select(_ => new NodeEnd(false, null, true, null))];
        _chains = new ChainNode?[scene.Nodes];
        _left = scene.Nodes;
    }

    /// <summary>Runs until every living node has ended.</summary>
    /// <exception cref="InvalidOperationException">The protocol's code broke.</exception>
    public static BroadcastEnd Run(BroadcastScene scene) => new SimulatedBroadcast(scene).Run();

    BroadcastEnd Run()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(file, _image);
            var server = _network.Add("server");
            using var source = new ChainSource(IPAddress.Any, Port, On(server));
            Register(source, file);
            var links = Links(new ChainPeer("server", source.Port));
            for (var i = 0; i < _scene.Nodes; i++)
            {
                var node = i;
                _hosts[i].Start("main", 0, () => Receive(node, links[node]));
            }
            var control = _scene.Stragglers is { } rules ? new SimulatedControl(_network, _hosts, _chains, [.. links.Select(l => l[0])], rules, _scene.ControlDiesAfter) : null;
            control?.Begin();
            foreach (var mishap in _scene.Mishaps)
            {
                Prepare(mishap, mishap.Node < 0 ? server : _hosts[mishap.Node]);
            }
            _network.Threads.Run(_scene.Limit);
            var sent = (_scene.Way == BroadcastWay.TwoTrees ? source.ReportStripes(_key) : source.Report(Secret))!.BytesOut;
            return new BroadcastEnd([.. _ends], _elapsed, sent, _network.Trace, _network.Threads.Turns) { Flipped = Flipped(server), Stragglers = control?.Steps ?? [] };
        }
        finally
        {
            File.Delete(file);
        }
    }

    ChainOptions On(VirtualHost host) => _scene.Options with { World = host };

    void Register(ChainSource source, string file)
    {
        var fault = _scene.Way == BroadcastWay.TwoTrees
            ? source.RegisterStripes(_key, file, _scene.Bytes, _scene.ChunkBytes)
            : source.Register(Secret, file, _scene.Bytes);
        if (fault is not null)
        {
            throw new InvalidOperationException(fault.ToString());
        }
    }

    ImmutableArray<ImmutableArray<ChainLink>> Links(ChainPeer server)
    {
        ImmutableArray<ChainPeer> peers = [.. _hosts.Select(h => new ChainPeer(h.Name, Port))];
        return _scene.Way switch
        {
            BroadcastWay.Chain => [.. ChainPlan.Of(peers, server).Select(l => ImmutableArray.Create(l))],
            BroadcastWay.Tree => [.. TreePlan.Of(peers, server, _scene.Arity).Select(l => ImmutableArray.Create(l))],
            BroadcastWay.TwoTrees => TwoTreePlan.Of(peers, server),
            BroadcastWay.Swarm => [.. _hosts.Select(_ => ImmutableArray<ChainLink>.Empty)],
            BroadcastWay.Auto or BroadcastWay.Multicast or BroadcastWay.Torrent or BroadcastWay.Custom => throw new InvalidOperationException($"{_scene.Way} has no plan"),
        };
    }

    void Receive(int node, ImmutableArray<ChainLink> links)
    {
        var options = On(_hosts[node]);
        var listener = new ChainListener(IPAddress.Any, Port, options);
        if (_scene.Way == BroadcastWay.Swarm)
        {
            var link = SwarmPlan.Of([.. _hosts.Select(h => new ChainPeer(h.Name, Port))])[node];
            var swarm = new SwarmNode(new SwarmTicket(_key, _manifest, link, new ChainPeer("server", Port)), listener, new MemoryChunks(_scene.Bytes), _sinks[node], options);
            _ = Follow(node, swarm.Receive, swarm.Linger);
            return;
        }
        if (links.Length > 1)
        {
            var striped = new StripedNode(_key, _manifest, links, listener, _sinks[node], options);
            _ = Follow(node, striped.Receive, striped.Linger);
            return;
        }
        var chain = _chains[node] = new ChainNode(new ChainTicket(_key, _manifest, links[0].Upstreams, links[0].Successors), listener, _sinks[node], options);
        _ = Follow(node, chain.Receive, chain.Linger);
    }

    async Task Follow(int node, Func<CancellationToken, Task<ChainOutcome>> receive, Func<Task> linger)
    {
        try
        {
            var outcome = await receive(CancellationToken.None);
            var now = _network.Threads.Elapsed;
            var all = outcome.Fault is null && _sinks[node].Taken == _scene.Bytes;
            _chains[node] = null;
            _ends[node] = _ends[node] with { Finished = all ? now : null, IsRight = _sinks[node].IsRight, Outcome = outcome };
            _elapsed = now > _elapsed ? now : _elapsed;
            Ended();
            await linger();
        }
        catch (ThreadEnded)
        {
            // the machine has died, or the simulation is over
        }
    }

    void Ended()
    {
        if (--_left == 0)
        {
            _network.Threads.Stop();
        }
    }

    ImmutableArray<(int Node, long Offset, bool InRing)> Flipped(VirtualHost server) =>
    [
        .. from host in (VirtualHost[])[server, .. _hosts]
           from flip in (host.WireFlips?.Done ?? []).Select(o => (o, InRing: false)).Concat((host.RingFlips?.Done ?? []).Select(o => (o, InRing: true)))
           select (Array.IndexOf(_hosts, host), flip.o, flip.InRing),
    ];

    void Prepare(Mishap mishap, VirtualHost host)
    {
        var sink = mishap.Node < 0 ? null! : _sinks[mishap.Node];
        switch (mishap)
        {
            case Mishap.DiesAtOffset dies:
                sink.TripAt = dies.Offset;
                sink.Trip = () => Die(dies.Node, dies.Death);
                break;
            case Mishap.DiesAt dies:
                _network.Threads.At(VirtualThreads.Nanoseconds(dies.Moment), () => Die(dies.Node, dies.Death));
                break;
            case Mishap.Corrupts corrupts:
                host.FlipsAt = corrupts.Place;
                break;
            case Mishap.FlipsOnWire flips:
                host.WireFlips = new BitFlips(flips.Offsets, 0);
                break;
            case Mishap.FlipsInRing flips:
                host.RingFlips = new BitFlips(flips.Offsets, flips.Lag);
                break;
            case Mishap.SlowSink slow:
                sink.BytesPerSecond = slow.BytesPerSecond;
                break;
            case Mishap.SinkPauses pauses:
                sink.PauseAt = pauses.Offset;
                sink.Pause = pauses.Pause;
                break;
            case Mishap.CardStalls stalls:
                _network.Threads.At(VirtualThreads.Nanoseconds(stalls.Moment), () => host.Stall(stalls.Span));
                break;
            case Mishap.SlowCard slow:
                host.Speed = slow.Share;
                break;
        }
    }

    /// <summary>A node that has everything may die as well; it counts as dead only if it had not.</summary>
    void Die(int node, Death death)
    {
        if (!_hosts[node].IsAlive)
        {
            return;
        }
        if (_ends[node].Outcome is null)
        {
            _ends[node] = _ends[node] with { Died = true, IsRight = _sinks[node].IsRight };
            Ended();
        }
        _network.Threads.At(_network.Threads.Now, () => _hosts[node].Die(death));
    }
}

/// <summary>A disk that compares what it is given with the image, and is slow or ends its machine where it was told to.</summary>
sealed class SimulatedSink(VirtualHost host, byte[] image) : WriteOnlyStream
{
    public long Taken { get; private set; }

    public bool IsRight { get; private set; } = true;

    public double BytesPerSecond { get; set; } = double.PositiveInfinity;

    public long TripAt { get; set; } = long.MaxValue;

    public Action? Trip { get; set; }

    public long PauseAt { get; set; } = long.MaxValue;

    public TimeSpan Pause { get; set; }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        IsRight &= Taken + buffer.Length <= image.Length && buffer.SequenceEqual(image.AsSpan((int)Taken, buffer.Length));
        Taken += buffer.Length;
        if (!double.IsInfinity(BytesPerSecond))
        {
            host.Network.Threads.Sleep(TimeSpan.FromSeconds(buffer.Length / BytesPerSecond));
        }
        if (Taken >= PauseAt)
        {
            PauseAt = long.MaxValue;
            host.Network.Threads.Sleep(Pause);
        }
        if (Taken >= TripAt)
        {
            TripAt = long.MaxValue;
            Trip?.Invoke();
            host.Network.Threads.Sleep(TimeSpan.FromTicks(1)); // it dies here
        }
    }
}

/// <summary>Chunks in memory.</summary>
sealed class MemoryChunks(int bytes) : ChunkStore
{
    readonly byte[] _bytes = new byte[bytes];

    public override void Write(long offset, ReadOnlySpan<byte> bytes) => bytes.CopyTo(_bytes.AsSpan((int)offset));

    public override void Read(long offset, Span<byte> into) => _bytes.AsSpan((int)offset, into.Length).CopyTo(into);

    public override void Dispose()
    {
    }
}
