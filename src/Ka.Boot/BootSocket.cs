using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Ka.Boot;

/// <summary>Opens UDP sockets that hear one network interface only.</summary>
internal static class BootSocket
{
    private const int SolSocket = 1;
    private const int SoBindToDevice = 25;
    private const int ReceiveBuffer = 4 * 1024 * 1024;

    /// <summary>
    /// A socket bound to the interface and the address. DHCP clients have no address yet and call to 255.255.255.255, so for
    /// them the address is <see cref="IPAddress.Any"/> and the interface alone keeps strangers out. Throws <see cref="IOException"/> with the reason.
    /// </summary>
    public static Socket Open(string device, IPAddress address, int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.SetRawSocketOption(SolSocket, SoBindToDevice, Encoding.ASCII.GetBytes(device + "\0"));
            socket.EnableBroadcast = true;
            socket.ReceiveBufferSize = ReceiveBuffer;
            socket.Bind(new IPEndPoint(address, port));
            return socket;
        }
        catch (SocketException broken)
        {
            socket.Dispose();
            throw new IOException($"cannot listen on UDP port {port} of {device} ({address}): {broken.Message}", broken);
        }
    }
}
