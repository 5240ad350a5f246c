using System.Collections.Immutable;
using System.Net;
using Ka.Broadcast;
using Ka.Core.Clusters;
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

/// <summary>
/// The broadcast port: one chain over the nodes of a group, in the order of the roster (racks together). The key is derived from
/// the attempt, so that after a restart of the server the same chain goes on where it was.
/// </summary>
sealed class ChainBroadcast(
    Workflow workflow, AgentPort agents, AgentHub hub, ChainSource source, IPAddress serverAddress, FileStore files, ServerSecrets secrets) : IBroadcast
{
    readonly ImmutableArray<ClusterNode> _roster = workflow.Cluster.Nodes;

    public IAsyncEnumerable<NodeResult> SendAsync(NodeBits nodes, int part, AttemptId attempt, Pace pace, CancellationToken cancel)
    {
        var image = workflow.Environment.Images()[part].Image;
        var word = part == 0 ? "send_image" : $"send_image_{part}";
        var key = part == 0 ? secrets.Derive("broadcast", workflow.Id, attempt.Run.ToString()) : secrets.Derive("broadcast", workflow.Id, attempt.Run.ToString(), part.ToString());
        var order = nodes.ToArray();
        var peers = order.Select(i => new ChainPeer(_roster[i].Address, hub.ChainPortOf(workflow.Id, _roster[i].Name) ?? 1)).ToImmutableArray();
        var links = ChainPlan.Of(peers, new ChainPeer(serverAddress.ToString(), source.Port));
        var linkOf = order.Select((index, place) => (index, place)).ToDictionary(p => p.index, p => links[p.place]);
        ImageManifest? manifest = null;
        Fault? refused = null;
        return Watched();

        async IAsyncEnumerable<NodeResult> Watched()
        {
            try
            {
                (manifest, refused) = await Task.Run(Open, cancel);
                await foreach (var result in FanOut.Over(nodes, pace, ReceiveAsync, Late, cancel))
                    yield return result;
            }
            finally
            {
                source.Unregister(key);
            }
        }

        (ImageManifest?, Fault?) Open()
        {
            var path = files.PathOf(image.Sha256);
            if (!File.Exists(path))
                return (null, Fault.Of(FaultCodes.EnvironmentUnknown, $"the image {image.Sha256} is no longer in the store"));
            return (ImageManifests.Of(path), source.Register(key, path, image.Bytes));
        }

        async Task<Fault?> ReceiveAsync(int index, CancellationToken token)
        {
            if (refused is not null || manifest is null)
                return refused;
            var link = linkOf[index];
            var receive = new ReceiveImage(
                key, image.Sha256, image.Bytes, manifest.ChunkBytes, manifest.ChunkHashes, image.Kind, image.Compression,
                [.. link.Upstreams.Select(p => new PeerAddress(p.Host, p.Port))], link.Successors,
                new ImagePlaces(workflow, _roster[index]).Of(part));
            return await agents.GiveAsync(_roster[index], word, new OrderGiven(attempt.Order(word, index), (int)pace.Deadline.TotalSeconds, receive), token);
        }

        Fault Late(int index) => Fault.Of(FaultCodes.BroadcastStalled, $"the image was not received and unpacked within {pace.Deadline.TotalSeconds:0} s");
    }
}

/// <summary>Chunk hashes of stored images, computed once and kept beside the image.</summary>
static class ImageManifests
{
    public static ImageManifest Of(string path)
    {
        var kept = path + ".chunks";
        if (File.Exists(kept) && Read(kept) is { } manifest)
            return manifest;
        manifest = ImageManifest.OfFile(path, ImageManifest.DefaultChunkBytes, CancellationToken.None);
        File.WriteAllLines(kept + ".new", [$"{manifest.Bytes} {manifest.Sha256} {manifest.ChunkBytes}", .. manifest.ChunkHashes]);
        File.Move(kept + ".new", kept, overwrite: true);
        return manifest;
    }

    static ImageManifest? Read(string kept)
    {
        var lines = File.ReadAllLines(kept);
        if (lines.Length == 0 || lines[0].Split(' ') is not [var bytes, var sha256, var chunk])
            return null;
        var manifest = new ImageManifest(long.Parse(bytes), sha256, int.Parse(chunk), [.. lines.Skip(1)]);
        return manifest.IsSound ? manifest : null;
    }
}
