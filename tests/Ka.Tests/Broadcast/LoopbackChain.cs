using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Ka.Broadcast;
using Ka.Simulation.Broadcasts;

namespace Ka.Tests.Broadcast;

/// <summary>A chain over real loopback sockets with small buffers and little patience.</summary>
sealed class LoopbackChain : IDisposable
{
    public static readonly ChainOptions Quick = new()
    {
        RingBytes = 256 * 1024,
        BlockBytes = 16 * 1024,
        KeepAlive = TimeSpan.FromMilliseconds(20),
        Suspect = TimeSpan.FromSeconds(2),
        Silence = TimeSpan.FromSeconds(2),
        SlowReader = TimeSpan.FromMilliseconds(200),
        SlowSink = TimeSpan.FromMilliseconds(300),
        Starve = TimeSpan.FromSeconds(5),
        Stall = TimeSpan.FromSeconds(20),
        Join = TimeSpan.FromSeconds(5),
        Retry = TimeSpan.FromMilliseconds(20),
        Linger = TimeSpan.FromMilliseconds(50),
        Gather = TimeSpan.FromSeconds(1),
    };

    /// <summary>
    /// Nobody is taken for dead or slow because the machine is busy: a death is seen by its reset. The ring holds more than what the kernel
    /// keeps of a connection on loopback.
    /// </summary>
    public static readonly ChainOptions Patient = Quick with
    {
        RingBytes = 16 * 1024 * 1024,
        Suspect = TimeSpan.FromSeconds(30),
        Silence = TimeSpan.FromSeconds(30),
        SlowReader = TimeSpan.FromSeconds(30),
        SlowSink = TimeSpan.FromSeconds(30),
        Hold = TimeSpan.FromSeconds(30),
        Linger = TimeSpan.FromSeconds(30),
        Probe = TimeSpan.FromSeconds(30),
        ProbeGrace = TimeSpan.FromSeconds(30),
    };

    /// <summary>For a node that is to get nothing: it gives up soon, and the others have their time.</summary>
    public static readonly ChainOptions Hasty = Quick with { Join = TimeSpan.FromMilliseconds(300), Stall = TimeSpan.FromMilliseconds(600) };

    readonly string _file = Path.GetTempFileName();

    /// <param name="zeroCopy">Bytes stay in the kernel; else they are copied.</param>
    public LoopbackChain(int bytes, int nodes, ChainOptions? options = null, int chunkBytes = 64 * 1024, bool zeroCopy = true, bool isEncrypted = false)
    {
        Key = isEncrypted ? BroadcastKey.Encrypted(BroadcastKey.Create()) : BroadcastKey.Create();
        Options = (options ?? Quick) with { ZeroCopy = zeroCopy };
        Image = new byte[bytes];
        new Random(bytes).NextBytes(Image);
        System.IO.File.WriteAllBytes(_file, Image);
        Manifest = ImageManifest.OfFile(_file, chunkBytes, CancellationToken.None);
        Source = new ChainSource(IPAddress.Loopback, 0, Options);
        Assert.Null(Source.Register(Key, _file, bytes));
        Listeners = [.. Enumerable.Range(0, nodes).Select(_ => new ChainListener(IPAddress.Loopback, 0, Options))];
        Links = ChainPlan.Of([.. Listeners.Select(l => Peer(l.Port))], Server);
        Sinks = [.. Listeners.Select(_ => new RecordingSink())];
    }

    public ChainOptions Options { get; }

    public string File => _file;

    public byte[] Image { get; }

    public string Key { get; }

    public ImageManifest Manifest { get; set; }

    public ChainSource Source { get; }

    public ChainPeer Server => Peer(Source.Port);

    public ImmutableArray<ChainListener> Listeners { get; }

    public ImmutableArray<ChainLink> Links { get; set; }

    public RecordingSink[] Sinks { get; }

    public ConcurrentDictionary<int, ChainNode> Nodes { get; } = [];

    public static ChainPeer Peer(int port) => new("127.0.0.1", port);

    /// <param name="key">Another than the chain's.</param>
    /// <param name="options">Other than what all have.</param>
    public Task<ChainOutcome> Start(int node, string? key = null, ChainOptions? options = null)
    {
        Assert.True(BroadcastKey.TryParse(key ?? Key, out var parsed));
        Nodes[node] = new ChainNode(new ChainTicket(parsed, Manifest, Links[node].Upstreams, Links[node].Successors), Listeners[node], Sinks[node], options ?? Options);
        return Nodes[node].Receive(CancellationToken.None);
    }

    public Task<ChainOutcome[]> StartAll() => Task.WhenAll(Enumerable.Range(0, Listeners.Length).Select(i => Start(i)));

    /// <summary>Lets nodes die at once, when one has written so much.</summary>
    public void Die(int at, long offset, params int[] nodes)
    {
        Sinks[at].TripAt = offset;
        Sinks[at].Trip = () =>
        {
            foreach (var i in nodes)
            {
                Listeners[i].Dispose();
                Nodes[i].Dispose();
            }
        };
    }

    public void AssertDelivered(int node) => Assert.True(Image.AsSpan().SequenceEqual(Sinks[node].ToArray()), $"node {node} differs");

    public void Dispose()
    {
        foreach (var sink in Sinks)
        {
            sink.Unblock();
        }
        foreach (var node in Nodes.Values)
        {
            node.Dispose();
        }
        foreach (var listener in Listeners)
        {
            listener.Dispose();
        }
        Source.Dispose();
        System.IO.File.Delete(_file);
    }
}

/// <summary>Remembers what it was given, and does something or blocks at a given offset.</summary>
sealed class RecordingSink : MemoryStream
{
    readonly ManualResetEventSlim _open = new();

    public long TripAt { get; set; } = long.MaxValue;

    public Action? Trip { get; set; }

    public long BlockAt { get; set; } = long.MaxValue;

    /// <summary>For good.</summary>
    public void Unblock() => _open.Set();

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (Length + buffer.Length > BlockAt)
        {
            _open.Wait();
        }
        base.Write(buffer);
        if (Length >= TripAt)
        {
            TripAt = long.MaxValue;
            Trip?.Invoke();
        }
    }
}

/// <summary>Passes connections on and flips a bit: at a given place of every connection's answer, or of given bytes of the image, the first time they pass.</summary>
sealed class FlippingProxy : IDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    readonly ChainPeer _to;
    readonly long _at;
    readonly BitFlips _flips;
    readonly List<long> _flipped = [];

    public FlippingProxy(ChainPeer to, long at)
        : this(to, []) => _at = at;

    public FlippingProxy(ChainPeer to, IEnumerable<long> offsets)
    {
        _to = to;
        _at = long.MaxValue;
        _flips = new BitFlips(offsets, 0);
        _listener.Start();
        _ = Accept();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public int Flipped { get; private set; }

    /// <summary>Bytes of the image that were flipped.</summary>
    public ImmutableArray<long> FlippedOffsets
    {
        get
        {
            lock (_flips)
            {
                return [.. _flipped];
            }
        }
    }

    public void Dispose() => _listener.Dispose();

    async Task Accept()
    {
        try
        {
            while (true)
            {
                var near = await _listener.AcceptTcpClientAsync();
                var far = new TcpClient();
                try
                {
                    await far.ConnectAsync(_to.Host, _to.Port);
                }
                catch (SocketException)
                {
                    near.Dispose(); // it is gone
                    continue;
                }
                var asked = new byte[Handshake.HelloBytes + Handshake.ProofBytes];
                var frames = new FrameFlipper(() => Wish.Read(asked.AsSpan(Handshake.HelloBytes + BroadcastKey.MacBytes)).Offset);
                _ = Copy(near, far, (bytes, at) => bytes[..(int)Math.Clamp(asked.Length - at, 0, bytes.Length)].CopyTo(asked.AsSpan((int)Math.Min(at, asked.Length))));
                _ = Copy(far, near, (bytes, at) => Flip(bytes, at, frames));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // the test is over
        }
    }

    void Flip(Span<byte> bytes, long position, FrameFlipper frames)
    {
        if (_at >= position && _at < position + bytes.Length)
        {
            bytes[(int)(_at - position)] ^= 1;
            Flipped++;
        }
        lock (_flips)
        {
            _flipped.AddRange(frames.Pass(bytes, _flips.Due).Select(f => f.Offset));
        }
    }

    delegate void Watch(Span<byte> bytes, long position);

    static async Task Copy(TcpClient from, TcpClient to, Watch watch)
    {
        var buffer = new byte[32 * 1024];
        var position = 0L;
        try
        {
            int count;
            while ((count = await from.GetStream().ReadAsync(buffer)) > 0)
            {
                watch(buffer.AsSpan(0, count), position);
                await to.GetStream().WriteAsync(buffer.AsMemory(0, count));
                position += count;
            }
            to.Client.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            from.Dispose();
            to.Dispose();
        }
    }
}
