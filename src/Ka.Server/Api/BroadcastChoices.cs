using System.Collections.Immutable;
using System.Globalization;
using Ka.Broadcast;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Rest;

namespace Ka.Server.Api;

/// <summary>What is known of a cluster's machines when a way to broadcast is chosen.</summary>
/// <param name="SmallestMemory">Bytes, of the nodes that were seen before; null when none was.</param>
/// <param name="SmallestDisk">Bytes of the smallest target disk that was seen, or null.</param>
/// <param name="HasTorrent">The minimal environment was built with a BitTorrent client.</param>
/// <param name="BitsPerSecond">Of the slowest link to a node that was seen; null when none was.</param>
public sealed record BroadcastGround(long? SmallestMemory, long? SmallestDisk, bool HasTorrent, double? BitsPerSecond = null);

/// <summary>Settles how an operation broadcasts, and refuses ways that cannot be had, before anything is erased.</summary>
static class BroadcastChoices
{
    /// <summary>What a link is taken for before any node was seen: bits per second.</summary>
    const double LinkByDefault = 1e9;

    /// <summary>What one node more on a byte's way costs besides its block: a switch and two network stacks.</summary>
    static readonly TimeSpan Latency = TimeSpan.FromMicroseconds(100);

    /// <summary>The cluster with the ways of this request in place of its own, none of them <c>auto</c> any more, and what to tell people.</summary>
    public static (Cluster Cluster, BroadcastChoice Choice) Settle(Cluster cluster, DeployBody body, OsEnvironment environment, BroadcastGround ground, ICollection<Fault> faults)
    {
        var words = body.Strategies.IsDefault ? [] : body.Strategies;
        var byStrategy = words.Any(w => w.StartsWith("install=", StringComparison.Ordinal));
        var asked = body.Broadcast is { } word ? Asked(cluster, word, byStrategy, faults) : null;
        var listed = asked is null ? cluster.Install : [asked];
        var from = asked is not null ? "asked for" : byStrategy ? "asked for as a strategy" : cluster.Install == Cluster.AutoInstall ? "by default" : "the cluster's";
        var (picked, because) = Pick(environment, cluster.Nodes.Length, ground);
        var install = listed.Select(s => s.Do == BroadcastWay.Auto.Word() ? s with { Do = picked.Word() } : s).DistinctBy(s => s.Do).ToImmutableArray();
        var others = install.Length > 1 ? $"; after it {string.Join(", ", install.Skip(1).Select(s => s.Do))}" : "";
        var why = listed[0].Do == BroadcastWay.Auto.Word() ? $"auto, {from}: {because}" : from;
        return (cluster with { Install = install }, new BroadcastChoice(install[0].Do, why + others));
    }

    /// <summary>The way by expected time; ways that need something of the site are never chosen by themselves.</summary>
    static (BroadcastWay Way, string Why) Pick(OsEnvironment environment, int nodes, BroadcastGround ground)
    {
        var bits = ground.BitsPerSecond ?? LinkByDefault;
        var choice = WayChoice.For(environment.Images().Max(i => i.Image.Bytes), nodes, bits, Latency);
        return (choice.Way, string.Create(CultureInfo.InvariantCulture, $"{choice.Why}, with links of {bits / 1e9:0.##} Gbit/s{(ground.BitsPerSecond is null ? " where no node was seen yet" : "")}"));
    }

    static StrategySettings? Asked(Cluster cluster, string word, bool byStrategy, ICollection<Fault> faults)
    {
        if (byStrategy)
            faults.Add(Fault.Of(FaultCodes.StrategyInvalid, "the way to broadcast is asked for twice: --broadcast and --strategy install=…; leave out one"));
        if (BroadcastWays.Parse(word) is null)
        {
            var near = Suggestion.Nearest(word, BroadcastWays.All.Select(w => w.Word()));
            faults.Add(Fault.Of(
                FaultCodes.BroadcastUnavailable, $"'{DocumentError.Cut(word)}' is no way to broadcast{(near is null ? "" : $", did you mean '{near}'?")}",
                $"known: {string.Join(", ", BroadcastWays.All.Select(w => w.Word()))}"));
            return null;
        }
        return cluster.Install.FirstOrDefault(s => s.Do == word) ?? Cluster.KnownInstall.Single(s => s.Do == word);
    }

    /// <summary>Why the cluster's ways cannot carry this environment; nothing when they can.</summary>
    public static IEnumerable<Fault> Check(Cluster cluster, OsEnvironment environment, BroadcastGround ground) =>
        from settings in cluster.Install
        let way = BroadcastWays.Parse(settings.Do)
        where way is not null
        let why = WhyNot(way.Value, cluster, environment, ground)
        where why is not null
        select Fault.Of(FaultCodes.BroadcastUnavailable, $"{settings.Do}: {why}", $"cluster {cluster.Name}, environment {environment.Name}:{environment.Version}");

    static string? WhyNot(BroadcastWay way, Cluster cluster, OsEnvironment environment, BroadcastGround ground) => way switch
    {
        BroadcastWay.Auto or BroadcastWay.Chain or BroadcastWay.Tree or BroadcastWay.TwoTrees => null,
        BroadcastWay.Multicast or BroadcastWay.Torrent or BroadcastWay.Custom when cluster.Broadcast.Encrypt =>
            "it cannot be encrypted, and the cluster file says: broadcast: { encrypt: true }; chain, tree, two-trees and swarm can",
        BroadcastWay.Multicast => cluster.Broadcast.Multicast is null ? "the cluster file names no group: broadcast: { multicast: { group: 239.192.75.1 } }" : null,
        BroadcastWay.Torrent when !ground.HasTorrent => "the minimal environment was built without aria2; build it again: ka minimal build",
        BroadcastWay.Custom when cluster.Broadcast.Custom is null => "the cluster file names no program: broadcast: { custom: [PROGRAM, ARGUMENT…] }",
        BroadcastWay.Torrent or BroadcastWay.Swarm or BroadcastWay.Custom => NoRoom(cluster, environment, ground),
    };

    /// <summary>Where an image lies whole before it is unpacked: in memory, or on the deploy partition that is mounted for it.</summary>
    static string? NoRoom(Cluster cluster, OsEnvironment environment, BroadcastGround ground)
    {
        foreach (var (partition, image) in environment.Images())
        {
            if (ground.SmallestMemory is not { } memory || image.Bytes <= WholeImage.Share(memory))
                continue;
            var mounted = partition is null && image.Raw is null;
            if (mounted && cluster.Nodes.All(n => LayoutRoom.OfDeploy(n.Layout, ground.SmallestDisk) is not { } room || WholeImage.OnTarget(image.Bytes, image.UnpackedBytes) <= room))
                continue;
            return $"the image has {image.Bytes} bytes and must lie whole on each node before it is unpacked; a node has {memory} bytes of memory"
                + (mounted ? ", and the deploy partition is too small to hold it beside the system" : ", and there is no mounted partition to hold it");
        }
        return null;
    }
}
