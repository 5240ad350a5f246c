using System.Net;
using System.Net.Sockets;

namespace Ka.Lab;

/// <summary>
/// Tells machines that ask that there is no IPv6 router. Without any answer iPXE waits 15 s for one at each network boot
/// before it goes on with the IPv4 address it has had all along.
/// </summary>
public static class Router
{
    private const byte RouterSolicitation = 133;

    /// <summary>A router advertisement with lifetime 0 and no prefix; the kernel fills in the checksum.</summary>
    private static readonly byte[] NoRouter = [134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    /// <summary>Answers until cancelled. Must run inside the lab's network.</summary>
    public static async Task Run(CancellationToken cancel)
    {
        var card = int.Parse(await File.ReadAllTextAsync($"/sys/class/net/{Switch.Bridge}/ifindex", cancel));
        using var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Raw, ProtocolType.IcmpV6);
        socket.SetSocketOption(SocketOptionLevel.IPv6, SocketOptionName.AddMembership, new IPv6MulticastOption(IPAddress.Parse("ff02::2"), card));
        socket.SetSocketOption(SocketOptionLevel.IPv6, SocketOptionName.MulticastTimeToLive, 255);
        socket.SetSocketOption(SocketOptionLevel.IPv6, SocketOptionName.MulticastInterface, card);
        var everybody = new IPEndPoint(new IPAddress(IPAddress.Parse("ff02::1").GetAddressBytes(), card), 0);
        var buffer = new byte[1500];
        while (!cancel.IsCancellationRequested)
        {
            var received = await socket.ReceiveAsync(buffer, SocketFlags.None, cancel);
            if (received == 0 || buffer[0] != RouterSolicitation)
                continue;
            try
            {
                await socket.SendToAsync(NoRouter, SocketFlags.None, everybody, cancel);
            }
            catch (SocketException lost)
            {
                // the bridge is down for a moment; the machine asks again
                await Console.Error.WriteLineAsync($"router: {lost.Message}");
            }
        }
    }
}
