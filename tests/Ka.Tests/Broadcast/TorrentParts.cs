using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Ka.Broadcast.Torrent;

namespace Ka.Tests.Broadcast;

/// <summary>Torrent files, the tracker and the first seed, byte by byte as BEP 3, 23 and 27 have them.</summary>
public sealed class TorrentParts : IDisposable
{
    const string Secret = "5ec7e7";

    readonly TemporaryDirectory _directory = new();
    readonly TorrentSource _source = new(IPAddress.Loopback, 0, new Uri("http://10.0.0.1:8480/announce/"), TimeProvider.System);

    public void Dispose()
    {
        _source.Dispose();
        _directory.Dispose();
    }

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    static string Ascii(byte[] bytes) => Encoding.Latin1.GetString(bytes);

    [Fact]
    public void A_torrent_file_is_written_as_its_clients_read_it_keys_in_order()
    {
        var metainfo = new Metainfo("image", 5, 262144, Encoding.ASCII.GetBytes("aaaaaaaaaabbbbbbbbbb"), "http://a/x", IsPrivate: true);
        const string info = "d6:lengthi5e4:name5:image12:piece lengthi262144e6:pieces20:aaaaaaaaaabbbbbbbbbb7:privatei1ee";
        Assert.Equal($"d8:announce10:http://a/x4:info{info}e", Ascii(metainfo.ToBytes()));
#pragma warning disable CA5350
        Assert.Equal(SHA1.HashData(Encoding.ASCII.GetBytes(info)), metainfo.InfoHash);
#pragma warning restore CA5350
        Assert.DoesNotContain("private", Ascii((metainfo with { IsPrivate = false }).ToBytes()), StringComparison.Ordinal);
        Assert.NotEqual(metainfo.InfoHash, (metainfo with { IsPrivate = false }).InfoHash);
    }

    [Theory]
    [InlineData(1, 256 * 1024)]
    [InlineData(700L << 20, 512 * 1024)]
    [InlineData(500L << 30, 16 * 1024 * 1024)]
    public void Pieces_grow_with_the_image(long bytes, int piece) => Assert.Equal(piece, Metainfo.PieceBytesOf(bytes));

    [Fact]
    public void What_a_client_announces_is_read_with_its_bytes()
    {
        var hash = Enumerable.Range(0xf0, 10).Concat(Enumerable.Range(0x61, 10)).Select(i => (byte)i).ToArray();
        var query = $"?info_hash={string.Concat(hash.Take(10).Select(b => $"%{b:X2}"))}abcdefghij&peer_id=-XX0000-123456789012&port=6881&left=7&event=stopped&numwant=9";
        var told = Announcement.Parse(query)!;
        Assert.Equal(hash, told.InfoHash);
        Assert.Equal((6881, 7L, true, 9), (told.Port, told.Left, told.IsLeaving, told.Wanted));
    }

    [Theory]
    [InlineData("")]
    [InlineData("?info_hash=short&peer_id=-XX0000-123456789012&port=1")]
    [InlineData("?info_hash=%zz012345678901234567&peer_id=-XX0000-123456789012&port=1")]
    [InlineData("?info_hash=01234567890123456789&peer_id=-XX0000-123456789012")]
    [InlineData("?info_hash=01234567890123456789&peer_id=-XX0000-123456789012&port=70000")]
    public void What_is_no_announcement_is_none(string query) => Assert.Null(Announcement.Parse(query));

    (Metainfo Metainfo, byte[] Bytes) Opened()
    {
        var bytes = RandomNumberGenerator.GetBytes(300_000);
        File.WriteAllBytes(_directory["image"], bytes);
        var (metainfo, fault) = _source.Open(Secret, _directory["image"], "image", isPrivate: true, Cancel);
        Assert.Null(fault);
        Assert.Equal("http://10.0.0.1:8480/announce/" + Secret, metainfo!.Announce);
        return (metainfo, bytes);
    }

    static string Query(Metainfo of, int port, string rest = "") =>
        $"info_hash={string.Concat(of.InfoHash.Select(b => $"%{b:x2}"))}&peer_id=-XX0000-123456789012&port={port}&left=1{rest}";

    static string Compact(params (string Address, int Port)[] peers) =>
        $"peers{peers.Length * 6}:" + Ascii([.. peers.SelectMany(p => (byte[])[.. IPAddress.Parse(p.Address).GetAddressBytes(), (byte)(p.Port >> 8), (byte)p.Port])]);

    [Fact]
    public void The_tracker_names_the_first_seed_and_then_those_who_came_and_did_not_leave()
    {
        var (metainfo, _) = Opened();
        var seed = ("127.0.0.1", _source.Port);
        var first = Ascii(_source.Announce(Secret, Query(metainfo, 7001), IPAddress.Parse("10.0.0.11"))!);
        Assert.Contains(Compact(seed), first, StringComparison.Ordinal);
        Assert.Contains("8:completei1e10:incompletei1e", first, StringComparison.Ordinal);
        Assert.Contains(Compact(seed, ("10.0.0.11", 7001)), Ascii(_source.Announce(Secret, Query(metainfo, 7002), IPAddress.Parse("10.0.0.12"))!), StringComparison.Ordinal);
        _source.Announce(Secret, Query(metainfo, 7001, "&event=stopped"), IPAddress.Parse("10.0.0.11"));
        Assert.Contains(Compact(seed), Ascii(_source.Announce(Secret, Query(metainfo, 7002), IPAddress.Parse("10.0.0.12"))!), StringComparison.Ordinal);
    }

    [Fact]
    public void Who_does_not_know_the_path_or_asks_for_another_torrent_is_told_nothing()
    {
        var (metainfo, _) = Opened();
        Assert.Null(_source.Announce("5ec7e8", Query(metainfo, 7001), IPAddress.Loopback));
        Assert.Null(_source.Announce(Secret, Query(metainfo with { Name = "other" }, 7001), IPAddress.Loopback));
        _source.Close(Secret);
        Assert.Null(_source.Announce(Secret, Query(metainfo, 7001), IPAddress.Loopback));
    }

    async Task<NetworkStream> DialAsync(Metainfo metainfo)
    {
        var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, _source.Port, Cancel);
        var stream = client.GetStream();
        await stream.WriteAsync((byte[])[19, .. "BitTorrent protocol"u8, .. new byte[8], .. metainfo.InfoHash, .. new byte[20]], Cancel);
        return stream;
    }

    static byte[] Request(int index, int begin, int length)
    {
        var message = new byte[17];
        (message[3], message[4]) = (13, 6);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(5), index);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(9), begin);
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(13), length);
        return message;
    }

    [Fact]
    public async Task The_seed_gives_blocks_to_those_who_announced_themselves()
    {
        var (metainfo, bytes) = Opened();
        _source.Announce(Secret, Query(metainfo, 7001), IPAddress.Loopback);
        await using var peer = await DialAsync(metainfo);
        var greeting = new byte[68 + 6 + 5];
        await peer.ReadExactlyAsync(greeting, Cancel);
        Assert.Equal(metainfo.InfoHash, greeting[28..48]);
        Assert.Equal([0, 0, 0, 2, 5, 0b1100_0000, 0, 0, 0, 1, 1], greeting[68..]); // both pieces, and not choked
        await peer.WriteAsync((byte[])[0, 0, 0, 0, 0, 0, 0, 1, 2, .. Request(1, 30_000, 7_856)], Cancel); // alive, interested, the end of the last piece
        var piece = new byte[13 + 7_856];
        await peer.ReadExactlyAsync(piece, Cancel);
        Assert.Equal([0, 0, 0x1e, 0xb9, 7, 0, 0, 0, 1, 0, 0, 0x75, 0x30], piece[..13]);
        Assert.Equal(bytes[^7_856..], piece[13..]);
        Assert.Equal(7_856, _source.BytesOut(Secret));
    }

    [Theory]
    [InlineData(2, 0, 16384)]
    [InlineData(-1, 0, 16384)]
    [InlineData(0, -1, 16384)]
    [InlineData(0, 262_000, 16384)]
    [InlineData(1, 37_000, 1_000)]
    [InlineData(0, 0, 1 << 20)]
    [InlineData(0, 0, 0)]
    public async Task A_peer_that_asks_for_what_is_not_there_is_let_go(int index, int begin, int length)
    {
        var (metainfo, _) = Opened();
        _source.Announce(Secret, Query(metainfo, 7001), IPAddress.Loopback);
        await using var peer = await DialAsync(metainfo);
        await peer.ReadExactlyAsync(new byte[68 + 6 + 5], Cancel);
        await peer.WriteAsync(Request(index, begin, length), Cancel);
        Assert.Equal(0, await ReadAsync(peer));
    }

    [Fact]
    public async Task Who_has_not_announced_itself_gets_nothing_from_the_seed()
    {
        var (metainfo, _) = Opened();
        await using var peer = await DialAsync(metainfo);
        Assert.Equal(0, await ReadAsync(peer));
    }

    /// <summary>0 when the seed has closed, in whichever way.</summary>
    static async Task<int> ReadAsync(NetworkStream peer)
    {
        try
        {
            return await peer.ReadAsync(new byte[1], Cancel);
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
