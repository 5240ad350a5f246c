using System.Collections.Immutable;
using System.Net;
using Ka.Broadcast;
using Ka.Broadcast.Multicast;

namespace Ka.Tests.Broadcast;

/// <summary>Datagrams, the receiver's window and the sender's book, without a network.</summary>
public sealed class MulticastParts
{
    static readonly BroadcastKey Key = Of(BroadcastKey.Create());

    static BroadcastKey Of(string hex) => BroadcastKey.TryParse(hex, out var key) ? key : throw new ArgumentException("no key", nameof(hex));

    static TimeSpan Ms(int milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    [Fact]
    public void What_is_sealed_is_opened_by_the_same_key_only_and_unchanged_only()
    {
        var datagram = new byte[Datagram.Limit];
        new Random(1).NextBytes(datagram.AsSpan(Datagram.DataHeader, 700));
        var sent = datagram.AsSpan(Datagram.DataHeader, 700).ToArray();
        var length = Datagram.SealData(datagram, Key, 70_000, 740, 700);
        Assert.True(Datagram.TryOpenData(datagram.AsSpan(0, length), Key, out var chunk, out var piece, out var payload));
        Assert.Equal((70_000, 740), (chunk, piece));
        Assert.Equal(sent, payload.ToArray());
        Assert.False(Datagram.TryOpenData(datagram.AsSpan(0, length), Of(BroadcastKey.Create()), out _, out _, out _));
        Assert.False(Datagram.TryOpenData(datagram.AsSpan(0, length - 1), Key, out _, out _, out _));
        for (var i = 0; i < length; i++)
        {
            datagram[i] ^= 0x40;
            Assert.False(Datagram.TryOpenData(datagram.AsSpan(0, length), Key, out _, out _, out _));
            datagram[i] ^= 0x40;
        }
    }

    [Fact]
    public void A_whole_piece_fits_into_an_ethernet_frame()
    {
        Assert.InRange(Datagram.SealData(new byte[Datagram.Limit], Key, int.MaxValue, 65535, Datagram.PieceBytes), 1, 1500 - 28);
        var most = new ReceiverState(1, [.. Enumerable.Range(0, 1000).Select(i => new PieceRange(i, 1, 2))]);
        var datagram = new byte[Datagram.Limit];
        var length = Datagram.SealState(datagram, Key, most);
        var state = Datagram.OpenState(datagram.AsSpan(0, length), Key)!;
        Assert.Equal(most.Missing.Take(Datagram.RangeLimit), state.Missing);
        Assert.Null(Datagram.OpenState(datagram.AsSpan(0, length - 8), Key));
        Assert.False(Datagram.TryOpenData(datagram.AsSpan(0, length), Key, out _, out _, out _));
    }

    /// <summary>Chunks of three pieces, the last of one.</summary>
    static (byte[] Bytes, ImageManifest Manifest) Image(int chunks)
    {
        var bytes = new byte[((chunks - 1) * 4000) + 10];
        new Random(2).NextBytes(bytes);
        return (bytes, ImageManifest.Of(new MemoryStream(bytes), 4000, CancellationToken.None));
    }

    static byte[] Piece(byte[] bytes, int chunk, int piece)
    {
        var at = (chunk * 4000) + (piece * Datagram.PieceBytes);
        return bytes[at..Math.Min(bytes.Length, Math.Min(at + Datagram.PieceBytes, (chunk + 1) * 4000))];
    }

    [Fact]
    public void Pieces_in_any_order_become_chunks_in_order()
    {
        var (bytes, manifest) = Image(3);
        var window = new ChunkWindow(manifest, 3);
        foreach (var (chunk, piece) in ((int, int)[])[(2, 0), (1, 1), (0, 2), (0, 0), (1, 0), (1, 2)])
            Assert.True(window.Put(chunk, piece, Piece(bytes, chunk, piece)));
        Assert.Null(window.Complete());
        Assert.True(window.Put(0, 1, Piece(bytes, 0, 1)));
        Assert.False(window.Put(0, 1, Piece(bytes, 0, 1)));
        var whole = new List<byte>();
        for (; window.Next < window.Chunks; window.Advance())
            whole.AddRange(window.Complete()!);
        Assert.Equal(bytes, whole);
    }

    [Theory]
    [InlineData(-1, 0, 1400)]
    [InlineData(3, 0, 1400)]
    [InlineData(0, 3, 1200)]
    [InlineData(0, 2, 1400)]
    [InlineData(2, 0, 11)]
    public void What_is_not_of_the_image_is_not_taken(int chunk, int piece, int length)
    {
        var window = new ChunkWindow(Image(3).Manifest, 3);
        Assert.False(window.Put(chunk, piece, new byte[length]));
        Assert.Equal((0, -1), window.Farthest);
    }

    [Fact]
    public void What_lies_before_the_farthest_piece_is_missing_and_all_of_the_window_when_nothing_comes()
    {
        var (bytes, manifest) = Image(5);
        var window = new ChunkWindow(manifest, 3);
        Assert.Empty(window.Missing(all: false, 100));
        window.Put(0, 1, Piece(bytes, 0, 1));
        window.Put(1, 1, Piece(bytes, 1, 1));
        Assert.Equal([new(0, 0, 1), new(0, 2, 1), new(1, 0, 1)], window.Missing(all: false, 100));
        Assert.Equal([new(0, 0, 1), new(0, 2, 1), new(1, 0, 1), new(1, 2, 1), new(2, 0, 3)], window.Missing(all: true, 100));
        Assert.Equal([new PieceRange(0, 0, 1)], window.Missing(all: true, 1));
        Assert.False(window.IsBehind);
        Assert.False(window.Put(4, 0, Piece(bytes, 4, 0)));
        Assert.True(window.IsBehind);
        window.Discard();
        Assert.Equal([new(0, 0, 3), new(1, 0, 1), new(1, 2, 1), new(2, 0, 3)], window.Missing(all: false, 100));
    }

    static readonly MulticastOptions Options = new() { Width = 4 };

    static readonly IPEndPoint First = new(IPAddress.Parse("10.0.0.11"), 1), Second = new(IPAddress.Parse("10.0.0.12"), 1);

    static ReceiverState At(int next, params ImmutableArray<PieceRange> missing) => new(next, missing);

    [Fact]
    public void The_sender_waits_for_all_but_not_for_ever()
    {
        var audience = new Audience(2, 100, Options);
        Assert.False(audience.IsGathered(Ms(60_000)));
        audience.Heard(First, At(0), (0, 0), Ms(1000));
        Assert.False(audience.IsGathered(Ms(5999)));
        Assert.True(audience.IsGathered(Ms(6000)));
        audience.Heard(Second, At(0), (0, 0), Ms(1001));
        Assert.True(audience.IsGathered(Ms(1001)));
    }

    [Fact]
    public void It_goes_no_farther_than_the_slowest_can_hold_unless_that_is_silent_or_stands_still()
    {
        var audience = new Audience(2, 100, Options);
        audience.Heard(First, At(9), (0, 0), Ms(0));
        audience.Heard(Second, At(2), (0, 0), Ms(0));
        Assert.Equal(6, audience.Limit(Ms(100)));
        audience.Heard(First, At(9), (6, 0), Ms(2500));
        Assert.Equal(13, audience.Limit(Ms(2500)));
        for (var now = 0; now <= 8100; now += 300)
            audience.Heard(Second, At(2), (6, 0), Ms(2500 + now));
        audience.Heard(First, At(20), (6, 0), Ms(10_600));
        Assert.Equal(24, audience.Limit(Ms(10_600)));
    }

    [Fact]
    public void What_was_lost_is_sent_again_once_for_all_who_ask_and_nothing_that_was_not_sent()
    {
        var audience = new Audience(2, 100, Options);
        audience.Heard(First, At(0, new PieceRange(0, 1, 2), new PieceRange(1, 0, 50)), (1, 2), Ms(0));
        audience.Heard(Second, At(0, new PieceRange(0, 1, 1)), (1, 2), Ms(1));
        Assert.Equal([(0, 1), (0, 2), (1, 0), (1, 1)], Repairs(audience, 2));
        audience.Heard(Second, At(0, new PieceRange(0, 1, 1)), (1, 2), Ms(30));
        Assert.Empty(Repairs(audience, 31));
        audience.Heard(Second, At(0, new PieceRange(0, 1, 1)), (1, 2), Ms(90));
        Assert.Equal([(0, 1)], Repairs(audience, 91));
    }

    static List<(int, int)> Repairs(Audience audience, int now)
    {
        var pieces = new List<(int, int)>();
        while (audience.Repair(Ms(now)) is { } piece)
            pieces.Add(piece);
        return pieces;
    }

    [Fact]
    public void Who_comes_late_holds_nobody_back_and_is_sent_nothing_again_until_it_has_caught_up()
    {
        var audience = new Audience(1, 100, Options);
        audience.Heard(First, At(20), (22, 0), Ms(0));
        audience.Heard(Second, At(0, new PieceRange(0, 0, 3)), (22, 0), Ms(0));
        Assert.Equal(24, audience.Limit(Ms(1)));
        Assert.Empty(Repairs(audience, 1));
        audience.Heard(Second, At(19), (22, 0), Ms(2));
        Assert.Equal(23, audience.Limit(Ms(3)));
    }

    [Fact]
    public void It_is_done_when_all_who_are_heard_of_have_all()
    {
        var audience = new Audience(2, 100, Options);
        audience.Heard(First, At(100), (100, 0), Ms(0));
        audience.Heard(Second, At(99), (97, 0), Ms(0));
        Assert.False(audience.IsDone(Ms(1)));
        audience.Heard(Second, At(100), (100, 0), Ms(2));
        Assert.True(audience.IsDone(Ms(3)));
    }

    [Theory]
    [InlineData(8_000_000, 1000)]
    [InlineData(1_000_000_000, 20)]
    public void The_rate_is_kept_whatever_the_clocks_grain(long bitsPerSecond, int grain)
    {
        var pacing = new Pacing(bitsPerSecond, 64 * 1024);
        var now = TimeSpan.FromSeconds(5);
        var bytes = 0L;
        while (now < TimeSpan.FromSeconds(7))
        {
            bytes += 1431;
            if (pacing.Pause(1431, now) is { } pause)
                now += pause + TimeSpan.FromMicroseconds(grain);
            else
                now += TimeSpan.FromMicroseconds(2);
        }
        Assert.InRange(bytes * 8 / 2.0, 0.8 * bitsPerSecond, (1.01 * bitsPerSecond) + (64 * 1024 * 8));
    }
}
