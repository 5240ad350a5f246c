using System.Net;
using System.Net.Sockets;

namespace Ka.Broadcast;

/// <summary>Something that can be served: a file (the server) or a ring (a node). Returns when the asker is done with.</summary>
interface IChainContent
{
    void Serve(ChainConnection connection, Wish wish);
}

/// <summary>One TCP port on which any number of broadcasts are served. Each connection has a thread of its own.</summary>
public sealed class ChainListener : IDisposable
{
    const int StackBytes = 256 * 1024;

    /// <summary>Ended broadcasts that are remembered: who asks for one of them is sent away at once.</summary>
    const int EndedLimit = 64;

    readonly Door _door;
    readonly ChainOptions _options;
    readonly object _gate = new();
    readonly Dictionary<string, (BroadcastKey Key, IChainContent Content)> _broadcasts = new(StringComparer.Ordinal);
    readonly Dictionary<ChainConnection, string> _connections = [];
    readonly Queue<string> _ended = new();
    bool _closed;

    /// <param name="port">Zero lets the kernel choose.</param>
    /// <exception cref="SocketException">The address cannot be bound.</exception>
    public ChainListener(IPAddress address, int port, ChainOptions options)
    {
        _options = options;
        _door = options.World.Listen(address, port);
        Port = _door.Port;
        options.World.Start("chain accept", StackBytes, Accept);
    }

    public int Port { get; }

    public int Connections
    {
        get
        {
            lock (_gate)
            {
                return _connections.Count;
            }
        }
    }

    internal void Register(BroadcastKey key, IChainContent content)
    {
        lock (_gate)
        {
            _broadcasts[key.Name] = (key, content);
            _options.World.PulseAll(_gate);
        }
    }

    /// <summary>Forgets a broadcast and closes its connections.</summary>
    internal bool Unregister(BroadcastKey key, IChainContent content)
    {
        lock (_gate)
        {
            if (!_broadcasts.TryGetValue(key.Name, out var known) || known.Content != content)
            {
                return false;
            }
            _broadcasts.Remove(key.Name);
            _ended.Enqueue(key.Name);
            if (_ended.Count > EndedLimit)
            {
                _ended.Dequeue();
            }
            _options.World.PulseAll(_gate);
            foreach (var (connection, _) in _connections.Where(c => c.Value == key.Name))
            {
                connection.Abort();
            }
            return true;
        }
    }

    internal int ConnectionsOf(BroadcastKey key)
    {
        lock (_gate)
        {
            return _connections.Count(c => c.Value == key.Name);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (var connection in _connections.Keys)
            {
                connection.Abort();
            }
            _options.World.PulseAll(_gate);
        }
        _door.Dispose();
    }

    void Accept()
    {
        while (true)
        {
            Wire accepted;
            try
            {
                accepted = _door.Accept();
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.TooManyOpenSockets && !_closed)
            {
                continue;
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return; // the listener was disposed
            }
            var connection = new ChainConnection(accepted, _options.World);
            if (!Admit(connection))
            {
                connection.Abort();
                continue;
            }
            _options.World.Start("chain serve", StackBytes, () => Attend(connection));
        }
    }

    bool Admit(ChainConnection connection)
    {
        lock (_gate)
        {
            if (_closed || _connections.Count >= _options.MaxConnections)
            {
                return false;
            }
            _connections.Add(connection, "");
            return true;
        }
    }

    void Attend(ChainConnection connection)
    {
        try
        {
            connection.SetTimeouts(_options.Join, _options.Join);
            if (Handshake.Listen(connection, Find) is not { Wish.IsProbe: false } asked)
            {
                return;
            }
            IChainContent? content;
            lock (_gate)
            {
                _connections[connection] = asked.Key.Name;
                content = _broadcasts.TryGetValue(asked.Key.Name, out var known) ? known.Content : null;
            }
            connection.SetTimeouts(_options.Join, _options.ServerSend);
            content?.Serve(connection, asked.Wish);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException)
        {
            // the peer went away or was let go: it looks for another source by itself
        }
        finally
        {
            lock (_gate)
            {
                _connections.Remove(connection);
            }
            connection.Dispose();
        }
    }

    /// <summary>Peers are told of a broadcast at the same moment: one may ask before this side has heard of it.</summary>
    BroadcastKey? Find(string name)
    {
        var begun = _options.World.Now();
        lock (_gate)
        {
            while (!_closed)
            {
                if (_broadcasts.TryGetValue(name, out var known))
                {
                    return known.Key;
                }
                if (_ended.Contains(name))
                {
                    return null;
                }
                var left = (_options.Join * 0.8) - _options.World.Since(begun);
                if (left <= TimeSpan.Zero || !_options.World.Wait(_gate, left))
                {
                    return null;
                }
            }
            return null;
        }
    }
}
