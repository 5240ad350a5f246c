using System.Net;
using System.Text;
using Ka.Boot;
using Ka.Boot.Tftp;

namespace Ka.Tests.Boot;

public class TftpConversations
{
    private static readonly byte[] Loader = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 7))];
    private static readonly IPEndPoint Client = new(IPAddress.Parse("10.77.0.101"), 2070);
    private static readonly TimeSpan Start = TimeSpan.FromHours(1);

    [Theory]
    [InlineData("", 0)]
    [InlineData("tsize=0", 0)]
    [InlineData("blksize=1468 tsize=0", 0)]
    [InlineData("blksize=1432 windowsize=4", 0)]
    [InlineData("blksize=1432 windowsize=4", 7)]
    [InlineData("blksize=8 windowsize=16", 0)]
    [InlineData("blksize=65464", 0)]
    [InlineData("blksize=500", 5)]
    public void The_file_arrives_whatever_is_negotiated_and_lost(string options, int loseEvery) =>
        Assert.Equal(Loader, Fetch(Exchange(), "undionly.kpxe", options, loseEvery));

    [Fact]
    public void A_file_of_whole_blocks_ends_with_an_empty_one()
    {
        var file = new byte[1024];
        var exchange = new TftpExchange(Offering("a", file), _ => true);

        Assert.Equal(file, Fetch(exchange, "a", "", 0));
        Assert.Equal(0, exchange.Count);
    }

    [Theory]
    [InlineData("../undionly.kpxe")]
    [InlineData("/undionly.kpxe")]
    [InlineData("/etc/shadow")]
    [InlineData("UNDIONLY.KPXE")]
    [InlineData("undionly.kpxe ")]
    [InlineData("..\\undionly.kpxe")]
    [InlineData("%2e%2e/undionly.kpxe")]
    [InlineData(".")]
    [InlineData("")]
    public void Only_the_loaders_exist(string name)
    {
        var (replies, note) = Exchange().Receive(Client, Request(name, ""), Start);

        Assert.Equal(TftpPacket.Error, TftpPacket.Operation(Assert.Single(replies).Packet));
        Assert.Equal(BootEventKind.Refused, note!.Kind);
    }

    [Fact]
    public void Writing_and_other_modes_are_refused()
    {
        byte[] write = [0, 2, .. Encoding.ASCII.GetBytes("x\0octet\0")];
        byte[] text = [0, 1, .. Encoding.ASCII.GetBytes("undionly.kpxe\0netascii\0")];

        Assert.Equal(TftpPacket.Error, TftpPacket.Operation(Exchange().Receive(Client, write, Start).Replies[0].Packet));
        Assert.Equal(TftpPacket.Error, TftpPacket.Operation(Exchange().Receive(Client, text, Start).Replies[0].Packet));
    }

    [Fact]
    public void Strangers_get_nothing()
    {
        var exchange = new TftpExchange(Offering("undionly.kpxe", Loader), address => address.ToString().StartsWith("10.77.0.", StringComparison.Ordinal));

        Assert.Empty(exchange.Receive(new(IPAddress.Parse("192.0.2.1"), 7), Request("undionly.kpxe", ""), Start).Replies);
    }

    [Fact]
    public void A_source_that_never_answers_is_sent_little()
    {
        var exchange = Exchange();
        var request = Request("undionly.kpxe", "blksize=1468 tsize=0 windowsize=16");
        var sent = exchange.Receive(Client, request, Start).Replies.Sum(reply => reply.Packet.Length);

        for (var second = 1; second < 60; second++)
        {
            sent += exchange.Tick(Start + TimeSpan.FromSeconds(second)).Sum(reply => reply.Packet.Length);
        }

        Assert.True(sent < 3 * request.Length, $"{sent} bytes for {request.Length}");
        Assert.Equal(0, exchange.Count);
    }

    [Fact]
    public void One_source_has_few_transfers_at_once()
    {
        var exchange = Exchange();
        for (var port = 1; port < 100; port++)
        {
            exchange.Receive(new(Client.Address, port), Request("undionly.kpxe", ""), Start);
        }

        Assert.Equal(TftpExchange.MaxTransfersOfOne, exchange.Count);
    }

    [Fact]
    public void A_repeated_acknowledgement_does_not_double_the_rest()
    {
        var exchange = Exchange();
        exchange.Receive(Client, Request("undionly.kpxe", ""), Start);

        Assert.Single(exchange.Receive(Client, [0, 4, 0, 1], Start).Replies);
        Assert.Empty(exchange.Receive(Client, [0, 4, 0, 1], Start).Replies);
        Assert.Empty(exchange.Receive(Client, [0, 4, 0, 9], Start).Replies);
    }

    [Fact]
    public void No_bytes_make_the_server_throw()
    {
        var luck = new Random(6);
        var exchange = Exchange();
        for (var i = 0; i < 50_000; i++)
        {
            var packet = Request("undionly.kpxe", "blksize=1468 tsize=0 windowsize=16")[..luck.Next(50)];
            for (var flips = luck.Next(4); flips > 0 && packet.Length > 0; flips--)
            {
                packet[luck.Next(packet.Length)] = (byte)luck.Next(256);
            }

            exchange.Receive(new(Client.Address, luck.Next(1, 5)), packet, Start + TimeSpan.FromMilliseconds(i));
        }
    }

    private static TftpExchange Exchange() => new(Offering("undionly.kpxe", Loader), _ => true);

    private static TftpExchange.Finding Offering(string name, byte[] bytes) => (IPAddress _, string path, out string refusal) =>
    {
        refusal = "there is no such file";
        return path == name ? new TftpOffer(TftpContent.Of(bytes)) : null;
    };

    private static byte[] Request(string file, string options) =>
        [0, 1, .. Encoding.ASCII.GetBytes($"{file}\0octet\0{options.Replace('=', '\0').Replace(' ', '\0')}{(options.Length > 0 ? "\0" : "")}")];

    /// <summary>A client that loses every nth packet, and asks time to pass when nothing comes.</summary>
    private static byte[] Fetch(TftpExchange exchange, string file, string options, int loseEvery)
    {
        var (now, seen, expected, blockSize) = (Start, 0, (ushort)1, 512);
        var got = new List<byte>();
        var waiting = new Queue<TftpReply>(exchange.Receive(Client, Request(file, options), now).Replies);
        while (true)
        {
            while (waiting.Count == 0)
            {
                now += TimeSpan.FromSeconds(1);
                exchange.Tick(now).ToList().ForEach(waiting.Enqueue);
            }

            var packet = waiting.Dequeue().Packet;
            if (loseEvery > 0 && ++seen % loseEvery == 0)
            {
                continue;
            }

            if (TftpPacket.Operation(packet) == TftpPacket.OptionAck)
            {
                var words = Encoding.ASCII.GetString(packet, 2, packet.Length - 3).Split('\0');
                var at = Array.IndexOf(words, "blksize");
                blockSize = at < 0 ? 512 : int.Parse(words[at + 1]);
                Answer(0);
                continue;
            }

            Assert.Equal(TftpPacket.Data, TftpPacket.Operation(packet));
            if (TftpPacket.Number(packet) != expected)
            {
                Answer((ushort)(expected - 1));
                continue;
            }

            got.AddRange(packet[4..]);
            Answer(expected++);
            if (packet.Length < blockSize + 4)
            {
                return [.. got];
            }
        }

        void Answer(ushort block) => exchange.Receive(Client, [0, 4, (byte)(block >> 8), (byte)block], now).Replies.ToList().ForEach(waiting.Enqueue);
    }
}
