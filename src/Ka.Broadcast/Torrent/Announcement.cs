using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Net;

namespace Ka.Broadcast.Torrent;

/// <summary>What a client tells the tracker (BEP 3).</summary>
/// <param name="InfoHash">20 bytes.</param>
/// <param name="PeerId">20 bytes.</param>
/// <param name="Port">Where it listens; at the address that it comes from, whatever it says of itself.</param>
/// <param name="Left">Bytes that it still lacks.</param>
/// <param name="IsLeaving">It has said <c>stopped</c>.</param>
/// <param name="Wanted">Peers that it wants at most.</param>
public sealed record Announcement(byte[] InfoHash, byte[] PeerId, int Port, long Left, bool IsLeaving, int Wanted)
{
    /// <summary>Peers of one answer at most.</summary>
    public const int WantedLimit = 50;

    const int QueryLimit = 4096;

    /// <summary>Reads the query of an announce request, of which two values are bytes and no text; null when it is none.</summary>
    /// <param name="query">As it came, still escaped, with or without its question mark.</param>
    public static Announcement? Parse(string query)
    {
        if (query.Length > QueryLimit)
        {
            return null;
        }
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var pair in query.TrimStart('?').Split('&'))
        {
            var at = pair.IndexOf('=', StringComparison.Ordinal);
            if (at > 0)
            {
                values.TryAdd(pair[..at], pair[(at + 1)..]);
            }
        }
        if (Unescape(values.GetValueOrDefault("info_hash", "")) is not { Length: 20 } hash || Unescape(values.GetValueOrDefault("peer_id", "")) is not { Length: 20 } peer
            || Number(values, "port") is not (> 0 and <= 65535 and var port))
        {
            return null;
        }
        var wanted = (int)Math.Clamp(Number(values, "numwant") ?? WantedLimit, 0, WantedLimit);
        return new Announcement(hash, peer, (int)port, Math.Max(0, Number(values, "left") ?? 0), values.GetValueOrDefault("event") == "stopped", wanted);
    }

    static long? Number(Dictionary<string, string> values, string key) =>
        long.TryParse(values.GetValueOrDefault(key), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    /// <summary>Bytes of a percent-encoded value (RFC 3986); null when an escape is broken.</summary>
    static byte[]? Unescape(string text)
    {
        var bytes = new List<byte>(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '%')
            {
                bytes.Add((byte)text[i]);
                continue;
            }
            if (i + 2 >= text.Length || !byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
            {
                return null;
            }
            bytes.Add(value);
            i += 2;
        }
        return [.. bytes];
    }
}

/// <summary>Who takes part in one torrent, as they have announced themselves.</summary>
/// <param name="self">The first seed, which every answer names first.</param>
sealed class Swarm(IPEndPoint self, TimeProvider clock)
{
    /// <summary>How often clients come back.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    static readonly TimeSpan Forgotten = Interval * 6;

    const int PeerLimit = 20_000;

    readonly Lock _gate = new();
    readonly Dictionary<IPEndPoint, (long Seen, long Left)> _peers = [];
    int _turn;

    public bool Knows(IPAddress address)
    {
        lock (_gate)
        {
            return _peers.Keys.Any(p => p.Address.Equals(address));
        }
    }

    /// <summary>Takes note of a client and answers with others, another part of them at each turn (BEP 23: six bytes each).</summary>
    public byte[] Announce(IPAddress from, Announcement told)
    {
        var client = new IPEndPoint(from, told.Port);
        ImmutableArray<IPEndPoint> others;
        int seeds, all;
        lock (_gate)
        {
            var now = clock.GetTimestamp();
            foreach (var gone in _peers.Where(p => clock.GetElapsedTime(p.Value.Seen, now) > Forgotten).Select(p => p.Key).ToArray())
            {
                _peers.Remove(gone);
            }
            if (told.IsLeaving)
            {
                _peers.Remove(client);
            }
            else if (_peers.Count < PeerLimit || _peers.ContainsKey(client))
            {
                _peers[client] = (now, told.Left);
            }
            (seeds, all) = (_peers.Values.Count(p => p.Left == 0) + 1, _peers.Count + 1);
            others = told.IsLeaving ? [] : Others(client, told.Wanted);
        }
        return Bencoded.Of(
            ("complete", seeds), ("incomplete", all - seeds), ("interval", (long)Interval.TotalSeconds), ("min interval", (long)Interval.TotalSeconds / 2),
            ("peers", Compact(others))).ToBytes();
    }

    ImmutableArray<IPEndPoint> Others(IPEndPoint client, int wanted)
    {
        var candidates = _peers.Keys.Where(p => !p.Equals(client)).ToArray();
        var from = candidates.Length == 0 ? 0 : _turn % candidates.Length;
        _turn += Math.Max(1, wanted - 1);
        return [.. candidates.Skip(from).Concat(candidates.Take(from)).Take(Math.Max(0, wanted - 1)).Prepend(self)];
    }

    static byte[] Compact(ImmutableArray<IPEndPoint> peers)
    {
        var bytes = new byte[peers.Length * 6];
        for (var i = 0; i < peers.Length; i++)
        {
            peers[i].Address.MapToIPv4().TryWriteBytes(bytes.AsSpan(i * 6), out _);
            BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan((i * 6) + 4), (ushort)peers[i].Port);
        }
        return bytes;
    }
}
