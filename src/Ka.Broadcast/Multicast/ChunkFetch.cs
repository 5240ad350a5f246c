using System.Net.Sockets;

namespace Ka.Broadcast.Multicast;

/// <summary>Asks the server's end of the chain for a part of the image: one connection for as many chunks as are wanted in a row.</summary>
static class ChunkFetch
{
    /// <summary>Receives into buffers of the caller until everything is there or the caller has enough. Null, or why the server gave less.</summary>
    /// <param name="take">Gets each chunk; false ends the fetch.</param>
    public static string? Fetch(ChainPeer server, BroadcastKey key, long from, long until, int chunkBytes, ChainOptions options, Func<ArraySegment<byte>, bool> take)
    {
        try
        {
            using var connection = ChainConnection.Dial(server, options);
            connection.SetTimeouts(options.Join, options.Silence);
            if (!Handshake.Ask(connection, key, new Wish(from, until)))
            {
                return "it does not know the key of the broadcast";
            }
            connection.SetTimeouts(options.ServerSend, options.Silence);
            var chunk = new byte[chunkBytes];
            var (at, filled) = (from, 0);
            while (at < until)
            {
                var (kind, length) = connection.ReceiveHeader();
                if (kind != FrameKind.Data || length is <= 0 or > ChainConnection.FrameLimit || length > until - at)
                {
                    return $"it ended at {at} of {until}";
                }
                for (at += length; length > 0;)
                {
                    var part = Math.Min(length, (int)Math.Min(chunkBytes, until - from) - filled);
                    connection.ReceiveExactly(chunk.AsSpan(filled, part));
                    (filled, length) = (filled + part, length - part);
                    if (filled == Math.Min(chunkBytes, until - from))
                    {
                        if (!take(new ArraySegment<byte>(chunk, 0, filled)))
                        {
                            return null;
                        }
                        (from, filled) = (from + filled, 0);
                    }
                }
            }
            return null;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return e.Message;
        }
    }
}
