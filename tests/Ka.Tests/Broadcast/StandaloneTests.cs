using System.Net;
using System.Net.Sockets;
using Ka.Broadcast;
using Ka.Broadcast.Standalone;

namespace Ka.Tests.Broadcast;

/// <summary>Sender and receivers without a server, over real loopback sockets.</summary>
public sealed class StandaloneTests : IDisposable
{
    const int Bytes = 3 * 1024 * 1024;

    /// <summary>Nobody is suspected because the machine is busy.</summary>
    static readonly ChainOptions Patient = ChainOptions.Default with
    {
        Suspect = TimeSpan.FromSeconds(30), Silence = TimeSpan.FromSeconds(30), SlowReader = TimeSpan.FromSeconds(30), SlowSink = TimeSpan.FromSeconds(30),
    };

    readonly string _file = Path.GetTempFileName();
    readonly byte[] _image = new byte[Bytes];
    readonly string _key = BroadcastKey.Create();
    readonly IPEndPoint _at;

    public StandaloneTests()
    {
        new Random(3).NextBytes(_image);
        File.WriteAllBytes(_file, _image);
        using var free = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        free.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _at = (IPEndPoint)free.LocalEndPoint!;
    }

    public void Dispose() => File.Delete(_file);

    StandaloneSender Sender(string[] names, int count, int seconds = 60, bool verified = true)
    {
        Assert.True(BroadcastKey.TryParse(_key, out var key));
        return new StandaloneSender(new SendRequest(_file, verified, new Invitation(_at, key, [.. names], count, TimeSpan.FromSeconds(seconds), Patient)));
    }

    Task<Ka.Core.Faults.Fault?> Receiver(string name, Stream sink, string? key = null)
    {
        Assert.True(BroadcastKey.TryParse(key ?? _key, out var parsed));
        return new StandaloneReceiver(new ReceiveRequest(_at, null, name, parsed, TimeSpan.FromSeconds(30), Patient)).Run(sink, TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task It_goes_when_all_have_come_and_everybody_has_the_same_bytes(bool verified)
    {
        var sinks = Enumerable.Range(0, 4).Select(_ => new MemoryStream()).ToArray();
        var receiving = sinks.Select((s, i) => Receiver($"n{i}", s)).ToArray();
        var sender = Sender([], 4, verified: verified);
        Assert.Null(await Task.Run(() => sender.Run(() => { }, TestContext.Current.CancellationToken)));
        Assert.All(await Task.WhenAll(receiving), Assert.Null);
        Assert.All(sinks, s => Assert.True(_image.AsSpan().SequenceEqual(s.ToArray())));
        Assert.All(sender.States, s => Assert.Equal("done", s.State));
        Assert.Equal(Bytes, sender.BytesOut);
    }

    [Fact]
    public async Task Who_is_not_awaited_is_sent_away_and_who_does_not_come_is_named()
    {
        using var sink = new MemoryStream();
        using var stranger = new MemoryStream();
        var sender = Sender(["n1", "n2"], 1);
        var running = Task.Run(() => sender.Run(() => { }, TestContext.Current.CancellationToken));
        var refused = await Receiver("x", stranger);
        Assert.Equal("broadcast.unreachable", refused!.Code.Text);
        Assert.Equal("x", refused.Evidence);
        var receiving = Receiver("n2", sink);
        Assert.Null(await running);
        Assert.Null(await receiving);
        Assert.Equal(["n2 done", "n1 absent"], sender.States.Select(s => $"{s.Name} {s.State}"));
        Assert.Equal(0, stranger.Length);
    }

    [Fact]
    public async Task Without_the_key_nobody_takes_part()
    {
        using var sink = new MemoryStream();
        var sender = Sender([], 1, seconds: 1);
        var running = Task.Run(() => sender.Run(() => { }, TestContext.Current.CancellationToken));
        var refused = await Receiver("n1", sink, key: BroadcastKey.Create());
        Assert.Equal("broadcast.unreachable", refused!.Code.Text);
        Assert.Equal("broadcast.unreachable", (await running)!.Code.Text);
        Assert.Equal(0, sink.Length);
    }
}
