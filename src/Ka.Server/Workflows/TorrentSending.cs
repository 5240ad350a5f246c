using Ka.Broadcast.Torrent;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Server.Workflows;

/// <summary>A torrent of one delivery: private, with an announce path of its own that ends with it.</summary>
sealed class TorrentSending(Delivery delivery, TorrentSource source, string secret, TorrentFetch fetch) : ISending
{
    public static async Task<Opening> OpenAsync(Delivery delivery, CancellationToken cancel)
    {
        var (parts, image) = (delivery.Parts, delivery.Image);
        var secret = parts.Secrets.Derive("announce", delivery.Key);
        var (metainfo, unseeded) = parts.Torrents.Open(secret, delivery.Path, "image", isPrivate: true, cancel);
        if (metainfo is null)
            return unseeded!;
        var (tools, unread) = await parts.TorrentTools.KeepAsync(cancel);
        if (tools is null)
        {
            parts.Torrents.Close(secret);
            return unread!;
        }
        var fetch = new TorrentFetch(Convert.ToBase64String(metainfo.ToBytes()), tools, delivery.RoomOnTarget);
        return new Opening(new TorrentSending(delivery, parts.Torrents, secret, fetch), null);
    }

    public (ReceiveImage?, Fault?) For(int index, int place, ReceiveImage plain) => (plain with { Torrent = fetch }, null);

    public ValueTask DisposeAsync()
    {
        var given = source.BytesOut(secret);
        source.Close(secret);
        delivery.Say($"by torrent: {delivery.Order.Length} node(s), the first seed gave {given ?? 0} bytes of {delivery.Image.Bytes}");
        return ValueTask.CompletedTask;
    }
}
