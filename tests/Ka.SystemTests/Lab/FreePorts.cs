using System.Net;
using System.Net.Sockets;

namespace Ka.SystemTests.Lab;

/// <summary>Ports of the loopback address that nobody listens on, for programs that must be told theirs.</summary>
static class FreePorts
{
    public static int One() => Several(1)[0];

    public static int[] Several(int count)
    {
        var listeners = Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0)).ToArray();
        foreach (var listener in listeners)
            listener.Start();
        var ports = listeners.Select(l => ((IPEndPoint)l.LocalEndpoint).Port).ToArray();
        foreach (var listener in listeners)
            listener.Dispose();
        return ports;
    }
}
