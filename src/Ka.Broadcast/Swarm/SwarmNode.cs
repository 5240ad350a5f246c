using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net.Sockets;
using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Broadcast.Swarm;

/// <summary>What a node has to get from a swarm, and whom it may turn to.</summary>
/// <param name="Server">Has every chunk; it is asked for what no peer has.</param>
public sealed record SwarmTicket(BroadcastKey Key, ImageManifest Manifest, SwarmLink Link, ChainPeer Server);

/// <summary>
/// A node of a swarm: takes chunks from several peers at once, in any order, proves each by its hash, keeps all in a store for others, and gives them in
/// order to its sink. Who comes late finds everything at the others; who goes is missed by nobody.
/// </summary>
public sealed class SwarmNode : IChainContent, ISwarmShelf, IDisposable
{
    /// <summary>Peers that are taken from at a time.</summary>
    const int Degree = 4;

    /// <summary>Chunks that one peer is asked for ahead.</summary>
    const int Depth = 2;

    const int StackBytes = 256 * 1024;

    /// <summary>Reasons kept as evidence.</summary>
    const int ReasonLimit = 8;

    /// <summary>By how much longer each node waits than the one before it until it turns to the server: the first that does feeds the others.</summary>
    static readonly TimeSpan PatienceStep = TimeSpan.FromMilliseconds(100);

    static readonly TimeSpan MostPatience = TimeSpan.FromSeconds(8);

    readonly object _gate = new();
    readonly SwarmTicket _ticket;
    readonly ChainListener _listener;
    readonly ChainOptions _options;
    readonly ChunkStore _store;
    readonly Stream _sink;
    readonly SwarmBoard _board;
    readonly List<int> _ready = [];
    readonly Dictionary<SwarmHolder, ChainConnection> _open = [];
    readonly HashSet<ChainPeer> _using = [];
    readonly HashSet<ChainPeer> _banned = [];
    readonly Dictionary<ChainPeer, long> _failed = [];
    readonly Dictionary<int, int> _badFromServer = [];
    readonly Queue<string> _reasons = new();
    readonly int _chunks;
    readonly long _began;
    long _bytesIn, _bytesOut, _verified, _sunk, _cameAt, _askedOfUsAt;
    int _uploads, _switches;
    bool _news, _everConnected, _sinkFailed, _closed, _finished;
    Fault? _fault;

    /// <param name="store">Empty; holds the image until the node is disposed, by whoever made it.</param>
    /// <param name="sink">Takes the verified bytes in order; it is flushed at the end and stays open.</param>
    public SwarmNode(SwarmTicket ticket, ChainListener listener, ChunkStore store, Stream sink, ChainOptions options)
    {
        if (!ticket.Manifest.IsSound)
        {
            throw new ArgumentException("The manifest contradicts itself.", nameof(ticket));
        }
        (_ticket, _listener, _store, _sink, _options) = (ticket, listener, store, sink, options);
        _chunks = ticket.Manifest.ChunkHashes.Length;
        _board = new SwarmBoard(_chunks, (ulong)ticket.Link.Place);
        _began = _cameAt = _askedOfUsAt = options.World.Now();
    }

    public ChainProgress Progress
    {
        get
        {
            lock (_gate)
            {
                var peers = _open.Keys.Where(h => h.IsOpen).Select(h => h.Peer.ToString()).Order(StringComparer.Ordinal).ToArray();
                return new ChainProgress(_ticket.Manifest.Bytes, _bytesIn, _bytesOut, _verified, _sunk, _verified - _sunk, peers.FirstOrDefault(), _uploads, _switches);
            }
        }
    }

    /// <summary>As <see cref="ChainNode.Receive"/>: until the sink has the whole image, or a fault ends it. Others are served on until the node is disposed.</summary>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public async Task<ChainOutcome> Receive(CancellationToken cancel)
    {
        _listener.Register(_ticket.Key, this);
        await using (cancel.Register(Close))
        {
            await Task.WhenAll(OnThread("swarm keep", Keep), OnThread("swarm sink", Feed));
        }
        if (_fault is null && !_finished)
        {
            cancel.ThrowIfCancellationRequested();
            throw new OperationCanceledException("The node was disposed.");
        }
        return new ChainOutcome(_fault, _sinkFailed, Progress);
    }

    /// <summary>Serves on until nobody has asked for anything for <see cref="ChainOptions.Linger"/>.</summary>
    public Task Linger() => OnThread("swarm linger", () =>
    {
        lock (_gate)
        {
            while (!_closed && _options.Linger - _options.World.Since(_askedOfUsAt) is { Ticks: > 0 } left)
            {
                _options.World.Wait(_gate, left);
            }
        }
    });

    public void Dispose()
    {
        Close();
        _listener.Unregister(_ticket.Key, this);
    }

    object ISwarmShelf.Gate => _gate;

    long ISwarmShelf.Bytes => _ticket.Manifest.Bytes;

    int ISwarmShelf.ChunkBytes => _ticket.Manifest.ChunkBytes;

    IReadOnlyList<int> ISwarmShelf.Ready => _ready;

    bool ISwarmShelf.IsClosed => _closed;

    bool ISwarmShelf.Holds(int chunk) => _board.Has(chunk);

    void ISwarmShelf.Read(long offset, Span<byte> into) => _store.Read(offset, into);

    void ISwarmShelf.Sent(int bytes)
    {
        lock (_gate)
        {
            _bytesOut += bytes;
            _askedOfUsAt = _options.World.Now();
        }
    }

    void IChainContent.Serve(ChainConnection connection, Wish wish)
    {
        if (!wish.IsSwarm)
        {
            connection.SendFrame(FrameKind.Refused);
            return;
        }
        lock (_gate)
        {
            _uploads++;
        }
        try
        {
            new SwarmUpload(connection, this, _options).Run();
        }
        finally
        {
            lock (_gate)
            {
                _uploads--;
            }
        }
    }

    /// <summary>Keeps connections to peers, and asks each for what is to be asked of it.</summary>
    void Keep()
    {
        var beaten = _options.World.Now();
        while (true)
        {
            List<(ChainConnection Connection, List<int> Chunks)> wants;
            lock (_gate)
            {
                if (_closed || _board.IsComplete)
                {
                    CloseDownloads();
                    return;
                }
                if (_options.World.Since(_cameAt) > _options.Stall)
                {
                    FailNow(Stalled());
                    return;
                }
                while (NextPeer() is { } peer)
                {
                    Dial(peer, isServer: false);
                }
                if (NeedsServer())
                {
                    Dial(_ticket.Server, isServer: true);
                }
                wants = Wants();
            }
            foreach (var (connection, chunks) in wants)
            {
                Send(connection, chunks);
            }
            if (_options.World.Since(beaten) >= _options.KeepAlive)
            {
                beaten = _options.World.Now();
                Beat();
            }
            lock (_gate)
            {
                if (!_closed && !_board.IsComplete && !CanAsk())
                {
                    _options.World.Wait(_gate, _options.KeepAlive);
                }
            }
        }
    }

    /// <summary>Of every open connection, what it is asked for next.</summary>
    List<(ChainConnection, List<int>)> Wants()
    {
        var now = _options.World.Since(_began);
        var wants = new List<(ChainConnection, List<int>)>();
        foreach (var (holder, connection) in _open)
        {
            var chunks = new List<int>();
            while (holder.IsOpen && holder.Asked.Count < Depth && _board.Ask(holder, now) is { } chunk)
            {
                chunks.Add(chunk);
            }
            if (chunks.Count > 0)
            {
                wants.Add((connection, chunks));
            }
        }
        return wants;
    }

    /// <summary>Something has changed since it was last looked; the caller holds the gate.</summary>
    bool CanAsk()
    {
        var news = _news;
        _news = false;
        return news;
    }

    void Tell()
    {
        _news = true;
        _options.World.PulseAll(_gate);
    }

    static void Send(ChainConnection connection, List<int> chunks)
    {
        var bytes = new byte[chunks.Count * sizeof(int)];
        for (var i = 0; i < chunks.Count; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i * sizeof(int)), chunks[i]);
        }
        try
        {
            connection.Send(bytes);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // whoever receives here sees it
        }
    }

    void Beat()
    {
        ChainConnection[] connections;
        lock (_gate)
        {
            connections = [.. _open.Where(o => o.Key.IsOpen).Select(o => o.Value)];
        }
        foreach (var connection in connections)
        {
            Send(connection, [SwarmUpload.Beat]);
        }
    }

    /// <summary>The next peer to dial, or null when there are enough or none is left for now.</summary>
    ChainPeer? NextPeer() => _using.Count(p => p != _ticket.Server) >= Degree
        ? null
        : _ticket.Link.Peers.FirstOrDefault(p => !_using.Contains(p) && !_banned.Contains(p) && !(_failed.TryGetValue(p, out var at) && _options.World.Since(at) < _options.Silence));

    /// <summary>The first hands from the start; the others when nothing has come for long, the later in the order the longer.</summary>
    bool NeedsServer()
    {
        if (_using.Contains(_ticket.Server) || (_failed.TryGetValue(_ticket.Server, out var at) && _options.World.Since(at) < _options.Retry))
        {
            return false;
        }
        var patience = _options.Silence + (PatienceStep * _ticket.Link.Place);
        return _ticket.Link.IsFirstHand || _options.World.Since(_cameAt) > (patience < MostPatience ? patience : MostPatience);
    }

    void Dial(ChainPeer peer, bool isServer)
    {
        _using.Add(peer);
        _options.World.Start("swarm take", StackBytes, () => Take(new SwarmHolder(peer, isServer, _chunks)));
    }

    /// <summary>One connection from its beginning to its end.</summary>
    void Take(SwarmHolder holder)
    {
        ChainConnection? connection = null;
        string reason;
        try
        {
            connection = ChainConnection.Dial(holder.Peer, _options);
            connection.SetTimeouts(_options.Join, _options.Silence);
            reason = Handshake.Ask(connection, _ticket.Key, new Wish(_ticket.Manifest.ChunkBytes, IsSwarm: true)) ? Frames(holder, connection) : "it does not know the key of the broadcast";
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            reason = e.Message;
        }
        lock (_gate)
        {
            _board.Leave(holder);
            _open.Remove(holder);
            _using.Remove(holder.Peer);
            _failed[holder.Peer] = _options.World.Now();
            if (!_closed && !_board.IsComplete)
            {
                _switches++;
                _reasons.Enqueue($"{holder.Peer}: {reason}");
                if (_reasons.Count > ReasonLimit)
                {
                    _reasons.Dequeue();
                }
            }
            Tell();
        }
        connection?.Dispose();
    }

    /// <summary>Takes what one peer gives until it ends; why.</summary>
    string Frames(SwarmHolder holder, ChainConnection connection)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return "";
            }
            _open.Add(holder, connection);
            _board.Join(holder);
            holder.IsOpen = _everConnected = true;
            Tell();
        }
        connection.SetTimeouts(_options.Silence, _options.Silence);
        var buffer = new byte[_ticket.Manifest.ChunkBytes];
        Span<byte> number = stackalloc byte[sizeof(int)];
        var gaveAt = _options.World.Now();
        (int Chunk, int Taken) present = (-1, 0);
        while (true)
        {
            var (kind, length) = connection.ReceiveHeader();
            switch (kind)
            {
                case FrameKind.Have when length is > 0 and <= ChainConnection.FrameLimit && length % sizeof(int) == 0:
                    if (!Learn(holder, connection, length))
                    {
                        return "it has chunks that there are not";
                    }
                    break;
                case FrameKind.Chunk when length == sizeof(int) && present.Chunk < 0:
                    connection.ReceiveExactly(number);
                    present = (BinaryPrimitives.ReadInt32LittleEndian(number), 0);
                    lock (_gate)
                    {
                        if (!holder.Asked.Contains(present.Chunk))
                        {
                            return "it gave what it was not asked for";
                        }
                    }
                    break;
                case FrameKind.Data when present.Chunk >= 0 && length > 0 && length <= Length(present.Chunk) - present.Taken:
                    connection.ReceiveExactly(buffer.AsSpan(present.Taken, length));
                    present.Taken += length;
                    gaveAt = _options.World.Now();
                    if (present.Taken == Length(present.Chunk))
                    {
                        if (!Came(holder, present.Chunk, buffer.AsSpan(0, present.Taken)))
                        {
                            return "it gave a chunk that was not right";
                        }
                        present = (-1, 0);
                    }
                    break;
                case FrameKind.KeepAlive when length == 0:
                    lock (_gate)
                    {
                        if (holder.Asked.Count == 0)
                        {
                            gaveAt = _options.World.Now();
                        }
                    }
                    if (_options.World.Since(gaveAt) > _options.SlowReader)
                    {
                        return "it lives, but did not give what it has";
                    }
                    break;
                case FrameKind.Refused:
                    return "it has nothing to give";
                default:
                    return $"it sent a frame that has no place here ({(int)kind}, {length} bytes)";
            }
        }
    }

    bool Learn(SwarmHolder holder, ChainConnection connection, int length)
    {
        var news = new byte[length];
        connection.ReceiveExactly(news);
        lock (_gate)
        {
            for (var at = 0; at < length; at += sizeof(int))
            {
                if (!_board.Learn(holder, BinaryPrimitives.ReadInt32LittleEndian(news.AsSpan(at))))
                {
                    return false;
                }
            }
            Tell();
        }
        return true;
    }

    int Length(int chunk) => (int)Math.Min(_ticket.Manifest.ChunkBytes, _ticket.Manifest.Bytes - ((long)chunk * _ticket.Manifest.ChunkBytes));

    /// <summary>Proves a chunk and keeps it. False when it is wrong: then its giver is not asked again.</summary>
    bool Came(SwarmHolder holder, int chunk, ReadOnlySpan<byte> bytes)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(bytes, digest);
        var isRight = digest.SequenceEqual(Convert.FromHexString(_ticket.Manifest.ChunkHashes[chunk]));
        if (isRight && !Keep(chunk, bytes))
        {
            return true; // the store's fault has ended everything
        }
        lock (_gate)
        {
            _bytesIn += bytes.Length;
            if (!isRight)
            {
                _board.Returned(holder, chunk);
                Blame(holder, chunk);
                return false;
            }
            if (_board.Came(holder, chunk))
            {
                _ready.Add(chunk);
                _verified += bytes.Length;
                _cameAt = _options.World.Now();
            }
            Tell();
        }
        return true;
    }

    bool Keep(int chunk, ReadOnlySpan<byte> bytes)
    {
        try
        {
            _store.Write((long)chunk * _ticket.Manifest.ChunkBytes, bytes);
            return true;
        }
        catch (IOException e)
        {
            lock (_gate)
            {
                FailNow(Fault.Of(FaultCodes.DiskFull, "The image cannot be kept on the node while it comes.", e.Message));
            }
            return false;
        }
    }

    void Blame(SwarmHolder holder, int chunk)
    {
        if (!holder.IsServer)
        {
            _banned.Add(holder.Peer);
        }
        else if ((_badFromServer[chunk] = _badFromServer.GetValueOrDefault(chunk) + 1) > 1)
        {
            FailNow(Fault.Of(FaultCodes.ImageCorrupt, "The server's bytes are not those that were registered.", $"chunk {chunk}, twice"));
        }
    }

    /// <summary>Gives the sink what is there, in order.</summary>
    void Feed()
    {
        var buffer = new byte[_ticket.Manifest.ChunkBytes];
        for (var chunk = 0; chunk < _chunks; chunk++)
        {
            lock (_gate)
            {
                while (!_closed && _board.Prefix <= chunk)
                {
                    _options.World.Wait(_gate);
                }
                if (_closed)
                {
                    return;
                }
            }
            if (!Give(chunk, buffer.AsSpan(0, Length(chunk))))
            {
                return;
            }
        }
        try
        {
            _sink.Flush();
            _finished = true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            SinkFault(e);
        }
    }

    bool Give(int chunk, Span<byte> bytes)
    {
        try
        {
            _store.Read((long)chunk * _ticket.Manifest.ChunkBytes, bytes);
        }
        catch (IOException e)
        {
            lock (_gate)
            {
                FailNow(Fault.Of(FaultCodes.DiskIoError, "The image cannot be read from where the node keeps it.", e.Message));
            }
            return false;
        }
        try
        {
            _sink.Write(bytes);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            SinkFault(e);
            return false;
        }
        lock (_gate)
        {
            _sunk += bytes.Length;
        }
        return true;
    }

    void SinkFault(Exception e)
    {
        lock (_gate)
        {
            _sinkFailed = true;
            FailNow(Fault.Of(FaultCodes.ImageExtractFailed, "The unpacking program took no more bytes.", e.Message));
        }
    }

    Fault Stalled()
    {
        var evidence = string.Join('\n', _reasons);
        return _everConnected
            ? Fault.Of(FaultCodes.BroadcastStalled, $"No source gave a chunk for {_options.Stall.TotalSeconds:0} s.", evidence)
            : Fault.Of(FaultCodes.BroadcastUnreachable, "Neither a peer nor the server could be reached.", evidence);
    }

    /// <summary>The first fault counts; the caller holds the gate.</summary>
    void FailNow(Fault fault)
    {
        _fault ??= fault;
        CloseNow();
    }

    void Close()
    {
        lock (_gate)
        {
            CloseNow();
        }
    }

    void CloseNow()
    {
        _closed = true;
        CloseDownloads();
        _options.World.PulseAll(_gate);
    }

    void CloseDownloads()
    {
        foreach (var connection in _open.Values)
        {
            connection.Abort();
        }
    }

    Task OnThread(string name, Action run)
    {
        var done = new TaskCompletionSource(_options.World.Completion);
        _options.World.Start(name, 0, () =>
        {
            try
            {
                run();
                done.SetResult();
            }
            catch (Exception e)
            {
                Close();
                done.SetException(e);
            }
        });
        return done.Task;
    }
}
