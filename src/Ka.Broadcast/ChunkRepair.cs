using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using Ka.Core.Faults;

namespace Ka.Broadcast;

/// <summary>
/// Mends chunks with a wrong hash, one at a time, while the stream goes on into the ring. Who gave a wrong chunk is asked first where it was wrong: who
/// handed on what it had not yet checked knows by then, and a few bytes mend it; who insists that it was right is not asked any more. Then the
/// chunk is fetched from others, who give only what they have proved, and at last from the server.
/// </summary>
/// <remarks>For one thread.</remarks>
sealed class ChunkRepair(ChainTicket ticket, ByteRing ring, ChainReceiver receiver, ChainOptions options, Action<Fault> fail)
{
    /// <summary>Times that the server may give a chunk wrong, each time otherwise, before the image is given up. The same wrong bytes twice are enough.</summary>
    const int ServerLimit = 4;

    /// <summary>Numbers of wrong chunks that are kept.</summary>
    const int NoteLimit = 1024;

    readonly ImageManifest _manifest = ticket.Manifest;
    readonly GiverRecord _record = new(ticket.Manifest.ChunkBytes);
    readonly Lock _gate = new();
    readonly List<int> _bad = [];
    readonly List<string> _dropped = [];
    int _badCount;
    long _refetched;

    public long Refetched => Interlocked.Read(ref _refetched);

    public int BadCount => Volatile.Read(ref _badCount);

    /// <summary>Numbers of chunks that came wrong, the first of them.</summary>
    public ImmutableArray<int> Bad
    {
        get
        {
            lock (_gate)
            {
                return [.. _bad];
            }
        }
    }

    /// <summary>Peers that are not asked any more.</summary>
    public ImmutableArray<string> Dropped
    {
        get
        {
            lock (_gate)
            {
                return [.. _dropped];
            }
        }
    }

    /// <summary>Gives the right bytes of a chunk that came wrong, and to the ring too. Null when it is over.</summary>
    public byte[]? Mend(int index, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        var start = (long)index * _manifest.ChunkBytes;
        byte[] bad = [.. first, .. second];
        ring.Withhold(start, bad.Length);
        lock (_gate)
        {
            _badCount++;
            if (_bad.Count < NoteLimit)
            {
                _bad.Add(index);
            }
        }
        var givers = receiver.Givers(start, start + bad.Length);
        var amended = (byte[])bad.Clone();
        var answers = givers.Select(g => Amend(g, start, amended)).ToArray();
        var right = Proves(index, amended) ? amended : Fetch(index, givers, bad);
        if (right is null)
        {
            return null;
        }
        for (var i = 0; i < givers.Length; i++)
        {
            var isRight = Part(givers[i], start, amended).SequenceEqual(Part(givers[i], start, right));
            if (givers[i].Peer != receiver.Server && _record.IsToBlame(givers[i].Peer, answers[i], isRight))
            {
                Drop(givers[i].Peer);
            }
        }
        ring.Mend(new Run(start, right), Difference(start, bad, right));
        return right;
    }

    public static List<Run> Difference(long start, ReadOnlySpan<byte> wrong, ReadOnlySpan<byte> right)
    {
        const int together = 16; // a run of its own costs its header
        var runs = new List<Run>();
        for (var at = 0; at < wrong.Length;)
        {
            at += wrong[at..].CommonPrefixLength(right[at..]);
            if (at == wrong.Length)
            {
                break;
            }
            var (from, until) = (at, at + 1);
            for (; at < wrong.Length && at - until < together; at++)
            {
                until = wrong[at] == right[at] ? until : at + 1;
            }
            runs.Add(new Run(start + from, right[from..until].ToArray()));
        }
        return runs;
    }

    bool Proves(int index, ReadOnlySpan<byte> chunk) =>
        SHA256.HashData(chunk).AsSpan().SequenceEqual(Convert.FromHexString(_manifest.ChunkHashes[index]));

    static Span<byte> Part(Giver giver, long start, byte[] chunk) => chunk.AsSpan((int)(giver.From - start), (int)(giver.Until - giver.From));

    /// <summary>Lets a peer put right what it gave.</summary>
    GiverAnswer Amend(Giver giver, long start, byte[] chunk)
    {
        if (giver.Peer == receiver.Server || !_record.MayAmend(giver.Peer))
        {
            return GiverAnswer.None;
        }
        var answer = GiverAnswer.None;
        receiver.Ask(giver.Peer, new Wish(start, start + chunk.Length, IsAmendment: true), c => Amendments(c, giver, start, chunk, ref answer));
        return answer;
    }

    string? Amendments(ChainConnection connection, Giver giver, long start, byte[] chunk, ref GiverAnswer answer)
    {
        var begun = options.World.Now();
        Span<byte> offset = stackalloc byte[sizeof(long)];
        var (came, limit) = (0L, 2L * chunk.Length);
        while (true)
        {
            var (kind, length) = connection.ReceiveHeader();
            switch (kind)
            {
                case FrameKind.Amendment when length > sizeof(long) && length <= ChainConnection.FrameLimit && (came += length) <= limit:
                    connection.ReceiveExactly(offset);
                    var at = BinaryPrimitives.ReadInt64LittleEndian(offset);
                    var bytes = new byte[length - sizeof(long)];
                    connection.ReceiveExactly(bytes);
                    Came(bytes.Length);
                    _record.Amended(giver.Peer, bytes.Length);
                    Put(new Run(at, bytes), giver, start, chunk);
                    break;
                case FrameKind.KeepAlive when length == 0 && options.World.Since(begun) < options.SlowReader:
                    break;
                case FrameKind.End when length == 0:
                    answer = came > 0 ? GiverAnswer.Amended : GiverAnswer.TheyWereRight;
                    return null;
                default:
                    return "it does not say what was wrong";
            }
        }
    }

    /// <summary>Takes what a giver amends within its own part.</summary>
    static void Put(Run run, Giver giver, long start, byte[] chunk)
    {
        var (from, until) = (Math.Max(run.Offset, giver.From), Math.Min(run.End, giver.Until));
        if (from < until)
        {
            run.Bytes.AsSpan((int)(from - run.Offset), (int)(until - from)).CopyTo(chunk.AsSpan((int)(from - start)));
        }
    }

    /// <summary>Gets the whole chunk from somebody else; null when it is over.</summary>
    byte[]? Fetch(int index, ImmutableArray<Giver> givers, byte[] bad)
    {
        var start = (long)index * _manifest.ChunkBytes;
        var fromServer = givers.All(g => g.Peer == receiver.Server) ? 1 : 0;
        var wrong = fromServer > 0 ? bad : null;
        var begun = options.World.Now();
        var asked = givers.Select(g => g.Peer).ToHashSet();
        string? reason = null;
        while (true)
        {
            while (Probing.First(receiver.PeersBut(asked), ticket.Key, options) is { } peer)
            {
                asked.Add(peer);
                if (Whole(peer, start, bad.Length, out reason) is not { } chunk)
                {
                    continue;
                }
                if (Proves(index, chunk))
                {
                    return chunk;
                }
                Drop(peer); // it gives a part only when that is proved
            }
            while (Whole(receiver.Server, start, bad.Length, out reason) is { } chunk)
            {
                if (Proves(index, chunk))
                {
                    return chunk;
                }
                if (++fromServer >= ServerLimit || wrong is not null && wrong.AsSpan().SequenceEqual(chunk))
                {
                    fail(Fault.Of(FaultCodes.ImageCorrupt, "The server's bytes are not those that were registered.", $"chunk {index} at offset {start}, {fromServer} times"));
                    return null;
                }
                wrong = chunk;
            }
            asked = givers.Select(g => g.Peer).ToHashSet();
            if (!receiver.Pause(options.Retry))
            {
                return null;
            }
            if (options.World.Since(begun) > options.Stall)
            {
                fail(Fault.Of(FaultCodes.BroadcastStalled, $"No source gave chunk {index} again for {options.Stall.TotalSeconds:0} s.", $"{receiver.Server}: {reason}"));
                return null;
            }
        }
    }

    byte[]? Whole(ChainPeer peer, long start, int length, out string? reason)
    {
        var chunk = new byte[length];
        var at = 0;
        reason = receiver.Ask(peer, new Wish(start, start + length), c => Into(c, chunk, ref at));
        return at == length ? chunk : null;
    }

    string? Into(ChainConnection connection, byte[] chunk, ref int at)
    {
        var begun = options.World.Now();
        while (true)
        {
            var (kind, length) = connection.ReceiveHeader();
            switch (kind)
            {
                case FrameKind.Data when length > 0 && length <= Math.Min(chunk.Length - at, ChainConnection.FrameLimit):
                    connection.ReceiveExactly(chunk.AsSpan(at, length));
                    Came(length);
                    at += length;
                    break;
                case FrameKind.KeepAlive when length == 0 && options.World.Since(begun) < options.SlowReader:
                    break;
                case FrameKind.End when length == 0 && at == chunk.Length:
                    return null;
                case FrameKind.Refused:
                    return "it refused";
                default:
                    return "it did not give the whole part";
            }
        }
    }

    void Came(int count)
    {
        Interlocked.Add(ref _refetched, count);
        receiver.CameAside(count);
    }

    void Drop(ChainPeer peer)
    {
        lock (_gate)
        {
            if (!_dropped.Contains(peer.ToString()))
            {
                _dropped.Add(peer.ToString());
            }
        }
        receiver.Ban(peer);
    }
}
