using System.Security.Cryptography;

namespace Ka.Broadcast;

/// <summary>Where the bytes of a ring lie. Offsets are those of the stream; <see cref="ByteRing"/> decides what may be read and what may go.</summary>
abstract class RingStore : IDisposable
{
    /// <summary>The best store for these options: pipes of the kernel where the world and the machine have them, else memory.</summary>
    /// <param name="capacity">Bytes that are kept.</param>
    public static RingStore Of(int capacity, ChainOptions options) =>
        options is { ZeroCopy: true, World.HasPipes: true } && PipeStore.TryCreate(capacity) is { } pipes ? pipes : options.World.Memory(capacity);

    /// <summary>Before this offset nothing is held any more.</summary>
    public abstract long Floor { get; }

    /// <summary>
    /// Makes room at the head and says how many bytes fit in one piece; zero when what lies before <paramref name="oldest"/> does not suffice.
    /// Only the one that receives asks.
    /// </summary>
    public abstract int Room(long head, long oldest);

    /// <summary>Receives up to <paramref name="count"/> bytes to this offset, where there must be room. Zero when more room has to be made first.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The peer is gone or silent.</exception>
    public abstract int Receive(ChainConnection from, long offset, int count);

    /// <summary>A way to read for one thread.</summary>
    public abstract RingTap Tap();

    public abstract void Dispose();
}

/// <summary>One thread's way to read from a store what its owner knows to be there.</summary>
abstract class RingTap : IDisposable
{
    /// <summary>Sends a data frame with at most <paramref name="count"/> bytes from this offset. Returns their number; zero when they are no longer held.</summary>
    public abstract int Send(ChainConnection to, long offset, int count);

    /// <summary>Whether <see cref="SendAtOnce"/> works.</summary>
    public virtual bool SendsAtOnce => false;

    /// <summary>As <see cref="Send"/>, but without waiting: returns what was sent, and how much of the begun frame is still to be sent by <see cref="Finish"/>.</summary>
    public virtual int SendAtOnce(ChainConnection to, long offset, int count, out int unfinished) => throw new NotSupportedException();

    /// <summary>Sends the rest of a begun frame.</summary>
    public virtual void Finish(ChainConnection to, int count) => throw new NotSupportedException();

    /// <summary>The bytes of a chunk, in one or two pieces that stay valid until the next call.</summary>
    /// <param name="hash">Takes them all, each piece while the processor's cache still has it; null where nobody wants to know.</param>
    public abstract void Chunk(long start, int length, IncrementalHash? hash, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second);

    public abstract void Dispose();
}

/// <summary>A ring of bytes in memory: every byte is copied from the kernel once and to it once for each successor.</summary>
class MemoryStore(int capacity) : RingStore
{
    readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(capacity);

    public override long Floor => 0;

    protected ref byte this[long offset] => ref _bytes[At(offset)];

    public override int Room(long head, long oldest) => _bytes.Length - At(head);

    public override int Receive(ChainConnection from, long offset, int count) => from.Receive(_bytes.AsSpan(At(offset), count));

    public override RingTap Tap() => new MemoryTap(this);

    public override void Dispose()
    {
    }

    int At(long offset) => (int)(offset % _bytes.Length);

    sealed class MemoryTap(MemoryStore store) : RingTap
    {
        public override int Send(ChainConnection to, long offset, int count)
        {
            var at = store.At(offset);
            var piece = new ArraySegment<byte>(store._bytes, at, Math.Min(count, store._bytes.Length - at));
            to.SendFrame(FrameKind.Data, piece);
            return piece.Count;
        }

        public override void Chunk(long start, int length, IncrementalHash? hash, out ReadOnlySpan<byte> first, out ReadOnlySpan<byte> second)
        {
            var at = store.At(start);
            var contiguous = Math.Min(length, store._bytes.Length - at);
            first = store._bytes.AsSpan(at, contiguous);
            second = store._bytes.AsSpan(0, length - contiguous);
            hash?.AppendData(first);
            hash?.AppendData(second);
        }

        public override void Dispose()
        {
        }
    }
}
