using System.Collections.Immutable;
using Ka.Core.Clusters;

namespace Ka.Broadcast;

/// <summary>A way, and a sentence that says why.</summary>
/// <param name="Expected">For how long the bytes take, when nothing goes wrong.</param>
public sealed record WayChoice(BroadcastWay Way, TimeSpan Expected, string Why)
{
    /// <summary>What there is to pick from: the ways whose time follows from a plan.</summary>
    public static readonly ImmutableArray<BroadcastWay> Planned = [BroadcastWay.Chain, BroadcastWay.Tree, BroadcastWay.TwoTrees];

    /// <summary>What a receiver hands on at once.</summary>
    public const int DefaultBlockBytes = 64 * 1024;

    /// <summary>A chain that takes no more than this times the quickest is taken: it has the fewest connections and no node serves two.</summary>
    public const double ChainMayTake = 1.08;

    /// <summary>With fewer chunks than this, two stripes do not fill two trees.</summary>
    const int FewChunks = 4;

    /// <summary>Picks the way by expected time. A pure function.</summary>
    /// <param name="bitsPerSecond">Of a node's link.</param>
    public static WayChoice For(long bytes, int nodes, double bitsPerSecond, TimeSpan latency, int chunkBytes = ImageManifest.DefaultChunkBytes)
    {
        var times = Planned
            .Where(w => w != BroadcastWay.TwoTrees || bytes >= (long)FewChunks * chunkBytes)
            .ToImmutableSortedDictionary(w => w, w => ExpectedTime(w, bytes, nodes, bitsPerSecond, latency));
        var quickest = times.MinBy(t => t.Value).Key;
        var way = times[BroadcastWay.Chain] <= times[quickest] * ChainMayTake ? BroadcastWay.Chain : quickest;
        var instead = way == BroadcastWay.Chain ? quickest == BroadcastWay.Chain ? BroadcastWay.Tree : quickest : BroadcastWay.Chain;
        var why = way == BroadcastWay.Chain ? $"a chain of {nodes} takes {Seconds(times[way])}, {Name(instead)} {Seconds(times[instead])}"
            : way == BroadcastWay.Tree ? $"the image is small: latency counts, and a tree of {nodes} takes {Seconds(times[way])}, a chain {Seconds(times[instead])}"
            : $"a chain of {nodes} would be too deep: {Seconds(times[instead])} against {Seconds(times[way])}";
        return new WayChoice(way, times[way], why);
    }

    /// <summary>The image's length over the link's rate, and one block's time and one latency for each link on the longest way.</summary>
    public static TimeSpan ExpectedTime(BroadcastWay way, long bytes, int nodes, double bitsPerSecond, TimeSpan latency, int blockBytes = DefaultBlockBytes)
    {
        var once = bytes * 8 / bitsPerSecond;
        var block = Math.Min(bytes, blockBytes) * 8 / bitsPerSecond;
        var seconds = way switch
        {
            BroadcastWay.Chain => once + (nodes * (block + latency.TotalSeconds)),
            BroadcastWay.Tree => (Math.Min(2, Math.Max(1, nodes - 1)) * once) + (Shape.Depth(TreePlan.Parents(nodes, 2)) * ((2 * block) + latency.TotalSeconds)),
            BroadcastWay.TwoTrees => once + (TwoTreePlan.Parents(nodes).Max(Shape.Depth) * ((2 * block) + latency.TotalSeconds)),
            BroadcastWay.Auto or BroadcastWay.Swarm or BroadcastWay.Multicast or BroadcastWay.Torrent or BroadcastWay.Custom => throw new ArgumentOutOfRangeException(nameof(way), way, "it has no plan"),
        };
        return TimeSpan.FromSeconds(seconds);
    }

    static string Name(BroadcastWay way) => way == BroadcastWay.TwoTrees ? "two trees" : $"a {way.Word()}";

    static string Seconds(TimeSpan span) => span.TotalSeconds >= 1 ? $"{span.TotalSeconds:0.00} s" : $"{span.TotalMilliseconds:0.0} ms";
}
