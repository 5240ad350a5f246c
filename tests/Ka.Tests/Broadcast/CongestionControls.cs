using System.Net;
using System.Net.Sockets;
using Ka.Broadcast;
using Xunit;

namespace Ka.Tests.Broadcast;

public sealed class CongestionControls
{
    static Socket NewSocket() => new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    [Fact]
    public void A_socket_that_would_be_paced_by_bbr_is_not()
    {
        using var socket = NewSocket();
        Assert.SkipUnless(CongestionControl.TrySet(socket, "bbr"), "this kernel has no BBR, or this user may not ask for it");

        CongestionControl.AvoidPacing(socket);

        Assert.Contains(CongestionControl.Of(socket), new[] { "cubic", "reno" });
    }

    [Fact]
    public void Another_congestion_control_is_left_alone()
    {
        using var socket = NewSocket();
        Assert.True(CongestionControl.TrySet(socket, "reno"));

        CongestionControl.AvoidPacing(socket);

        Assert.Equal("reno", CongestionControl.Of(socket));
    }

    [Fact]
    public void Neither_side_of_a_connection_is_paced()
    {
        using var door = new SocketDoor(IPAddress.Loopback, 0);
        using var dialled = SocketWire.Dial(new ChainPeer("127.0.0.1", door.Port), TimeSpan.FromSeconds(5));
        using var accepted = (SocketWire)door.Accept();

        Assert.All([dialled, accepted], wire => Assert.DoesNotContain("bbr", CongestionControl.Of(wire.Socket), StringComparison.Ordinal));
    }
}
