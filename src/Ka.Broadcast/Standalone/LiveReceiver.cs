using System.Collections.Immutable;
using System.Threading.Channels;
using Ka.Core.Faults;

namespace Ka.Broadcast.Standalone;

/// <summary>
/// The receiving end of <see cref="LiveSender"/>: takes several pieces at once, and gives them on, though its sink takes one after the other.
/// </summary>
sealed class LiveReceiver(ControlLine line, ChainListener listener, BroadcastKey key, Stream sink, ChainOptions options) : IDisposable
{
    /// <summary>Pieces that are received or given on at the same time; each is held as a whole.</summary>
    public const int Kept = 3;

    readonly Channel<Piece> _pieces = Channel.CreateUnbounded<Piece>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
    readonly object _gate = new();
    readonly Queue<Taking> _takings = new(Kept);
    readonly HashSet<ChainPeer> _lost = [];
    ChainProgress _before = new(long.MaxValue, 0, 0, 0, 0, 0, null, 0, 0);
    int _turn;
    volatile bool _over;
    Fault? _end;

    sealed record Taking(ChainNode Node, ImmutableArray<ChainPeer> Upstreams)
    {
        public bool HasEnded { get; set; }

        public Task Task { get; set; } = Task.CompletedTask;
    }

    /// <summary>Of the whole stream so far; its length is not known.</summary>
    public ChainProgress Progress
    {
        get
        {
            lock (_gate)
            {
                return _takings.Where(t => !t.HasEnded).Aggregate(_before, (sum, t) => Sum(sum, t.Node.Progress));
            }
        }
    }

    /// <summary>Receives until the stream is over, or why not; null is success.</summary>
    /// <param name="first">What the sender said first.</param>
    public async Task<Fault?> Run(ControlMessage first, CancellationToken cancel)
    {
        var dismissed = Task.Run(() => Listen(first), CancellationToken.None);
        using var reports = new ProgressReports(line, options, () => Progress);
        var fault = await Take(cancel);
        reports.End(Progress, fault);
        if (fault is null && !await dismissed.WaitAsync(cancel))
        {
            await Task.WhenAll(_takings.Select(t => t.Node.Linger()));
        }
        return fault;
    }

    void Write(ReadOnlySpan<byte> bytes) => sink.Write(bytes);

    async Task<Fault?> Take(CancellationToken cancel)
    {
        await foreach (var piece in _pieces.Reader.ReadAllAsync(cancel))
        {
            if (!piece.Manifest.IsSound || piece.Upstreams.Length == 0)
            {
                End(Fault.Of(FaultCodes.ManifestInvalid, "The sender's plan contradicts itself."));
                break;
            }
            if (_takings.Count == Kept)
            {
                await _takings.Peek().Task;
                lock (_gate)
                {
                    _takings.Dequeue().Node.Dispose();
                }
            }
            Begin(piece, cancel);
        }
        await Task.WhenAll(_takings.Select(t => t.Task));
        if (_end is null)
        {
            sink.Flush();
        }
        return _end;
    }

    void Begin(Piece piece, CancellationToken cancel)
    {
        lock (_gate)
        {
            ImmutableArray<ChainPeer> upstreams = [.. piece.Upstreams];
            var node = new ChainNode(new ChainTicket(key.Piece(piece.Index), piece.Manifest, Living(upstreams), piece.Successors), listener, new Turn(this, piece.Index), options);
            var taking = new Taking(node, upstreams);
            _takings.Enqueue(taking);
            taking.Task = TakeOne(taking, cancel);
            if (_end is not null)
            {
                node.End(_end);
            }
        }
    }

    async Task TakeOne(Taking taking, CancellationToken cancel)
    {
        var outcome = await taking.Node.Receive(cancel);
        if (outcome.Fault is { } fault)
        {
            End(fault);
        }
        lock (_gate)
        {
            (_before, taking.HasEnded) = (Sum(_before, outcome.Progress), true);
            _turn++;
            Monitor.PulseAll(_gate);
        }
        StandaloneReceiver.Say(line, new Progressed(Progress)); // at once: the sender goes by it
    }

    /// <summary>The sender, the last, is asked at any time.</summary>
    ImmutableArray<ChainPeer> Living(ImmutableArray<ChainPeer> upstreams) => [.. upstreams.SkipLast(1).Where(u => !_lost.Contains(u)), upstreams[^1]];

    /// <summary>True when the sender has dismissed this receiver, false when it is gone.</summary>
    bool Listen(ControlMessage first)
    {
        try
        {
            for (var message = first; message is not null; message = line.Receive())
            {
                switch (message)
                {
                    case Piece piece:
                        _pieces.Writer.TryWrite(piece);
                        break;
                    case Over:
                        _over = true;
                        _pieces.Writer.TryComplete();
                        break;
                    case Lost lost:
                        lock (_gate)
                        {
                            _lost.Add(lost.Peer);
                            foreach (var taking in _takings)
                            {
                                taking.Node.Replan(Living(taking.Upstreams));
                            }
                        }
                        break;
                    case Evicted evicted:
                        End(Fault.Of(FaultCodes.BroadcastStraggler, evicted.Reason));
                        break;
                    case Dismissed:
                        return true;
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidDataException)
        {
            // as below
        }
        finally
        {
            if (!_over)
            {
                End(Fault.Of(FaultCodes.BroadcastLost, "The sender went away before its stream had ended."));
            }
        }
        return false;
    }

    /// <summary>Nothing more comes; the first reason counts.</summary>
    void End(Fault fault)
    {
        lock (_gate)
        {
            _end ??= fault;
            foreach (var taking in _takings)
            {
                taking.Node.End(_end);
            }
            Monitor.PulseAll(_gate);
        }
        _pieces.Writer.TryComplete();
    }

    static ChainProgress Sum(ChainProgress before, ChainProgress now) => now with
    {
        Total = long.MaxValue,
        BytesIn = before.BytesIn + now.BytesIn,
        BytesOut = before.BytesOut + now.BytesOut,
        Verified = before.Verified + now.Verified,
        Written = before.Written + now.Written,
        Switches = before.Switches + now.Switches,
        BadChunks = before.BadChunks + now.BadChunks,
        Refetched = before.Refetched + now.Refetched,
        Dropped = [.. before.Dropped.Union(now.Dropped)],
    };

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var taking in _takings)
            {
                taking.Node.Dispose();
            }
        }
    }

    /// <summary>The sink, when it is this piece's turn. It is flushed once, at the end of the stream.</summary>
    sealed class Turn(LiveReceiver receiver, int index) : WriteOnlyStream
    {
        public override void Write(ReadOnlySpan<byte> bytes)
        {
            lock (receiver._gate)
            {
                while (receiver._turn < index && receiver._end is null)
                {
                    Monitor.Wait(receiver._gate);
                }
                if (receiver._end is not null)
                {
                    throw new IOException("the stream has ended before");
                }
            }
            receiver.Write(bytes);
        }
    }
}
