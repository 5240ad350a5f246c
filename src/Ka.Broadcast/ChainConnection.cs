using System.Buffers.Binary;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Ka.Broadcast;

/// <summary>Kinds of frames, from the serving to the asking side.</summary>
enum FrameKind : byte
{
    Data = 1,
    KeepAlive = 2,

    /// <summary>The stream ends at the present offset.</summary>
    End = 3,

    /// <summary>Nothing is to be had here: ask somebody else.</summary>
    Refused = 5,

    /// <summary>The stream begins at this later offset (8 bytes, little-endian): what lies before is no longer held here. It waits while the asker gets that elsewhere.</summary>
    From = 6,

    /// <summary>In a swarm: numbers of chunks (4 bytes each, little-endian) that are here from now on.</summary>
    Have = 7,

    /// <summary>In a swarm: the data frames that follow are the chunk of this number (4 bytes, little-endian).</summary>
    Chunk = 8,

    /// <summary>What is right in the place of wrong bytes that the asker was given: an offset (8 bytes, little-endian) and the bytes from there.</summary>
    Amendment = 9,
}

/// <summary>One blocking TCP connection of a chain. A frame is one kind byte, three zero bytes, a little-endian 32-bit length, and that many bytes.</summary>
sealed class ChainConnection : IDisposable
{
    public const int HeaderBytes = 8;

    /// <summary>No frame may be longer, whatever the sender's options say. What comes of a frame is handed on before all of it has come.</summary>
    public const int FrameLimit = 1024 * 1024;

    Wire _socket;
    readonly BroadcastWorld _world;
    readonly byte[] _header = new byte[HeaderBytes];
    readonly List<ArraySegment<byte>> _gather = new(2);
    long _heardAt;

    public ChainConnection(Wire wire, BroadcastWorld world)
    {
        (_socket, _world) = (wire, world);
        _heardAt = world.Now();
    }

    public string Peer => _socket.Peer;

    /// <summary>Whom this side has dialled; null on the serving side.</summary>
    public ChainPeer? From { get; init; }

    /// <summary>The handshake is over: what is sent now is no part of it.</summary>
    public volatile bool HasProved;

    /// <summary>Connects, or throws <see cref="SocketException"/>.</summary>
    public static ChainConnection Dial(ChainPeer peer, ChainOptions options) =>
        new(options.World.Dial(peer, options.Connect), options.World) { From = peer };

    public void SetTimeouts(TimeSpan receive, TimeSpan send)
    {
        _socket.ReceiveTimeout = Milliseconds(receive);
        _socket.SendTimeout = Milliseconds(send);
    }

    /// <summary>What both sides' proofs of the key are bound to: the encryption below them; empty without one.</summary>
    public byte[] Binding => (_socket as EncryptedWire)?.Binding ?? [];

    /// <summary>From now on in TLS, which this side asks for; throws <see cref="SocketException"/>.</summary>
    public void Encrypt() => _socket = EncryptedWire.Ask(RealSocket());

    /// <summary>Speaks TLS from now on when the other side does; throws <see cref="SocketException"/>.</summary>
    public void AnswerEncryption()
    {
        if (_socket is SocketWire socket && socket.Peek() == EncryptedWire.FirstByte)
        {
            _socket = EncryptedWire.Listen(socket);
        }
    }

    SocketWire RealSocket() => _socket as SocketWire ?? throw new SocketException((int)SocketError.ProtocolNotSupported);

    /// <summary>Receives what is there, at least one byte; throws when the peer has closed.</summary>
    public int Receive(Span<byte> into)
    {
        var count = _socket.Receive(into);
        return count > 0 ? count : throw new SocketException((int)SocketError.ConnectionReset);
    }

    public void ReceiveExactly(Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            into = into[Receive(into)..];
        }
    }

    /// <summary>Waits until something can be received; throws when the peer is silent.</summary>
    public void WaitReadable(int wanted) => ((SocketWire)_socket).WaitReadable(wanted);

    /// <summary>Moves what is there into a pipe; zero when it takes no more.</summary>
    public int Splice(Pipe into, int count) => ((SocketWire)_socket).ReceiveInto(into, count);

    public (FrameKind Kind, int Length) ReceiveHeader()
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        ReceiveExactly(header);
        return ((FrameKind)header[0], BinaryPrimitives.ReadInt32LittleEndian(header[4..]));
    }

    public void Send(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[_socket.Send(bytes)..];
        }
    }

    public void SendFrame(FrameKind kind) => SendFrame(kind, []);

    /// <summary>Sends header and payload with one system call where the kernel takes both.</summary>
    public void SendFrame(FrameKind kind, ArraySegment<byte> payload)
    {
        _gather.Clear();
        _gather.Add(Header(kind, payload.Count));
        if (payload.Count > 0)
        {
            _gather.Add(payload);
        }
        var sent = _socket.Send(_gather);
        if (sent < HeaderBytes)
        {
            Send(_header.AsSpan(sent));
            sent = HeaderBytes;
        }
        if (sent < HeaderBytes + payload.Count)
        {
            Send(payload.AsSpan(sent - HeaderBytes));
        }
    }

    /// <summary>Sends a data frame whose payload comes out of a pipe.</summary>
    public void SendData(Pipe from, int count)
    {
        var socket = (SocketWire)_socket;
        socket.SendAhead(Header(FrameKind.Data, count));
        socket.SendFrom(from, count);
    }

    /// <summary>As <see cref="SendData"/>, but sends only as much of the payload as goes without waiting, and returns how much that was; -1 when not even a frame could be begun.</summary>
    public int SendDataAtOnce(Pipe from, int count)
    {
        var socket = (SocketWire)_socket;
        if (!socket.TrySendAhead(Header(FrameKind.Data, count)))
        {
            return -1;
        }
        return socket.SendAtOnce(from, count);
    }

    /// <summary>Sends the rest of a begun payload.</summary>
    public void SendRest(Pipe from, int count) => ((SocketWire)_socket).SendFrom(from, count);

    /// <summary>Sends a data frame whose payload is a part of a file; false where this connection cannot.</summary>
    public bool TrySendData(SafeFileHandle file, long offset, int count)
    {
        if (_socket is not SocketWire socket)
        {
            return false;
        }
        socket.SendAhead(Header(FrameKind.Data, count));
        socket.SendFrom(file, offset, count);
        return true;
    }

    byte[] Header(FrameKind kind, int length)
    {
        _header.AsSpan().Clear();
        _header[0] = (byte)kind;
        BinaryPrimitives.WriteInt32LittleEndian(_header.AsSpan(4), length);
        return _header;
    }

    /// <summary>Tells the serving side that this one lives; it reads nothing else.</summary>
    public void Beat()
    {
        try
        {
            _socket.Send([0]);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // whoever receives here sees it
        }
    }

    /// <summary>When the asking side has last beaten, as far as was looked, in the world's time.</summary>
    public long HeardAt => _heardAt;

    /// <summary>Looks whether it has beaten. An encrypted connection is left alone: there one might have to wait for the rest of a record.</summary>
    public void Hear()
    {
        if (_socket is not EncryptedWire)
        {
            IsSilent(TimeSpan.MaxValue);
        }
    }

    /// <summary>Whether the asking side has not beaten for this long, as far as was looked.</summary>
    public bool IsSilent(TimeSpan limit)
    {
        try
        {
            Span<byte> beats = stackalloc byte[64];
            while (_socket.Available > 0 && _socket.Receive(beats) > 0)
            {
                _heardAt = _world.Now();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return true;
        }
        return _world.Since(_heardAt) > limit;
    }

    /// <summary>Says that nothing more comes, and waits until the peer has taken everything and closed.</summary>
    public void Finish(TimeSpan patience)
    {
        _socket.ShutdownSend();
        _socket.ReceiveTimeout = Milliseconds(patience);
        Span<byte> rest = stackalloc byte[64];
        while (_socket.Receive(rest) > 0)
        {
        }
    }

    /// <summary>Closes with a reset; wakes a thread that sends or receives here. May be called from any thread.</summary>
    public void Abort() => _socket.Reset();

    public void Dispose() => _socket.Dispose();

    internal static int Milliseconds(TimeSpan span) => (int)Math.Clamp(span.TotalMilliseconds, 1, int.MaxValue);
}

/// <summary>Where a node of the chain, or the server, listens.</summary>
public sealed record ChainPeer(string Host, int Port)
{
    public override string ToString() => $"{Host}:{Port}";
}
