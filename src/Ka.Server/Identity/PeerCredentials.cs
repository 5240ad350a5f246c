using System.Buffers.Binary;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Ka.Server.Identity;

/// <summary>The user id of the process at the other end of a Unix socket, as the kernel says it (SO_PEERCRED, unix(7)).</summary>
sealed record PeerCredentials(uint Uid)
{
    const int SolSocket = 1, SoPeerCred = 17;

    /// <summary>Notes it on each connection of the listener.</summary>
    public static void On(ListenOptions listen) => listen.Use(next => connection =>
    {
        if (Of(connection) is { } peer)
            connection.Features.Set(peer);
        return next(connection);
    });

    static PeerCredentials? Of(ConnectionContext connection)
    {
        if (connection.Features.Get<IConnectionSocketFeature>()?.Socket is not { AddressFamily: AddressFamily.Unix } socket)
            return null;
        Span<byte> credentials = stackalloc byte[12]; // struct ucred: pid, uid, gid
        return socket.GetRawSocketOption(SolSocket, SoPeerCred, credentials) == credentials.Length
            ? new PeerCredentials(BinaryPrimitives.ReadUInt32LittleEndian(credentials[4..]))
            : null;
    }
}
