using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Microsoft.Win32.SafeHandles;

namespace Ka.Broadcast.Multicast;

/// <summary>What a sender has done so far.</summary>
/// <param name="Receivers">Different ones that were heard of.</param>
/// <param name="BytesOut">Bytes of the image in datagrams, those sent again counted again.</param>
/// <param name="Again">Of these, pieces sent again.</param>
public sealed record MulticastReport(int Receivers, long BytesOut, long Again);

/// <summary>
/// The server's end of a multicast broadcast: one thread sends the image in order at the site's rate, and again what receivers have lost; another
/// hears the receivers. It never goes farther ahead of a receiver that keeps up than that can hold.
/// </summary>
public sealed class MulticastSender : IDisposable
{
    /// <summary>Bytes that may go out at once after a pause.</summary>
    const int Burst = 64 * 1024;

    readonly BroadcastKey _key;
    readonly ImageManifest _manifest;
    readonly MulticastSettings _settings;
    readonly MulticastOptions _options;
    readonly Audience _audience;
    readonly SafeFileHandle _file;
    readonly Socket _socket;
    readonly IPEndPoint _group;
    readonly object _gate = new();
    readonly long _begun = Stopwatch.GetTimestamp();
    (int Chunk, int Piece) _sent;
    long _bytesOut;
    long _again;
    bool _ended;

    MulticastSender(BroadcastKey key, SafeFileHandle file, ImageManifest manifest, MulticastSettings settings, Socket socket, int expected, MulticastOptions options)
    {
        (_key, _file, _manifest, _settings, _socket, _options) = (key, file, manifest, settings, socket, options);
        _audience = new Audience(expected, manifest.ChunkHashes.Length, options);
        _group = new IPEndPoint(IPAddress.Parse(settings.Group), settings.Port);
        new Thread(Hear) { IsBackground = true, Name = "multicast hear" }.Start();
        new Thread(Send) { IsBackground = true, Name = "multicast send" }.Start();
    }

    /// <summary>Where receivers say how they stand.</summary>
    public int Port => ((IPEndPoint)_socket.LocalEndPoint!).Port;

    public MulticastReport Report
    {
        get
        {
            lock (_gate)
            {
                return new MulticastReport(_audience.Count, _bytesOut, _again);
            }
        }
    }

    TimeSpan Now => Stopwatch.GetElapsedTime(_begun);

    /// <param name="address">The server's address on the nodes' network: datagrams leave by its interface.</param>
    /// <param name="expected">Receivers that are waited for before the first datagram.</param>
    public static (MulticastSender? Sender, Fault? Fault) Open(
        BroadcastKey key, string path, ImageManifest manifest, MulticastSettings settings, IPAddress address, int expected, MulticastOptions options)
    {
        Socket? socket = null;
        try
        {
            socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(new IPEndPoint(address, 0));
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastInterface, address.GetAddressBytes());
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastTimeToLive, settings.TimeToLive);
            return (new MulticastSender(key, File.OpenHandle(path), manifest, settings, socket, expected, options), null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            socket?.Dispose();
            return (null, Fault.Of(FaultCodes.BroadcastProgramFailed, "Nothing can be sent to the group.", $"{settings.Group}:{settings.Port} from {address}: {e.Message}"));
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _ended = true;
            Monitor.PulseAll(_gate);
        }
        _socket.Dispose();
        _file.Dispose();
    }

    void Hear()
    {
        var datagram = new byte[Datagram.Limit + 1];
        EndPoint from = new IPEndPoint(IPAddress.Any, 0);
        while (true)
        {
            try
            {
                var length = _socket.ReceiveFrom(datagram, ref from);
                if (Datagram.OpenState(datagram.AsSpan(0, length), _key) is not { } state)
                {
                    continue;
                }
                lock (_gate)
                {
                    _audience.Heard((IPEndPoint)from, state, _sent, Now);
                    Monitor.PulseAll(_gate);
                }
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionRefused or SocketError.ConnectionReset or SocketError.MessageSize)
            {
                // an answer to an earlier datagram, or somebody else's
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    void Send()
    {
        var datagram = new byte[Datagram.Limit];
        var pace = new Pacing(_settings.BitsPerSecond, Burst);
        try
        {
            while (Choose() is { } piece)
            {
                var length = Fill(datagram, piece);
                if (pace.Pause(length, Now) is { } pause && pause > TimeSpan.Zero)
                {
                    Thread.Sleep(pause);
                }
                _socket.SendTo(datagram.AsSpan(0, length), SocketFlags.None, _group);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException)
        {
            // Receivers that hear nothing any more turn to the chain, and say so.
        }
    }

    /// <summary>Waits for the next piece that is to be sent; null when all is done.</summary>
    (int Chunk, int Piece)? Choose()
    {
        lock (_gate)
        {
            while (!_ended)
            {
                var now = Now;
                if (_audience.IsGathered(now))
                {
                    if (_audience.Repair(now) is { } lost)
                    {
                        _again++;
                        return lost;
                    }
                    if (_sent.Chunk < _audience.Limit(now))
                    {
                        var piece = _sent;
                        _sent = piece.Piece + 1 < Datagram.PiecesOf(_manifest.LengthOf(piece.Chunk)) ? (piece.Chunk, piece.Piece + 1) : (piece.Chunk + 1, 0);
                        return piece;
                    }
                    if (_sent.Chunk == _manifest.ChunkHashes.Length && _audience.IsDone(now))
                    {
                        return null;
                    }
                }
                Monitor.Wait(_gate, _options.Report);
            }
            return null;
        }
    }

    int Fill(byte[] datagram, (int Chunk, int Piece) piece)
    {
        var at = piece.Piece * Datagram.PieceBytes;
        var length = Math.Min(Datagram.PieceBytes, _manifest.LengthOf(piece.Chunk) - at);
        var read = RandomAccess.Read(_file, datagram.AsSpan(Datagram.DataHeader, length), ((long)piece.Chunk * _manifest.ChunkBytes) + at);
        lock (_gate)
        {
            _bytesOut += read;
        }
        return Datagram.SealData(datagram, _key, piece.Chunk, piece.Piece, read);
    }
}

/// <summary>How long to wait before each datagram so that a rate is kept, whatever the clock's grain.</summary>
/// <param name="burst">Bytes that may follow each other without a pause.</param>
sealed class Pacing(long bitsPerSecond, int burst)
{
    TimeSpan _free;

    public TimeSpan? Pause(int bytes, TimeSpan now)
    {
        var grain = TimeSpan.FromSeconds(burst * 8.0 / bitsPerSecond);
        if (_free < now - grain)
        {
            _free = now - grain; // what was not used is not made up for
        }
        _free += TimeSpan.FromSeconds(bytes * 8.0 / bitsPerSecond);
        return _free <= now ? null : _free - now > TimeSpan.FromMilliseconds(1) ? _free - now : null;
    }
}
