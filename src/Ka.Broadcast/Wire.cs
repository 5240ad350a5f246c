using System.Net;
using System.Net.Sockets;

namespace Ka.Broadcast;

/// <summary>
/// One connection as the protocol sees it; every member does what the member of <see cref="Socket"/> of the same name does and throws what
/// that throws.
/// </summary>
abstract class Wire : IDisposable
{
    /// <summary>The other side, for people.</summary>
    public abstract string Peer { get; }

    /// <summary>Milliseconds.</summary>
    public abstract int ReceiveTimeout { set; }

    /// <summary>Milliseconds.</summary>
    public abstract int SendTimeout { set; }

    /// <summary>Bytes that can be received without waiting.</summary>
    public abstract int Available { get; }

    /// <summary>Zero when the other side has said that nothing more comes.</summary>
    public abstract int Receive(Span<byte> into);

    public abstract int Send(ReadOnlySpan<byte> bytes);

    public abstract int Send(List<ArraySegment<byte>> pieces);

    /// <summary>Says that nothing more comes from this side.</summary>
    public abstract void ShutdownSend();

    /// <summary>Closes with a reset; wakes a thread that sends or receives here.</summary>
    public abstract void Reset();

    public abstract void Dispose();
}

/// <summary>Where connections come in.</summary>
abstract class Door : IDisposable
{
    public abstract int Port { get; }

    public abstract Wire Accept();

    public abstract void Dispose();
}

sealed partial class SocketWire : Wire
{
    readonly Socket _socket;

    public SocketWire(Socket socket, string peer)
    {
        (_socket, Peer) = (socket, peer);
        _socket.NoDelay = true;
    }

    public Socket Socket => _socket;

    public override string Peer { get; }

    public override int ReceiveTimeout { set => _socket.ReceiveTimeout = value; }

    public override int SendTimeout { set => _socket.SendTimeout = value; }

    public override int Available => _socket.Available;

    /// <summary>Connects, or throws <see cref="SocketException"/>.</summary>
    public static SocketWire Dial(ChainPeer peer, TimeSpan patience)
    {
        if (!IPAddress.TryParse(peer.Host, out var address))
        {
            address = Dns.GetHostAddresses(peer.Host).FirstOrDefault() ?? throw new SocketException((int)SocketError.HostNotFound);
        }
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            CongestionControl.AvoidPacing(socket);
            socket.SendTimeout = ChainConnection.Milliseconds(patience); // SO_SNDTIMEO also bounds connect(2)
            socket.Connect(address, peer.Port);
            return new SocketWire(socket, peer.ToString());
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public override int Receive(Span<byte> into) => ReceiveHere(into, SocketFlags.None);

    public override int Send(ReadOnlySpan<byte> bytes) => _socket.Send(bytes);

    public override int Send(List<ArraySegment<byte>> pieces) => _socket.Send(pieces);

    public override void ShutdownSend() => _socket.Shutdown(SocketShutdown.Send);

    public override void Reset()
    {
        try
        {
            _socket.LingerState = new LingerOption(true, 0);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // it is closed already
        }
        _socket.Dispose();
    }

    public override void Dispose() => _socket.Dispose();
}

sealed class SocketDoor : Door
{
    readonly Socket _socket;

    public SocketDoor(IPAddress address, int port)
    {
        _socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (address.Equals(IPAddress.IPv6Any))
            {
                _socket.DualMode = true;
            }
            CongestionControl.AvoidPacing(_socket); // what it accepts inherits it
            _socket.Bind(new IPEndPoint(address, port));
            _socket.Listen(256);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
        Port = ((IPEndPoint)_socket.LocalEndPoint!).Port;
    }

    public override int Port { get; }

    public override Wire Accept()
    {
        var accepted = _socket.Accept();
        return new SocketWire(accepted, accepted.RemoteEndPoint?.ToString() ?? "");
    }

    public override void Dispose() => _socket.Dispose();
}
