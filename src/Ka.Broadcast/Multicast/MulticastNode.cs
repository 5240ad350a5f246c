using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Broadcast.Multicast;

/// <summary>Where a node hears a multicast broadcast, and where it says how it stands.</summary>
/// <param name="Local">The node's own address on the way to the sender.</param>
/// <param name="Server">The server's end of the chain, which gives any part of the image.</param>
public sealed record MulticastTicket(BroadcastKey Key, ImageManifest Manifest, IPEndPoint Group, IPEndPoint Sender, IPAddress Local, ChainPeer Server);

/// <summary>
/// A receiver of a multicast broadcast. One thread hears datagrams and says what is missing; another proves whole chunks and hands them on in order. What
/// does not become whole in time, and everything when the sender falls silent, is fetched from the server by unicast.
/// </summary>
public sealed class MulticastNode : IDisposable
{
    /// <summary>Room in the kernel for what comes while the thread is not running.</summary>
    const int SocketBytes = 16 * 1024 * 1024;

    readonly MulticastTicket _ticket;
    readonly MulticastOptions _options;
    readonly ChainOptions _chain;
    readonly Stream _sink;
    readonly object _gate = new();
    readonly ChunkWindow _window;
    readonly Socket _group;
    readonly Socket _own;
    readonly CancellationTokenSource _ended = new();
    long _heardAt = Stopwatch.GetTimestamp();
    bool _heard;
    byte[]? _whole;
    long _byGroup, _byUnicast, _verified;

    /// <exception cref="SocketException">The group cannot be joined.</exception>
    public MulticastNode(MulticastTicket ticket, Stream sink, MulticastOptions options, ChainOptions chain)
    {
        (_ticket, _sink, _options, _chain) = (ticket, sink, options, chain);
        _window = new ChunkWindow(ticket.Manifest, options.Width);
        _group = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        _own = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            _group.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            Enlarge(_group);
            _group.Bind(ticket.Group); // the group's datagrams only
            _group.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.AddMembership, new MulticastOption(ticket.Group.Address, ticket.Local));
            _group.ReceiveTimeout = (int)options.Report.TotalMilliseconds;
            _own.Bind(new IPEndPoint(ticket.Local, 0));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Bytes that came by the group and bytes that came by unicast, as handed on.</summary>
    public (long ByGroup, long ByUnicast) Ways => (Interlocked.Read(ref _byGroup), Interlocked.Read(ref _byUnicast));

    /// <summary>Nothing has come from the group at all: nothing was handed on, and another way may begin anew.</summary>
    public bool HeardNothing { get; private set; }

    public ChainProgress Progress
    {
        get
        {
            var verified = Interlocked.Read(ref _verified);
            return new ChainProgress(_ticket.Manifest.Bytes, _byGroup + _byUnicast, 0, verified, verified, 0, _ticket.Sender.ToString(), 0, 0);
        }
    }

    /// <summary>
    /// Receives until every byte is proved and taken by the sink, or a fault ends it; with <see cref="HeardNothing"/> when no datagram came. On cancellation
    /// a sink that blocks must be broken by its owner.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public async Task<ChainOutcome> Receive(CancellationToken cancel)
    {
        await using (cancel.Register(End))
        {
            var hearing = Task.Factory.StartNew(Hear, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            var outcome = await Task.Factory.StartNew(Take, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            End();
            await hearing;
            cancel.ThrowIfCancellationRequested();
            return outcome;
        }
    }

    public void Dispose()
    {
        End();
        _group.Dispose();
        _own.Dispose();
    }

    void End()
    {
        _ended.Cancel();
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    static void Enlarge(Socket socket)
    {
        try
        {
            const int level = 1, receiveBufferForce = 33; // SOL_SOCKET, SO_RCVBUFFORCE of socket(7): beyond the system's limit, for root
            socket.SetRawSocketOption(level, receiveBufferForce, BitConverter.GetBytes(SocketBytes));
        }
        catch (SocketException)
        {
            socket.ReceiveBufferSize = SocketBytes; // as far as the system lets it
        }
    }

    void Hear()
    {
        var datagram = new byte[Datagram.Limit + 1];
        var state = new byte[Datagram.Limit];
        var reported = 0L;
        while (!_ended.IsCancellationRequested)
        {
            try
            {
                var length = _group.Receive(datagram, SocketFlags.None, out var error);
                if (error == SocketError.Success && Datagram.TryOpenData(datagram.AsSpan(0, length), _ticket.Key, out var chunk, out var piece, out var payload))
                {
                    Put(chunk, piece, payload);
                }
                if (Stopwatch.GetElapsedTime(reported) >= _options.Report)
                {
                    reported = Stopwatch.GetTimestamp();
                    Say(state);
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                if (e is ObjectDisposedException)
                {
                    return;
                }
            }
        }
        Say(state); // for the sender to know at once that this one is done
    }

    void Put(int chunk, int piece, ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            (_heard, _heardAt) = (true, Stopwatch.GetTimestamp());
            if (_window.Put(chunk, piece, payload) && chunk == _window.Next && _window.Complete() is not null || _window.IsBehind)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    void Say(byte[] datagram)
    {
        int length;
        lock (_gate)
        {
            var quiet = _heard && Stopwatch.GetElapsedTime(_heardAt) >= _options.Report;
            length = Datagram.SealState(datagram, _ticket.Key, new ReceiverState(_window.Next, _window.Missing(quiet, Datagram.RangeLimit)));
        }
        try
        {
            _own.SendTo(datagram.AsSpan(0, length), SocketFlags.None, _ticket.Sender);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // the sender has gone: its silence will be seen
        }
    }

    /// <summary>Hands on chunk after chunk, from wherever they come.</summary>
    ChainOutcome Take()
    {
        while (_window.Next < _window.Chunks)
        {
            switch (Wait())
            {
                case Turn.Ended:
                    return new ChainOutcome(Fault.Of(FaultCodes.BroadcastLost, "The reception was ended."), false, Progress);
                case Turn.Nothing:
                    HeardNothing = true;
                    return new ChainOutcome(Fault.Of(FaultCodes.BroadcastUnreachable, "Nothing came from the group.", _ticket.Group.ToString()), false, Progress);
                case Turn.Whole when Proves(_whole!):
                    if (!HandOn(_whole!, ref _byGroup, out var broken))
                    {
                        return broken!;
                    }
                    break;
                case Turn.Whole:
                    lock (_gate)
                    {
                        _window.Discard();
                    }
                    if (ByUnicast(1) is { } wrong)
                    {
                        return wrong;
                    }
                    break;
                case Turn.Fetch:
                    if (ByUnicast(Gap()) is { } failed)
                    {
                        return failed;
                    }
                    break;
            }
        }
        try
        {
            _sink.Flush();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            return SinkBroken(e);
        }
        return new ChainOutcome(null, false, Progress);
    }

    enum Turn
    {
        Whole,
        Fetch,
        Nothing,
        Ended,
    }

    Turn Wait()
    {
        lock (_gate)
        {
            var since = Stopwatch.GetTimestamp();
            while (!_ended.IsCancellationRequested)
            {
                if ((_whole = _window.Complete()) is not null)
                {
                    return Turn.Whole;
                }
                var waited = Stopwatch.GetElapsedTime(since);
                if (!_heard && waited > _options.First)
                {
                    return Turn.Nothing;
                }
                if (_heard && (_window.IsBehind || waited > _options.Repair))
                {
                    return Turn.Fetch;
                }
                Monitor.Wait(_gate, _options.Report);
            }
            return Turn.Ended;
        }
    }

    /// <summary>Chunks to fetch in a row: all when the sender is silent, up to where the stream is when it has gone on, else one.</summary>
    int Gap()
    {
        lock (_gate)
        {
            var silent = Stopwatch.GetElapsedTime(_heardAt) > _options.Repair;
            return silent ? _window.Chunks - _window.Next : _window.IsBehind ? _window.Farthest.Chunk - _window.Next : 1;
        }
    }

    /// <summary>Fetches so many chunks from the server; null when they were handed on.</summary>
    ChainOutcome? ByUnicast(int chunks)
    {
        var manifest = _ticket.Manifest;
        var until = Math.Min(manifest.Bytes, (long)(_window.Next + chunks) * manifest.ChunkBytes);
        ChainOutcome? ended = null;
        var before = _window.Next;
        var why = ChunkFetch.Fetch(_ticket.Server, _ticket.Key, (long)before * manifest.ChunkBytes, until, manifest.ChunkBytes, _chain, chunk =>
        {
            if (_ended.IsCancellationRequested)
            {
                return false;
            }
            if (!Proves(chunk))
            {
                ended = new ChainOutcome(Fault.Of(FaultCodes.ImageCorrupt, "The server's bytes are not those that were registered.", $"chunk {_window.Next}"), false, Progress);
                return false;
            }
            return HandOn(chunk, ref _byUnicast, out ended);
        });
        return ended ?? (why is not null && _window.Next == before ? new ChainOutcome(
            Fault.Of(FaultCodes.BroadcastUnreachable, "What was lost on the way could not be had from the server.", $"chunk {before}: {why}"), false, Progress) : null);
    }

    bool Proves(ReadOnlySpan<byte> chunk) => Convert.FromHexString(_ticket.Manifest.ChunkHashes[_window.Next]).AsSpan().SequenceEqual(SHA256.HashData(chunk));

    bool HandOn(ReadOnlySpan<byte> chunk, ref long counter, out ChainOutcome? broken)
    {
        broken = null;
        try
        {
            _sink.Write(chunk);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            broken = SinkBroken(e);
            return false;
        }
        lock (_gate)
        {
            _window.Advance();
        }
        Interlocked.Add(ref counter, chunk.Length);
        Interlocked.Add(ref _verified, chunk.Length);
        return true;
    }

    ChainOutcome SinkBroken(Exception e) => new(Fault.Of(FaultCodes.ImageExtractFailed, "The image could not be handed on to what unpacks it.", e.Message), true, Progress);
}
