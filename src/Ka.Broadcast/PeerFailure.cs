using System.Net.Sockets;

namespace Ka.Broadcast;

/// <summary>Why a peer failed, in words for people.</summary>
static class PeerFailure
{
    public const string Silent = "silent for too long";

    public static string Describe(Exception e) => e is SocketException { SocketErrorCode: var code }
        ? code switch
        {
            SocketError.TimedOut or SocketError.WouldBlock or SocketError.InProgress => Silent,
            SocketError.ConnectionRefused => "connection refused",
            SocketError.ConnectionReset => "connection lost",
            _ => code.ToString(),
        }
        : "closed";
}
