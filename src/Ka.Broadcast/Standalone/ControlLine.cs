using System.Buffers.Binary;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Ka.Broadcast.Standalone;

/// <summary>What the two ends of a control line tell each other.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "is")]
[JsonDerivedType(typeof(Joined), "joined")]
[JsonDerivedType(typeof(Assigned), "assigned")]
[JsonDerivedType(typeof(Piece), "piece")]
[JsonDerivedType(typeof(Over), "over")]
[JsonDerivedType(typeof(Lost), "lost")]
[JsonDerivedType(typeof(Replanned), "replanned")]
[JsonDerivedType(typeof(Evicted), "evicted")]
[JsonDerivedType(typeof(Progressed), "progress")]
[JsonDerivedType(typeof(Ended), "ended")]
[JsonDerivedType(typeof(Dismissed), "dismissed")]
abstract record ControlMessage;

/// <summary>A receiver is ready.</summary>
/// <param name="Port">Where its successors reach it; its host is the one that the sender sees.</param>
sealed record Joined(string Name, int Port) : ControlMessage;

/// <summary>The sender's plan for this receiver.</summary>
sealed record Assigned(ImageManifest Manifest, ChainPeer[] Upstreams, int Successors) : ControlMessage;

/// <summary>The next piece of a live stream, and whom this receiver asks for it.</summary>
sealed record Piece(int Index, ImageManifest Manifest, ChainPeer[] Upstreams, int Successors) : ControlMessage;

/// <summary>A live stream has ended: no further piece comes.</summary>
sealed record Over : ControlMessage;

/// <summary>The sender has lost this receiver: whoever gets from it asks another one at once.</summary>
sealed record Lost(ChainPeer Peer) : ControlMessage;

/// <summary>Whom this receiver asks from now on; nobody until it is told otherwise where there is none.</summary>
sealed record Replanned(ChainPeer[] Upstreams) : ControlMessage;

/// <summary>This receiver is ended by the policy for stragglers.</summary>
sealed record Evicted(string Reason) : ControlMessage;

sealed record Progressed(ChainProgress Progress) : ControlMessage;

/// <summary>A receiver has everything, or says why not.</summary>
sealed record Ended(ChainProgress Progress, string? Code, string? Message) : ControlMessage;

/// <summary>All have ended: nobody needs this receiver any more.</summary>
sealed record Dismissed : ControlMessage;

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(ControlMessage))]
sealed partial class ControlJson : JsonSerializerContext;

/// <summary>
/// A TCP connection between sender and receiver for messages in JSON. Each side begins with a nonce; every message carries a length, an
/// HMAC-SHA256 over direction, number and text under a key made of the broadcast's key and both nonces, and the text: who does not know the
/// key can neither say anything nor say anything twice. What is said can be read.
/// </summary>
sealed class ControlLine : IDisposable
{
    /// <summary>A manifest of 100 GiB in chunks of 1 MiB has 7 MB.</summary>
    const int MessageLimit = 64 * 1024 * 1024;

    const int NonceBytes = 16;

    readonly NetworkStream _stream;
    readonly byte[] _session;
    readonly Lock _sending = new();
    readonly byte _mine;
    long _sent;
    long _received;

    ControlLine(Socket socket, byte[] session, bool isSender)
    {
        (_session, _mine) = (session, (byte)(isSender ? 1 : 0));
        _stream = new NetworkStream(socket, ownsSocket: true);
        Peer = ((System.Net.IPEndPoint)socket.RemoteEndPoint!).Address;
    }

    public System.Net.IPAddress Peer { get; }

    /// <summary>Opens the line over a connected socket. Throws <see cref="IOException"/> or <see cref="SocketException"/> when the peer goes away.</summary>
    public static ControlLine Open(Socket socket, BroadcastKey key, bool isSender)
    {
        socket.NoDelay = true;
        var mine = RandomNumberGenerator.GetBytes(NonceBytes);
        socket.Send(mine);
        var theirs = new byte[NonceBytes];
        for (var at = 0; at < NonceBytes;)
        {
            var count = socket.Receive(theirs.AsSpan(at));
            at += count > 0 ? count : throw new SocketException((int)SocketError.ConnectionReset);
        }
        var session = key.Sign([.. "ka-control"u8, .. isSender ? mine : theirs, .. isSender ? theirs : mine]);
        return new ControlLine(socket, session, isSender);
    }

    public void Send(ControlMessage message)
    {
        var text = JsonSerializer.SerializeToUtf8Bytes(message, ControlJson.Default.ControlMessage);
        lock (_sending)
        {
            var frame = new byte[sizeof(int) + BroadcastKey.MacBytes + text.Length];
            BinaryPrimitives.WriteInt32LittleEndian(frame, text.Length);
            Mac(_mine, _sent++, text).CopyTo(frame, sizeof(int));
            text.CopyTo(frame, sizeof(int) + BroadcastKey.MacBytes);
            _stream.Write(frame);
        }
    }

    /// <summary>The next message. Null when the line has ended; throws <see cref="InvalidDataException"/> when the peer does not know the key.</summary>
    public ControlMessage? Receive()
    {
        var head = new byte[sizeof(int) + BroadcastKey.MacBytes];
        if (_stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) < head.Length)
        {
            return null;
        }
        var length = BinaryPrimitives.ReadInt32LittleEndian(head);
        if (length is < 2 or > MessageLimit)
        {
            throw new InvalidDataException("it does not speak this protocol");
        }
        var text = new byte[length];
        _stream.ReadExactly(text);
        if (!CryptographicOperations.FixedTimeEquals(Mac((byte)(1 - _mine), _received++, text), head.AsSpan(sizeof(int))))
        {
            throw new InvalidDataException("it does not know the key of the broadcast");
        }
        return JsonSerializer.Deserialize(text, ControlJson.Default.ControlMessage);
    }

    public void Dispose() => _stream.Dispose();

    byte[] Mac(byte direction, long number, byte[] text)
    {
        var said = new byte[1 + sizeof(long) + text.Length];
        said[0] = direction;
        BinaryPrimitives.WriteInt64LittleEndian(said.AsSpan(1), number);
        text.CopyTo(said, 1 + sizeof(long));
        return HMACSHA256.HashData(_session, said);
    }
}
