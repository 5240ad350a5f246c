using System.Net;
using Ka.Broadcast;
using Ka.Broadcast.Multicast;
using Ka.Core.Clusters;

namespace Ka.SystemTests.Broadcast;

/// <summary>Multicast over links that lose datagrams, since less goes through them than is sent: host 0 sends, the others receive.</summary>
public sealed class Multicasts
{
    const int MiB = 1024 * 1024;
    const int Bytes = 24 * MiB;

    static readonly MulticastOptions Options = new() { Width = 8, Gather = TimeSpan.FromSeconds(1), First = TimeSpan.FromSeconds(4), Repair = TimeSpan.FromSeconds(1), Slow = TimeSpan.FromSeconds(3) };
    static readonly MulticastSettings Settings = new("239.192.75.1", 8484, 1, 200_000_000);

    readonly string _key = BroadcastKey.Create();

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    BroadcastKey Key => BroadcastKey.TryParse(_key, out var key) ? key : throw new InvalidOperationException();

    static (string Path, byte[] Content, ImageManifest Manifest) Image(NamespaceNet net)
    {
        var content = new byte[Bytes - 12_345];
        new Random(3).NextBytes(content);
        var path = Path.Combine(net.Directory, "image");
        File.WriteAllBytes(path, content);
        return (path, content, ImageManifest.OfFile(path, MiB, Cancel));
    }

    (ChainSource Source, MulticastSender Sender) Serve(NamespaceNet net, string path, ImageManifest manifest, int expected) => net.On(0, () =>
    {
        var address = IPAddress.Parse(NamespaceNet.Address(0));
        var source = new ChainSource(address, 0, ChainOptions.Default);
        Assert.Null(source.Register(_key, path, manifest.Bytes));
        var (sender, fault) = MulticastSender.Open(Key, path, manifest, Settings, address, expected, Options);
        Assert.Null(fault);
        return (source, sender!);
    });

    /// <summary>Begins to receive on a host.</summary>
    (MulticastNode Node, Task<ChainOutcome> Receiving, MemoryStream Got) Receive(NamespaceNet net, int host, ImageManifest manifest, int senderPort, int chainPort) => net.On(host, () =>
    {
        var got = new MemoryStream();
        var server = IPAddress.Parse(NamespaceNet.Address(0));
        var node = new MulticastNode(
            new MulticastTicket(Key, manifest, new IPEndPoint(IPAddress.Parse(Settings.Group), Settings.Port), new IPEndPoint(server, senderPort), IPAddress.Parse(NamespaceNet.Address(host)), new ChainPeer(server.ToString(), chainPort)),
            got, Options, ChainOptions.Default);
        return (node, node.Receive(Cancel), got);
    });

    [Theory]
    [InlineData("1gbit", 1.3, 2)]
    [InlineData("170mbit", 2.5, 2)]
    [InlineData("60mbit", 5.0, 24)]
    public async Task Everybody_has_every_byte_and_what_is_lost_is_sent_again_to_the_group(string rate, double most, int chunksByUnicast)
    {
        await using var net = await NamespaceNet.CreateAsync(5, "1gbit");
        var (path, content, manifest) = Image(net);
        foreach (var host in (int[])[2, 4])
            await net.ShapeAsync(host, rate); // what does not fit through is lost
        var (source, sender) = Serve(net, path, manifest, 4);
        using var ends = sender;
        using var closes = source;
        var nodes = Enumerable.Range(1, 4).Select(i => Receive(net, i, manifest, sender.Port, source.Port)).ToArray();
        foreach (var (node, receiving, got) in nodes)
        {
            Assert.Null((await receiving).Fault);
            Assert.Equal(content, got.ToArray());
            Assert.InRange(node.Ways.ByUnicast, 0, chunksByUnicast * MiB);
            node.Dispose();
        }
        var report = sender.Report;
        TestContext.Current.SendDiagnosticMessage($"{rate}: sent {report.BytesOut / (double)content.Length:0.00} times, {report.Again} pieces again, by unicast {nodes.Sum(n => n.Node.Ways.ByUnicast)}");
        Assert.InRange(report.BytesOut, content.Length, most * content.Length);
        Assert.Equal(4, report.Receivers);
        Assert.True(rate != "60mbit" || report.Again > 0, "nothing was lost");
    }

    [Fact]
    public async Task When_the_sender_falls_silent_and_for_who_comes_late_the_rest_comes_by_unicast()
    {
        await using var net = await NamespaceNet.CreateAsync(4, "1gbit");
        var (path, content, manifest) = Image(net);
        var (source, sender) = Serve(net, path, manifest, 2);
        using var closes = source;
        var early = Enumerable.Range(1, 2).Select(i => Receive(net, i, manifest, sender.Port, source.Port)).ToArray();
        await Deployments.RealLab.UntilAsync("the sender is beyond the window", () => Task.FromResult(sender.Report.BytesOut > 11 * MiB ? "yes" : null), TimeSpan.FromSeconds(20));
        var late = Receive(net, 3, manifest, sender.Port, source.Port);
        await Deployments.RealLab.UntilAsync("the late one has something", () => Task.FromResult(late.Node.Progress.Verified > 0 ? "yes" : null), TimeSpan.FromSeconds(20));
        sender.Dispose();
        foreach (var (node, receiving, got) in early.Append(late))
        {
            Assert.Null((await receiving).Fault);
            Assert.Equal(content, got.ToArray());
            Assert.True(node.Ways.ByUnicast > 0, "nothing came by unicast");
            node.Dispose();
        }
        Assert.InRange(late.Node.Ways.ByUnicast, 8 * MiB, content.Length);
    }

    [Fact]
    public async Task Who_hears_nothing_says_so_and_has_handed_on_nothing()
    {
        await using var net = await NamespaceNet.CreateAsync(2, "1gbit");
        var (_, _, manifest) = Image(net);
        var (node, receiving, got) = Receive(net, 1, manifest, 9, 9);
        Assert.Equal("broadcast.unreachable", (await receiving).Fault?.Code.Text);
        Assert.True(node.HeardNothing);
        Assert.Equal(0, got.Length);
        node.Dispose();
    }
}
