using System.Buffers.Binary;
using Ka.Broadcast;

namespace Ka.Simulation.Broadcasts;

/// <summary>Bytes of an image of which one bit goes wrong, each once.</summary>
/// <param name="lag">Bytes that are received before one goes wrong in memory.</param>
sealed class BitFlips(IEnumerable<long> offsets, int lag)
{
    readonly SortedSet<long> _due = [.. offsets];
    readonly Dictionary<byte[], List<FlippedByte>> _marked = [];

    /// <summary>Those that were received wrong, or are wrong in memory.</summary>
    public List<long> Done { get; } = [];

    /// <summary>Takes those of a part whose turn it is.</summary>
    public List<long> Due(long from, long until)
    {
        var due = from < until ? _due.GetViewBetween(from, until - 1).ToList() : [];
        _due.ExceptWith(due);
        return due;
    }

    /// <summary>Takes those that go wrong in a ring which has just received up to its head.</summary>
    public List<long> Due(long head, int capacity)
    {
        var due = Due(Math.Max(0, head - capacity), head - lag);
        Done.AddRange(due);
        return due;
    }

    public void Mark(byte[] piece, List<FlippedByte> flipped)
    {
        if (flipped.Count > 0)
        {
            _marked.Add(piece, flipped);
        }
    }

    /// <summary>Somebody has received a part of a piece.</summary>
    public void Came(byte[] piece, int from, int count)
    {
        if (_marked.TryGetValue(piece, out var flipped))
        {
            Done.AddRange(flipped.Where(f => f.At >= from && f.At < from + count).Select(f => f.Offset));
        }
    }
}

/// <param name="At">Place in the piece.</param>
/// <param name="Offset">Place in the image.</param>
readonly record struct FlippedByte(int At, long Offset);

/// <summary>Follows what the serving side of a connection sends, and flips bits of the image in it: nothing else of the protocol is touched.</summary>
/// <param name="begin">Offset that the asker wants; called when the first data come.</param>
sealed class FrameFlipper(Func<long> begin)
{
    readonly byte[] _header = new byte[ChainConnection.HeaderBytes];
    readonly byte[] _later = new byte[sizeof(long)];
    int _skip = Handshake.AnswerBytes;
    int _headerBytes;
    int _left;
    int _taken;
    long _offset = -1;

    FrameKind Kind => (FrameKind)_header[0];

    /// <summary>Flips what is due of a piece, and says what that was.</summary>
    /// <param name="due">Takes the offsets of a part that are to be flipped.</param>
    public List<FlippedByte> Pass(Span<byte> piece, Func<long, long, List<long>> due)
    {
        var flipped = new List<FlippedByte>();
        for (var at = 0; at < piece.Length;)
        {
            var rest = piece[at..];
            if (_skip > 0)
            {
                var skipped = Math.Min(_skip, rest.Length);
                (_skip, at) = (_skip - skipped, at + skipped);
                continue;
            }
            if (_left == 0)
            {
                _header[_headerBytes++] = rest[0];
                at++;
                if (_headerBytes == _header.Length)
                {
                    (_headerBytes, _taken, _left) = (0, 0, BinaryPrimitives.ReadInt32LittleEndian(_header.AsSpan(4)));
                }
                continue;
            }
            var count = Math.Min(_left, rest.Length);
            Payload(rest[..count], at, due, flipped);
            (_left, _taken, at) = (_left - count, _taken + count, at + count);
        }
        return flipped;
    }

    void Payload(Span<byte> bytes, int at, Func<long, long, List<long>> due, List<FlippedByte> flipped)
    {
        if (Kind == FrameKind.Data)
        {
            _offset = _offset < 0 ? begin() : _offset;
            foreach (var offset in due(_offset, _offset + bytes.Length))
            {
                bytes[(int)(offset - _offset)] ^= 1;
                flipped.Add(new FlippedByte(at + (int)(offset - _offset), offset));
            }
            _offset += bytes.Length;
        }
        else if (Kind == FrameKind.From)
        {
            bytes.CopyTo(_later.AsSpan(_taken));
            _offset = BinaryPrimitives.ReadInt64LittleEndian(_later);
        }
    }
}

/// <summary>Memory in which bits go wrong.</summary>
sealed class RottingStore(int capacity, BitFlips flips) : MemoryStore(capacity)
{
    readonly int _capacity = capacity;

    public override int Receive(ChainConnection from, long offset, int count)
    {
        var received = base.Receive(from, offset, count);
        foreach (var wrong in flips.Due(offset + received, _capacity))
        {
            this[wrong] ^= 1;
        }
        return received;
    }
}
