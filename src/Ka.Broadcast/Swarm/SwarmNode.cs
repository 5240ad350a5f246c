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
public sealed class SwarmNode : IChainContent, ISwarmTaker, IDisposable
{
    /// <summary>Chunks that one peer is asked for ahead.</summary>
    const int Depth = 2;

    const int StackBytes = 256 * 1024;

    /// <summary>Reasons kept as evidence.</summary>
    const int ReasonLimit = 8;

    readonly object _gate = new();
    readonly SwarmTicket _ticket;
    readonly ChainListener _listener;
    readonly ChainOptions _options;
    readonly ChunkStore _store;
    readonly SwarmBoard _board;
    readonly SwarmStock _stock;
    readonly SwarmFeed _feed;
    readonly Dictionary<SwarmHolder, ChainConnection> _open = [];
    readonly SwarmContacts _contacts;
    readonly Dictionary<int, int> _badFromServer = [];
    readonly Queue<string> _reasons = new();
    readonly int _chunks;
    readonly long _began;
    long _bytesIn, _verified, _cameAt;
    int _switches;
    bool _news, _everConnected;
    Fault? _fault;

    /// <param name="store">Empty; holds the image until the node is disposed, by whoever made it.</param>
    /// <param name="sink">Takes the verified bytes in order; it is flushed at the end and stays open.</param>
    public SwarmNode(SwarmTicket ticket, ChainListener listener, ChunkStore store, Stream sink, ChainOptions options)
    {
        if (!ticket.Manifest.IsSound)
        {
            throw new ArgumentException("The manifest contradicts itself.", nameof(ticket));
        }
        (_ticket, _listener, _store, _options) = (ticket, listener, store, options);
        _chunks = ticket.Manifest.ChunkHashes.Length;
        _contacts = new SwarmContacts(ticket.Link, ticket.Server, options);
        _board = new SwarmBoard(_chunks, (ulong)ticket.Link.Place);
        _stock = new SwarmStock(_gate, ticket.Manifest, store, _board, options);
        _feed = new SwarmFeed(_stock, store, sink, ticket.Manifest, Fail);
        _began = _cameAt = options.World.Now();
    }

    public ChainProgress Progress
    {
        get
        {
            lock (_gate)
            {
                var peers = _open.Keys.Where(h => h.IsOpen).Select(h => h.Peer.ToString()).Order(StringComparer.Ordinal).ToArray();
                return new ChainProgress(_ticket.Manifest.Bytes, _bytesIn, _stock.BytesOut, _verified, _feed.Sunk, _verified - _feed.Sunk, peers.FirstOrDefault(), _stock.Uploads, _switches);
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
            await Task.WhenAll(_options.World.Run("swarm keep", Keep, Close), _options.World.Run("swarm sink", _feed.Run, Close));
        }
        if (_fault is null && !_feed.IsFinished)
        {
            cancel.ThrowIfCancellationRequested();
            throw new OperationCanceledException("The node was disposed.");
        }
        return new ChainOutcome(_fault, _feed.HasFailed, Progress);
    }

    /// <summary>Serves on until nobody has asked for anything for <see cref="ChainOptions.Linger"/>.</summary>
    public Task Linger() => _options.World.Run("swarm linger", _stock.WaitUnasked);

    public void Dispose()
    {
        Close();
        _listener.Unregister(_ticket.Key, this);
    }

    void IChainContent.Serve(ChainConnection connection, Wish wish)
    {
        if (wish.IsSwarm)
        {
            _stock.Serve(connection);
            return;
        }
        connection.SendFrame(FrameKind.Refused);
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
                if (_stock.IsClosed || _board.IsComplete)
                {
                    CloseDownloads();
                    return;
                }
                if (_options.World.Since(_cameAt) > _options.Stall)
                {
                    FailNow(Stalled());
                    return;
                }
                while (_contacts.NextPeer() is { } peer)
                {
                    Dial(peer, isServer: false);
                }
                if (_contacts.NeedsServer(_options.World.Since(_cameAt)))
                {
                    Dial(_ticket.Server, isServer: true);
                }
                wants = Wants();
            }
            foreach (var (connection, chunks) in wants)
            {
                SwarmUpload.Want(connection, chunks);
            }
            if (_options.World.Since(beaten) >= _options.KeepAlive)
            {
                beaten = _options.World.Now();
                Beat();
            }
            lock (_gate)
            {
                if (!_stock.IsClosed && !_board.IsComplete && !CanAsk())
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

    void Beat()
    {
        ChainConnection[] connections;
        lock (_gate)
        {
            connections = [.. _open.Where(o => o.Key.IsOpen).Select(o => o.Value)];
        }
        foreach (var connection in connections)
        {
            SwarmUpload.Want(connection, [SwarmUpload.Beat]);
        }
    }

    void Dial(ChainPeer peer, bool isServer)
    {
        _contacts.Use(peer);
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
            _contacts.Lost(holder.Peer);
            if (!_stock.IsClosed && !_board.IsComplete)
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
            if (_stock.IsClosed)
            {
                return "";
            }
            _open.Add(holder, connection);
            _board.Join(holder);
            holder.IsOpen = _everConnected = true;
            Tell();
        }
        return new SwarmDownload(connection, _ticket.Manifest, _options, holder, this).Run();
    }

    bool ISwarmTaker.Learn(SwarmHolder holder, ReadOnlySpan<int> chunks)
    {
        lock (_gate)
        {
            foreach (var chunk in chunks)
            {
                if (!_board.Learn(holder, chunk))
                {
                    return false;
                }
            }
            Tell();
            return true;
        }
    }

    bool ISwarmTaker.Awaits(SwarmHolder holder, int? chunk)
    {
        lock (_gate)
        {
            return chunk is { } one ? holder.Asked.Contains(one) : holder.Asked.Count > 0;
        }
    }

    /// <summary>Proves a chunk and keeps it. False when it is wrong: then its giver is not asked again.</summary>
    bool ISwarmTaker.Came(SwarmHolder holder, int chunk, ReadOnlySpan<byte> bytes)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(bytes, digest);
        var isRight = digest.SequenceEqual(Convert.FromHexString(_ticket.Manifest.ChunkHashes[chunk]));
        if (isRight && !Store(chunk, bytes))
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
                _stock.Add(chunk);
                _verified += bytes.Length;
                _cameAt = _options.World.Now();
            }
            Tell();
        }
        return true;
    }

    bool Store(int chunk, ReadOnlySpan<byte> bytes)
    {
        try
        {
            _store.Write((long)chunk * _ticket.Manifest.ChunkBytes, bytes);
            return true;
        }
        catch (IOException e)
        {
            Fail(Fault.Of(FaultCodes.DiskFull, "The image cannot be kept on the node while it comes.", e.Message));
            return false;
        }
    }

    void Blame(SwarmHolder holder, int chunk)
    {
        if (!holder.IsServer)
        {
            _contacts.Ban(holder.Peer);
        }
        else if ((_badFromServer[chunk] = _badFromServer.GetValueOrDefault(chunk) + 1) > 1)
        {
            FailNow(Fault.Of(FaultCodes.ImageCorrupt, "The server's bytes are not those that were registered.", $"chunk {chunk}, twice"));
        }
    }

    void Fail(Fault fault)
    {
        lock (_gate)
        {
            FailNow(fault);
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
        _stock.IsClosed = true;
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
}
