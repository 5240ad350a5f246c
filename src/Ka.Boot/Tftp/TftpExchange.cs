using System.Collections.Frozen;
using System.Net;

namespace Ka.Boot.Tftp;

/// <summary>A packet to a client.</summary>
public readonly record struct TftpReply(IPEndPoint To, byte[] Packet);

/// <summary>
/// All transfers of the TFTP server, without socket or clock. Everything goes through port 69, the transfers told apart by the client's
/// address and port. Reads only, octet only, and only the loader files by their exact names.
/// </summary>
public sealed class TftpExchange(FrozenDictionary<string, ReadOnlyMemory<byte>> loaders, Func<IPAddress, bool> isServed)
{
    /// <summary>Most transfers at once: a boot storm of 4,000 nodes, each finished within seconds; later ones ask again.</summary>
    public const int MaxTransfers = 4096;

    /// <summary>Most transfers of one address: firmware asks for the size first, then for the file.</summary>
    public const int MaxTransfersOfOne = 4;

    /// <summary>Longest transfer from beginning to end.</summary>
    public static readonly TimeSpan MaxDuration = TimeSpan.FromMinutes(5);

    private readonly Dictionary<IPEndPoint, Running> _running = [];
    private readonly Dictionary<IPAddress, int> _perAddress = [];

    /// <summary>Transfers under way.</summary>
    public int Count => _running.Count;

    /// <summary>Takes a packet; gives the answers and a note when something began or was refused.</summary>
    /// <param name="now">Any monotonic time.</param>
    public (IReadOnlyList<TftpReply> Replies, BootEventKind? Kind, string Detail) Receive(IPEndPoint from, ReadOnlySpan<byte> packet, TimeSpan now)
    {
        switch (TftpPacket.Operation(packet))
        {
            case TftpPacket.Read:
                return Read(from, packet, now);
            case TftpPacket.Write:
                return isServed(from.Address) ? Refuse(from, TftpError.AccessViolation, "writing is not possible") : ([], null, "");
            case TftpPacket.Ack when _running.TryGetValue(from, out var running):
                var packets = running.Transfer.Acknowledge(TftpPacket.Number(packet));
                if (running.Transfer.IsDone)
                {
                    Remove(from);
                }
                else if (packets.Count > 0)
                {
                    running.LastSent = now;
                }

                return (To(from, packets), null, "");
            case TftpPacket.Error:
                Remove(from);
                return ([], null, "");
            default:
                return ([], null, "");
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

    private (IReadOnlyList<TftpReply>, BootEventKind?, string) Read(IPEndPoint from, ReadOnlySpan<byte> packet, TimeSpan now)
    {
        if (!isServed(from.Address))
        {
            return ([], BootEventKind.Refused, "TFTP from an address outside the boot networks");
        }

        if (!TftpPacket.TryParseRequest(packet, out var request))
        {
            return Refuse(from, TftpError.IllegalOperation, "this is not a request");
        }

        if (request.Mode != "octet")
        {
            return Refuse(from, TftpError.IllegalOperation, "only the mode octet is spoken");
        }

        if (!loaders.TryGetValue(request.File, out var file))
        {
            var (replies, _, _) = Refuse(from, TftpError.NotFound, "there is no such file");
            return (replies, BootEventKind.Refused, $"TFTP request for '{Core.Documents.DocumentError.Cut(request.File)}'");
        }

        // The same client and port again: its request or our first packet was lost.
        Remove(from);
        if (_running.Count >= MaxTransfers || _perAddress.GetValueOrDefault(from.Address) >= MaxTransfersOfOne)
        {
            return ([], BootEventKind.Refused, "too many TFTP transfers at once");
        }

        var running = new Running(TftpTransfer.Begin(file, request), now);
        _running[from] = running;
        _perAddress[from.Address] = _perAddress.GetValueOrDefault(from.Address) + 1;
        return (To(from, running.Transfer.First()), BootEventKind.TftpRequest, request.File);
    }

    private static (IReadOnlyList<TftpReply>, BootEventKind?, string) Refuse(IPEndPoint from, TftpError error, string message) =>
        ([new(from, TftpPacket.ErrorPacket(error, message))], BootEventKind.Refused, $"TFTP: {message}");

    private static IReadOnlyList<TftpReply> To(IPEndPoint client, IReadOnlyList<byte[]> packets) => [.. packets.Select(packet => new TftpReply(client, packet))];

    private void Remove(IPEndPoint client)
    {
        if (!_running.Remove(client))
        {
            return;
        }

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

    private sealed record Running(TftpTransfer Transfer, TimeSpan Begun)
    {
        public TimeSpan LastSent { get; set; } = Begun;
    }
}
