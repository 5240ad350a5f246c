namespace Ka.Broadcast;

/// <summary>
/// Writes stripes into one sink in the order of the image: whoever is not at turn waits. Nothing is kept here, so that the memory of a node
/// that receives stripes is that of their rings.
/// </summary>
sealed class StripeJoin(Stream sink, int stripes, int chunkBytes, BroadcastWorld world)
{
    readonly object _gate = new();
    readonly bool[] _ended = new bool[stripes];
    long _joined;
    bool _writing;
    bool _broken;

    /// <summary>Bytes that the sink has taken.</summary>
    public long Joined
    {
        get
        {
            lock (_gate)
            {
                return _joined;
            }
        }
    }

    /// <summary>The end into which one stripe's verified bytes go.</summary>
    public Stream End(int stripe) => new StripeEnd(this, new Stripe(stripe, stripes, chunkBytes));

    /// <summary>Nothing more is written; who waits gets an <see cref="IOException"/>.</summary>
    public void Break()
    {
        lock (_gate)
        {
            _broken = true;
            world.PulseAll(_gate);
        }
    }

    void Write(long at, ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            while (_joined != at || _writing)
            {
                ThrowIfBroken();
                world.Wait(_gate);
            }
            ThrowIfBroken();
            _writing = true;
        }
        try
        {
            sink.Write(bytes);
        }
        catch
        {
            Break();
            throw;
        }
        lock (_gate)
        {
            _writing = false;
            _joined += bytes.Length;
            world.PulseAll(_gate);
        }
    }

    /// <summary>The last stripe to end flushes the sink.</summary>
    void Flush(int stripe)
    {
        lock (_gate)
        {
            _ended[stripe] = true;
            if (_broken || !_ended.All(e => e))
            {
                return;
            }
        }
        sink.Flush();
    }

    void ThrowIfBroken()
    {
        if (_broken)
        {
            throw new IOException("Another stripe of the image has ended.");
        }
    }

    sealed class StripeEnd(StripeJoin join, Stripe stripe) : WriteOnlyStream
    {
        long _position;

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            while (!buffer.IsEmpty)
            {
                var count = (int)Math.Min(buffer.Length, stripe.Together(_position));
                join.Write(stripe.InImage(_position), buffer[..count]);
                _position += count;
                buffer = buffer[count..];
            }
        }

        public override void Flush() => join.Flush(stripe.Index);
    }
}
