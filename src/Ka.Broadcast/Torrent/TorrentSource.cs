using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Ka.Core.Faults;

namespace Ka.Broadcast.Torrent;

/// <summary>
/// Tracker and first seed of BitTorrent broadcasts. The tracker's paths cannot be guessed, and the seed gives to those addresses only that
/// have announced themselves on the torrent's path: who was not told of a torrent gets nothing from here.
/// </summary>
/// <param name="address">Address of the nodes' network.</param>
/// <param name="port">Of the seed, opened at the first torrent; zero lets the kernel choose.</param>
/// <param name="tracker">Where the tracker is reached; a torrent's secret is put behind it.</param>
public sealed class TorrentSource(IPAddress address, int port, Uri tracker, TimeProvider clock) : IDisposable
{
    const int ConnectionLimit = 2000;

    /// <summary>BEP 3: clients send something every two minutes.</summary>
    static readonly TimeSpan Silence = TimeSpan.FromMinutes(3);

    readonly Lock _gate = new();
    readonly Dictionary<string, Seeded> _torrents = new(StringComparer.Ordinal);
    readonly CancellationTokenSource _ended = new();
    readonly byte[] _peerId = [.. Encoding.ASCII.GetBytes("-KA0100-"), .. RandomNumberGenerator.GetBytes(12)];
    TcpListener? _listener;
    int _connections;

    /// <summary>Where the seed listens; 0 before the first torrent.</summary>
    public int Port => ((IPEndPoint?)_listener?.LocalEndpoint)?.Port ?? 0;

    /// <summary>Begins to seed a file, or goes on when it is seeded already; or says why that cannot be.</summary>
    /// <param name="secret">Ends the announce address; hexadecimal.</param>
    public (Metainfo? Metainfo, Fault? Fault) Open(string secret, string path, string name, bool isPrivate, CancellationToken cancel)
    {
        lock (_gate)
        {
            if (_torrents.TryGetValue(secret, out var known))
            {
                return (known.Metainfo, null);
            }
        }
        try
        {
            var bytes = new FileInfo(path).Length;
            var piece = Metainfo.PieceBytesOf(bytes);
            var metainfo = new Metainfo(name, bytes, piece, Metainfo.PiecesOf(path, piece, cancel), new Uri(tracker, secret).ToString(), isPrivate);
            var seeded = new Seeded(metainfo, File.OpenHandle(path), new Swarm(new IPEndPoint(address, Listen()), clock));
            lock (_gate)
            {
                if (_torrents.TryAdd(secret, seeded))
                {
                    return (metainfo, null);
                }
            }
            seeded.File.Dispose();
            return (metainfo, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            return (null, Fault.Of(FaultCodes.BroadcastProgramFailed, "The image cannot be seeded.", e.Message));
        }
    }

    /// <summary>Ends a torrent. Peers that know each other may go on among themselves.</summary>
    public void Close(string secret)
    {
        lock (_gate)
        {
            if (_torrents.Remove(secret, out var seeded))
            {
                seeded.File.Dispose();
            }
        }
    }

    public bool Has(string secret)
    {
        lock (_gate)
        {
            return _torrents.ContainsKey(secret);
        }
    }

    /// <summary>Bytes that the seed has given of a torrent; null when there is none.</summary>
    public long? BytesOut(string secret)
    {
        lock (_gate)
        {
            return _torrents.TryGetValue(secret, out var seeded) ? seeded.BytesOut : null;
        }
    }

    /// <summary>The tracker's answer (bencoded); null when the path or the torrent is not known, or the question is none.</summary>
    public byte[]? Announce(string secret, string query, IPAddress from)
    {
        Seeded? seeded;
        lock (_gate)
        {
            seeded = _torrents.GetValueOrDefault(secret);
        }
        return seeded is not null && Announcement.Parse(query) is { } told && told.InfoHash.AsSpan().SequenceEqual(seeded.InfoHash)
            ? seeded.Swarm.Announce(from.MapToIPv4(), told)
            : null;
    }

    public void Dispose()
    {
        _ended.Cancel();
        lock (_gate)
        {
            _listener?.Dispose();
            foreach (var seeded in _torrents.Values)
            {
                seeded.File.Dispose();
            }
            _torrents.Clear();
        }
        _ended.Dispose();
    }

    /// <summary>Opens the seed's port when it is not open yet.</summary>
    int Listen()
    {
        lock (_gate)
        {
            if (_listener is null)
            {
                var listener = new TcpListener(address, port);
                listener.Start();
                _listener = listener;
                _ = Accept(listener);
            }
            return Port;
        }
    }

    async Task Accept(TcpListener listener)
    {
        while (!_ended.IsCancellationRequested)
        {
            try
            {
                _ = Attend(await listener.AcceptTcpClientAsync(_ended.Token));
            }
            catch (SocketException) when (!_ended.IsCancellationRequested)
            {
                // one connection was lost before it was taken
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                return;
            }
        }
    }

    async Task Attend(TcpClient client)
    {
        using var connection = client;
        if (Interlocked.Increment(ref _connections) > ConnectionLimit)
        {
            Interlocked.Decrement(ref _connections);
            return;
        }
        try
        {
            using var silence = CancellationTokenSource.CreateLinkedTokenSource(_ended.Token);
            client.NoDelay = true;
            var from = ((IPEndPoint)client.Client.RemoteEndPoint!).Address.MapToIPv4();
            await new SeedConnection(client.GetStream(), _peerId).Serve(hash => Find(hash, from), () =>
            {
                silence.CancelAfter(Silence);
                return silence.Token;
            });
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // the peer went away, was silent, or the torrent ended
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }

    Seeded? Find(byte[] infoHash, IPAddress from)
    {
        lock (_gate)
        {
            return _torrents.Values.FirstOrDefault(t => t.InfoHash.AsSpan().SequenceEqual(infoHash) && t.Swarm.Knows(from));
        }
    }
}
