using System.Collections.Immutable;
using System.Net;
using Ka.Broadcast;
using Ka.Broadcast.Torrent;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine;
using Ka.Engine.Ports;
using Ka.Engine.Workflows;
using Ka.Protocol.Agents;
using Ka.Server.Agents;
using Ka.Server.Environments;
using Ka.Server.Hosting;

namespace Ka.Server.Workflows;

/// <summary>What broadcasts need of the server.</summary>
sealed record BroadcastParts(
    Workflow Workflow, AgentPort Agents, AgentHub Hub, ChainSource Source, IPAddress Address, FileStore Files, ServerSecrets Secrets, TorrentSource Torrents, TorrentTools TorrentTools)
{
    public ImmutableArray<ClusterNode> Roster { get; } = Workflow.Cluster.Nodes;
}

/// <summary>One image on its way to one group of nodes.</summary>
/// <param name="Path">The image in the store.</param>
/// <param name="Key">Hex secret of the broadcast, derived from the attempt: after a restart of the server the same one goes on where it was.</param>
/// <param name="Order">Roster indices in the order of the roster (racks together).</param>
/// <param name="Partition">Which the image is for; null for the root or the disk.</param>
/// <param name="Peers">Where these listen, in the same order.</param>
/// <param name="Links">Whom each asks by the plan, in the same order.</param>
/// <param name="Word">The step, for logs.</param>
sealed record Delivery(
    BroadcastParts Parts, Image Image, string? Partition, string Path, ImageManifest Manifest, string Key, ImmutableArray<int> Order, ImmutableArray<ChainPeer> Peers, ImmutableArray<ChainLink> Links, ChainPeer Server, string Word, AttemptId Attempt, TimeSpan Deadline)
{
    /// <summary>What a node's mounted target must have free where the image lies whole on it beside what it unpacks to; 0 where nothing is mounted for it.</summary>
    public long RoomOnTarget => Image.Raw is null && Partition is null ? WholeImage.OnTarget(Image.Bytes, Image.UnpackedBytes) : 0;

    /// <summary>Where a peer listens, as an order names it.</summary>
    public static PeerAddress Address(ChainPeer peer) => new(peer.Host, peer.Port);

    /// <summary>Says something of the whole delivery in the operation's log.</summary>
    public void Say(string text) => Parts.Agents.Say(Word, text);
}

/// <summary>
/// The broadcast port: every node gets an order with the image's hashes, the broadcast's key and its place in a plan of sources; a way may
/// add how the bytes come otherwise.
/// </summary>
/// <param name="plan">Who asks whom, for nodes and server.</param>
/// <param name="open">Begins a delivery on the server's side.</param>
sealed class ImageBroadcast(
    BroadcastParts parts, Func<ImmutableArray<ChainPeer>, ChainPeer, ImmutableArray<ChainLink>> plan, Func<Delivery, CancellationToken, Task<Opening>> open) : IBroadcast
{
    public IAsyncEnumerable<NodeResult> SendAsync(NodeBits nodes, int part, AttemptId attempt, Pace pace, CancellationToken cancel)
    {
        var (workflow, roster) = (parts.Workflow, parts.Roster);
        var (partition, image) = workflow.Environment.Images()[part];
        var word = part == 0 ? "send_image" : $"send_image_{part}";
        var key = part == 0 ? parts.Secrets.Derive("broadcast", workflow.Id, attempt.Run.ToString()) : parts.Secrets.Derive("broadcast", workflow.Id, attempt.Run.ToString(), part.ToString());
        key = workflow.Cluster.Broadcast.Encrypt ? BroadcastKey.Encrypted(key) : key;
        var order = nodes.ToArray();
        var peers = order.Select(i => new ChainPeer(roster[i].Address, parts.Hub.ChainPortOf(workflow.Id, roster[i].Name) ?? 1)).ToImmutableArray();
        var server = new ChainPeer(parts.Address.ToString(), parts.Source.Port);
        var links = plan(peers, server);
        var placeOf = order.Select((index, place) => (index, place)).ToDictionary(p => p.index, p => p.place);
        ImageManifest? manifest = null;
        Opening opening = new(null, null);
        return Watched();

        async IAsyncEnumerable<NodeResult> Watched()
        {
            try
            {
                opening = await Task.Run(OpenAsync, cancel);
                await foreach (var result in FanOut.Over(nodes, pace, ReceiveAsync, Late, cancel))
                    yield return result;
            }
            finally
            {
                if (opening.Sending is not null)
                    await opening.Sending.DisposeAsync();
                parts.Source.Unregister(key);
            }
        }

        async Task<Opening> OpenAsync()
        {
            var path = parts.Files.PathOf(image.Sha256);
            if (!File.Exists(path))
                return Fault.Of(FaultCodes.EnvironmentUnknown, $"the image {image.Sha256} is no longer in the store");
            manifest = ImageManifests.Of(path);
            return parts.Source.Register(key, path, image.Bytes) is { } refused
                ? refused
                : await open(new Delivery(parts, image, partition, path, manifest, key, [.. order], peers, links, server, word, attempt, pace.Deadline), cancel);
        }

        async Task<Fault?> ReceiveAsync(int index, CancellationToken token)
        {
            if (opening.Sending is not { } sending || manifest is null)
                return opening.Fault;
            var (place, link) = (placeOf[index], links[placeOf[index]]);
            var plain = new ReceiveImage(
                key, image.Sha256, image.Bytes, manifest.ChunkBytes, manifest.ChunkHashes, image.Kind, image.Compression,
                [.. link.Upstreams.Select(Delivery.Address)], link.Successors,
                new ImagePlaces(workflow, roster[index]).Of(part))
            { AclsAsText = image.AclsAsText, RingBytes = workflow.Cluster.Broadcast.RingBytes };
            var (receive, not) = sending.For(index, place, plain);
            return receive is null ? not : await sending.FollowAsync(place, (seen, stop) => parts.Agents.GiveAsync(
                roster[index], word, new OrderGiven(attempt.Order(word, index), (int)pace.Deadline.TotalSeconds, receive), stop, seen), token);
        }

        Fault Late(int index) => Fault.Of(FaultCodes.BroadcastStalled, $"the image was not received and unpacked within {pace.Deadline.TotalSeconds:0} s");
    }
}
