using System.Collections.Immutable;
using System.Net;

namespace Ka.Core.Clusters;

/// <summary>How an image comes to all nodes at once. The bytes are proved in the same way by each.</summary>
public enum BroadcastWay
{
    /// <summary>The server chooses, and says why.</summary>
    Auto,

    /// <summary>Each node hands on to the next.</summary>
    Chain,

    /// <summary>Each node hands on to a few: for small images.</summary>
    Tree,

    /// <summary>Two trees, each with half of the image; who hands on in one is a leaf of the other.</summary>
    TwoTrees,

    /// <summary>Everybody gives to everybody, in Ka's own protocol.</summary>
    Swarm,

    /// <summary>Paced datagrams to a group; what is lost is asked for again.</summary>
    Multicast,

    /// <summary>BitTorrent (BEP 3), with Ka as tracker and first seed.</summary>
    Torrent,

    /// <summary>The site's own program brings the image.</summary>
    Custom,
}

/// <summary>The names of the ways, as people write them and as strategies are called.</summary>
public static class BroadcastWays
{
    public static readonly ImmutableArray<BroadcastWay> All = [.. Enum.GetValues<BroadcastWay>()];

    /// <summary><c>auto</c>, <c>chain</c>, <c>tree</c>, <c>two-trees</c>, …</summary>
    public static string Word(this BroadcastWay way) => way switch
    {
        BroadcastWay.Auto => "auto",
        BroadcastWay.Chain => "chain",
        BroadcastWay.Tree => "tree",
        BroadcastWay.TwoTrees => "two-trees",
        BroadcastWay.Swarm => "swarm",
        BroadcastWay.Multicast => "multicast",
        BroadcastWay.Torrent => "torrent",
        BroadcastWay.Custom => "custom",
    };

    public static BroadcastWay? Parse(string word) => All.Where(w => w.Word() == word).Cast<BroadcastWay?>().FirstOrDefault();
}

/// <summary>What a site says of its ways to broadcast.</summary>
/// <param name="Multicast">Null when the cluster's network has no group for it.</param>
/// <param name="Custom">Null when the site has no program of its own.</param>
public sealed record BroadcastSettings(MulticastSettings? Multicast = null, CustomBroadcastSettings? Custom = null)
{
    public static readonly BroadcastSettings None = new();

    /// <summary>What is done with nodes that hold the others back.</summary>
    public StragglerRules Stragglers { get; init; } = StragglerRules.Default;

    /// <summary>Bytes of an image that each node keeps for those it hands on to; null for the node's own choice.</summary>
    public int? RingBytes { get; init; }

    /// <summary>Whether nodes and server encrypt what they send each other.</summary>
    public bool Encrypt { get; init; }
}

/// <summary>Where and how fast datagrams are sent.</summary>
/// <param name="Group">IPv4 multicast address (RFC 5771).</param>
/// <param name="TimeToLive">Routers that a datagram may pass, and one.</param>
/// <param name="BitsPerSecond">What the sender never exceeds, headers of UDP and IP not counted.</param>
public sealed record MulticastSettings(string Group, int Port, int TimeToLive, long BitsPerSecond)
{
    /// <summary>Whether this is an address of the range for multicast.</summary>
    public static bool IsGroup(string text) => IPAddress.TryParse(text, out var ip) && ip.GetAddressBytes() is [>= 224 and <= 239, _, _, _];
}

/// <summary>A program of the site that brings an image to nodes.</summary>
/// <param name="Command">Program and arguments; <c>{image}</c>, <c>{nodes}</c>, <c>{destination}</c>, <c>{ok}</c>, <c>{ko}</c>, <c>{bytes}</c>, <c>{sha256}</c> are replaced.</param>
public sealed record CustomBroadcastSettings(ImmutableArray<string> Command);

/// <summary>How an operation broadcasts, settled when it was accepted.</summary>
/// <param name="Way">Word of the first way; others are tried after it where the cluster lists them.</param>
/// <param name="Why">For people.</param>
public sealed record BroadcastChoice(string Way, string Why);
