using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Broadcast;

/// <summary>What a node has to receive, and from whom.</summary>
/// <param name="Upstreams">In order of preference; the last is the server, which holds every offset.</param>
/// <param name="Successors">How many nodes the plan tells to ask this one first.</param>
public sealed record ChainTicket(BroadcastKey Key, ImageManifest Manifest, ImmutableArray<ChainPeer> Upstreams, int Successors);

/// <summary>
/// A node of a chain: takes the stream from the first source that gives it, hands it on to successors as it comes, and gives only verified
/// chunks to its sink. Three kinds of blocking threads share one ring: the receiver, the verifier, and one for each successor.
/// </summary>
public sealed class ChainNode : IChainContent, IDisposable
{
    /// <summary>Bytes in one frame of an amendment.</summary>
    const int AmendmentLimit = ChainConnection.FrameLimit / 2;

    readonly ChainTicket _ticket;
    readonly ChainListener _listener;
    readonly ChainOptions _options;
    readonly Stream _sink;
    readonly ByteRing _ring;
    readonly ChainReceiver _receiver;
    readonly ChunkRepair _repair;
    Fault? _fault;
    bool _sinkFailed;
    bool _complete;

    /// <param name="sink">Takes the verified bytes in order; it is flushed at the end and stays open.</param>
    public ChainNode(ChainTicket ticket, ChainListener listener, Stream sink, ChainOptions options)
    {
        if (!(ticket.Manifest.IsSound || ticket.Manifest.IsUnverified) || ticket.Upstreams.IsEmpty)
        {
            throw new ArgumentException("The manifest contradicts itself, or there is no source.", nameof(ticket));
        }
        _ticket = ticket;
        _listener = listener;
        _options = options = options with { ZeroCopy = options.ZeroCopy && !ticket.Key.IsEncrypted };
        _sink = sink;
        _ring = new ByteRing((int)Math.Max(options.RingOf(ticket.Key.IsEncrypted), 4L * ticket.Manifest.ChunkBytes), ticket.Manifest.Bytes, ticket.Successors, options);
        _receiver = new ChainReceiver(ticket, _ring, options, Fail);
        _repair = new ChunkRepair(ticket, _ring, _receiver, options, Fail);
    }

    public ChainProgress Progress
    {
        get
        {
            var (head, verified, sunk, sent, readers) = _ring.Marks;
            return new ChainProgress(_ring.Total, _receiver.BytesIn, sent, verified, sunk,
                head - sunk, _receiver.Upstream, readers, _receiver.Switches) { RingCapacity = _ring.Capacity, BadChunks = _repair.BadCount, Refetched = _repair.Refetched, Dropped = _repair.Dropped };
        }
    }

    /// <summary>
    /// Receives until every byte is verified and taken by the sink, or a fault ends it. On cancellation a sink that blocks must be broken by its
    /// owner. Successors are served on until <see cref="Linger"/> has ended or the node is disposed.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public async Task<ChainOutcome> Receive(CancellationToken cancel)
    {
        _listener.Register(_ticket.Key, this);
        await using (cancel.Register(Stop))
        {
            // Should one of them break, the other must not wait for it.
            await Task.WhenAll(_options.World.Run("chain receive", _receiver.Run, Stop), _options.World.Run("chain verify", Verify, Stop));
        }
        if (_fault is null && !_complete)
        {
            cancel.ThrowIfCancellationRequested();
            throw new OperationCanceledException("The node was disposed.");
        }
        return new ChainOutcome(_fault, _sinkFailed, Progress) { BadChunks = _repair.Bad };
    }

    /// <summary>Serves on until the successors of the plan have everything, or none has asked for <see cref="ChainOptions.Linger"/>.</summary>
    public Task Linger() => _options.World.Run("chain linger", () => _ring.WaitUnread(_options.Linger));

    public void Dispose()
    {
        Stop();
        _listener.Unregister(_ticket.Key, this);
        _ring.Store.Dispose();
    }

    /// <summary>Takes a new order of sources, the server last; leaves the present one when it is not among them. With none it waits for the next order.</summary>
    public void Replan(ImmutableArray<ChainPeer> upstreams) => _receiver.Replan(upstreams);

    /// <summary>Ends the reception by the policy for stragglers.</summary>
    public void Evict(string reason) => Fail(Fault.Of(FaultCodes.BroadcastStraggler, reason));

    /// <summary>Ends the reception: it is of no more use.</summary>
    internal void End(Fault fault) => Fail(fault);

    void IChainContent.Serve(ChainConnection connection, Wish wish)
    {
        if (wish.IsAmendment)
        {
            Amend(connection, wish);
            return;
        }
        using var tap = _ring.Store.Tap();
        if (_ring.Attach(wish, connection, tap) is not { } reader)
        {
            connection.SendFrame(FrameKind.Refused);
            return;
        }
        try
        {
            if (reader.Position > wish.Offset)
            {
                connection.SendFrame(FrameKind.From, AtOffset(reader.Position, []));
            }
            var taken = 0;
            while (true)
            {
                var signal = _ring.Next(reader, taken, Math.Min(_options.BlockBytes, ChainConnection.FrameLimit), _options.KeepAlive, out var count);
                taken = 0;
                switch (signal)
                {
                    case RingSignal.Ready:
                        taken = tap.Send(connection, reader.Position, count);
                        if (taken == 0)
                        {
                            return; // let go meanwhile
                        }
                        break;
                    case RingSignal.Mended:
                        connection.SendFrame(FrameKind.Data, reader.Mended);
                        taken = count;
                        break;
                    case RingSignal.Unfinished:
                        tap.Finish(connection, taken = count);
                        break;
                    case RingSignal.Idle:
                        connection.SendFrame(FrameKind.KeepAlive);
                        break;
                    case RingSignal.End:
                        connection.SendFrame(FrameKind.End);
                        connection.Finish(_options.Linger);
                        return;
                    case RingSignal.Dropped:
                        connection.SendFrame(FrameKind.Refused);
                        return;
                    case RingSignal.Closed:
                        return;
                }
            }
        }
        finally
        {
            _ring.Detach(reader);
        }
    }

    /// <summary>Tells one that got a wrong chunk from here what is right in it, once that is known.</summary>
    void Amend(ChainConnection connection, Wish wish)
    {
        IReadOnlyList<Run> amendment = [];
        var signal = RingSignal.Dropped;
        while (wish.Until <= _ring.Total && (signal = _ring.WaitAmendment(wish.Offset, wish.Until, _options.KeepAlive, out amendment)) == RingSignal.Idle)
        {
            connection.SendFrame(FrameKind.KeepAlive);
        }
        if (signal != RingSignal.End)
        {
            connection.SendFrame(FrameKind.Refused);
            return;
        }
        foreach (var run in amendment)
        {
            for (var at = 0; at < run.Bytes.Length; at += AmendmentLimit)
            {
                var piece = run.Bytes.AsSpan(at, Math.Min(AmendmentLimit, run.Bytes.Length - at));
                connection.SendFrame(FrameKind.Amendment, AtOffset(run.Offset + at, piece));
            }
        }
        connection.SendFrame(FrameKind.End);
        connection.Finish(_options.Linger);
    }

    static byte[] AtOffset(long offset, ReadOnlySpan<byte> bytes)
    {
        var payload = new byte[sizeof(long) + bytes.Length];
        BinaryPrimitives.WriteInt64LittleEndian(payload, offset);
        bytes.CopyTo(payload.AsSpan(sizeof(long)));
        return payload;
    }

    void Verify()
    {
        var manifest = _ticket.Manifest;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (manifest.IsUnverified && _sink == Stream.Null)
        {
            _ring.SinkAtOnce();
            _complete = _ring.WaitHead(manifest.Bytes) == RingSignal.Ready;
            return;
        }
        using var tap = _ring.Store.Tap();
        var index = 0;
        var chunks = (manifest.Bytes + manifest.ChunkBytes - 1) / manifest.ChunkBytes;
        while (index < chunks)
        {
            var start = (long)index * manifest.ChunkBytes;
            var length = manifest.LengthOf(index);
            if (_ring.WaitHead(start + length) != RingSignal.Ready)
            {
                return;
            }
            tap.Chunk(start, length, manifest.IsUnverified ? null : hash, out var first, out var second);
            if (!manifest.IsUnverified && !Proves(hash, manifest.ChunkHashes[index]))
            {
                if (_repair.Mend(index, first, second) is not { } right)
                {
                    return;
                }
                first = right;
                second = default;
            }
            _ring.Verified(start + length);
            if (!Write(first) || !Write(second))
            {
                return;
            }
            _ring.Sunk(start + length);
            index++;
        }
        _complete = Flush();
    }

    static bool Proves(IncrementalHash hash, string expected)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        hash.GetHashAndReset(digest);
        return digest.SequenceEqual(Convert.FromHexString(expected));
    }

    bool Flush()
    {
        try
        {
            _sink.Flush();
            return true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            return Refused(e);
        }
    }

    /// <summary>Hands verified bytes to the sink.</summary>
    bool Write(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _sink.Write(bytes);
            return true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            return Refused(e);
        }
    }

    bool Refused(Exception e)
    {
        _sinkFailed = true;
        Fail(Fault.Of(FaultCodes.ImageExtractFailed, "The unpacking program took no more bytes.", e.Message));
        return false;
    }

    /// <summary>The first fault counts.</summary>
    void Fail(Fault fault)
    {
        Interlocked.CompareExchange(ref _fault, fault, null);
        Stop();
    }

    void Stop()
    {
        _ring.Close();
        _receiver.Stop();
    }
}
