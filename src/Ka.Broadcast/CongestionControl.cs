using System.Net.Sockets;
using System.Text;

namespace Ka.Broadcast;

/// <summary>
/// Which congestion control of TCP carries a broadcast (RFC 5681; the socket option TCP_CONGESTION of tcp(7)). The machine's own, unless that is BBR
/// (draft-ietf-ccwg-bbr): it paces each connection by timers and small bursts, which serves long lossy paths, and costs a chain on a local network
/// five times the processor that CUBIC (RFC 9438) needs.
/// </summary>
static class CongestionControl
{
    const int Tcp = 6; // IPPROTO_TCP
    const int Name = 13; // TCP_CONGESTION
    const int NameBytes = 16; // TCP_CA_NAME_MAX

    /// <summary>What every Linux has and every user may ask for, the best first.</summary>
    static readonly string[] Unpaced = ["cubic", "reno"];

    /// <summary>To be called before the socket connects or listens: a connection that was paced once stays so.</summary>
    public static void AvoidPacing(Socket socket)
    {
        if (OperatingSystem.IsLinux() && Of(socket).StartsWith("bbr", StringComparison.Ordinal))
        {
            _ = Unpaced.Any(name => TrySet(socket, name)); // else it goes on paced, which is only slower
        }
    }

    /// <summary>The name of a socket's congestion control, as Linux has it.</summary>
    public static string Of(Socket socket)
    {
        Span<byte> name = stackalloc byte[NameBytes];
        try
        {
            var length = socket.GetRawSocketOption(Tcp, Name, name);
            return Encoding.ASCII.GetString(name[..length]).TrimEnd('\0');
        }
        catch (SocketException)
        {
            return ""; // no TCP of this kernel's
        }
    }

    /// <summary>False where the kernel has it not, or this user may not.</summary>
    public static bool TrySet(Socket socket, string name)
    {
        try
        {
            socket.SetRawSocketOption(Tcp, Name, Encoding.ASCII.GetBytes(name));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
