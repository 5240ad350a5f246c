using System.Net;

namespace Ka.Boot.Tftp;

/// <summary>A packet to a client.</summary>
public readonly record struct TftpReply(IPEndPoint To, byte[] Packet);

/// <summary>
/// All transfers of the TFTP server, without socket or clock. Everything goes through port 69, the transfers told apart by the client's
/// address and port. Reads only, octet only, and only what is offered.
/// </summary>
/// <param name="find">The file that a client may read under a path, or null and why not.</param>
public sealed class TftpExchange(TftpExchange.Finding find, Func<IPAddress, bool> isServed)
{
    /// <summary>Most transfers at once: a boot storm of 4,000 nodes, each finished within seconds; later ones ask again.</summary>
    public const int MaxTransfers = 4096;

    /// <summary>Most transfers of one address: firmware asks for the size first, then for the file.</summary>
    public const int MaxTransfersOfOne = 4;

    /// <summary>Longest transfer from beginning to end: GRUB takes an initramfs block by block.</summary>
    public static readonly TimeSpan MaxDuration = TimeSpan.FromMinutes(15);

    /// <summary>Finds what a client may read.</summary>
    public delegate TftpOffer? Finding(IPAddress from, string path, out string refusal);

    private readonly Dictionary<IPEndPoint, Running> _running = [];
    private readonly Dictionary<IPAddress, int> _perAddress = [];

    /// <summary>Transfers under way.</summary>
    public int Count => _running.Count;

    /// <summary>Takes a packet; gives the answers and a note when something began or was refused.</summary>
    /// <param name="now">Any monotonic time.</param>
    public (IReadOnlyList<TftpReply> Replies, TftpNote? Note) Receive(IPEndPoint from, ReadOnlySpan<byte> packet, TimeSpan now)
    {
        switch (TftpPacket.Operation(packet))
        {
            case TftpPacket.Read:
                return Read(from, packet, now);
            case TftpPacket.Write:
                return isServed(from.Address) ? Refuse(from, TftpError.AccessViolation, "writing is not possible") : ([], null);
            case TftpPacket.Ack when _running.TryGetValue(from, out var running):
                var packets = running.Transfer.Acknowledge(TftpPacket.Number(packet));
                if (running.Transfer.IsDone)
                {
                    Remove(from);
                    return ([], running.Offer.Fetched is { } fetched ? new(fetched, running.Offer.Node, running.Name) : null);
                }

                if (packets.Count > 0)
                {
                    running.LastSent = now;
                }

                return (To(from, packets), null);
            case TftpPacket.Error:
                Remove(from);
                return ([], null);
            default:
                return ([], null);
        }
    }

    /// <summary>Sends again what got no answer, and forgets clients that are silent for too long. Call a few times a second.</summary>
    public IReadOnlyList<TftpReply> Tick(TimeSpan now)
    {
        var replies = new List<TftpReply>();
        foreach (var (client, running) in _running.ToArray())
        {
            if (now - running.Begun > MaxDuration)
            {
                Remove(client);
            }
            else if (now - running.LastSent >= running.Transfer.Timeout)
            {
                if (running.Transfer.Silence() is { } packets)
                {
                    running.LastSent = now;
                    replies.AddRange(To(client, packets));
                }
                else
                {
                    Remove(client);
                }
            }
        }

        return replies;
    }

    private (IReadOnlyList<TftpReply>, TftpNote?) Read(IPEndPoint from, ReadOnlySpan<byte> packet, TimeSpan now)
    {
        if (!isServed(from.Address))
        {
            return ([], Refused("TFTP from an address outside the boot networks"));
        }

        if (!TftpPacket.TryParseRequest(packet, out var request))
        {
            return Refuse(from, TftpError.IllegalOperation, "this is not a request");
        }

        if (request.Mode != "octet")
        {
            return Refuse(from, TftpError.IllegalOperation, "only the mode octet is spoken");
        }

        // The same client and port again: its request or our first packet was lost.
        Remove(from);
        if (_running.Count >= MaxTransfers || _perAddress.GetValueOrDefault(from.Address) >= MaxTransfersOfOne)
        {
            return ([], Refused("too many TFTP transfers at once"));
        }

        // The directory of a node's files is a secret.
        var name = Core.Documents.DocumentError.Cut(request.File[(request.File.LastIndexOf('/') + 1)..]);
        if (find(from.Address, request.File, out var refusal) is not { } offer)
        {
            var (replies, _) = Refuse(from, TftpError.NotFound, "there is no such file");
            return (replies, Refused($"TFTP request for '{name}': {refusal}"));
        }

        var running = new Running(TftpTransfer.Begin(offer.Content, request), offer, name, now);
        _running[from] = running;
        _perAddress[from.Address] = _perAddress.GetValueOrDefault(from.Address) + 1;
        return (To(from, running.Transfer.First()), new(BootEventKind.TftpRequest, offer.Node, name));
    }

    private static (IReadOnlyList<TftpReply>, TftpNote?) Refuse(IPEndPoint from, TftpError error, string message) =>
        ([new(from, TftpPacket.ErrorPacket(error, message))], Refused($"TFTP: {message}"));

    private static TftpNote Refused(string detail) => new(BootEventKind.Refused, null, detail);

    private static IReadOnlyList<TftpReply> To(IPEndPoint client, IReadOnlyList<byte[]> packets) => [.. packets.Select(packet => new TftpReply(client, packet))];

    private void Remove(IPEndPoint client)
    {
        if (!_running.Remove(client, out var ended))
        {
            return;
        }

        ended.Offer.Content.Dispose();
        var left = _perAddress[client.Address] - 1;
        if (left == 0)
        {
            _perAddress.Remove(client.Address);
        }
        else
        {
            _perAddress[client.Address] = left;
        }
    }

    private sealed record Running(TftpTransfer Transfer, TftpOffer Offer, string Name, TimeSpan Begun)
    {
        public TimeSpan LastSent { get; set; } = Begun;
    }
}
