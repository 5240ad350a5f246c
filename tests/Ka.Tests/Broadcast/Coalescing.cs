using System.Net;
using System.Net.Sockets;
using Ka.Broadcast;

namespace Ka.Tests.Broadcast;

/// <summary>What arrives in small packets is taken in larger pieces.</summary>
public sealed class Coalescing : IDisposable
{
    const int Packet = 1024;

    readonly SocketDoor _door = new(IPAddress.Loopback, 0);
    readonly SocketWire _from;
    readonly Wire _to;

    public Coalescing()
    {
        _from = SocketWire.Dial(LoopbackChain.Peer(_door.Port), TimeSpan.FromSeconds(30));
        _to = _door.Accept();
    }

    public void Dispose()
    {
        _from.Dispose();
        _to.Dispose();
        _door.Dispose();
    }

    [Fact]
    public async Task A_receiver_sleeps_until_enough_has_come_and_takes_it_at_once()
    {
        Send(1);
        var sending = Task.Run(() => Send(15));
        _to.AwaitAvailable(16 * Packet, TimeSpan.FromMinutes(5));
        Assert.True(_to.Available >= 16 * Packet, $"{_to.Available} bytes");
        await sending;
    }

    [Fact]
    public async Task The_end_of_the_stream_wakes_it_and_so_does_every_byte_when_it_waits_no_more()
    {
        Send(1);
        _to.AwaitAvailable(2 * Packet, TimeSpan.Zero); // patience is over
        var bytes = new byte[Packet];
        Assert.Equal(Packet, _to.Receive(bytes));
        var next = Task.Run(() => _to.Receive(bytes));
        Send(1);
        Assert.Equal(Packet, await next);

        var waiting = Task.Run(() => _to.AwaitAvailable(2 * Packet, TimeSpan.FromMinutes(5)));
        _from.ShutdownSend();
        await waiting;
        Assert.Equal(0, _to.Receive(bytes));
    }

    void Send(int packets)
    {
        for (var i = 0; i < packets; i++)
        {
            Assert.Equal(Packet, _from.Send(new byte[Packet]));
        }
    }
}
