using System.Net;
using Ka.Broadcast;
using Ka.Protocol.Agents;
using Ka.SystemTests.Agent;

namespace Ka.SystemTests.Broadcast;

/// <summary>Agents that get an image by the ways in which nodes give to each other, from the server's own source, unpacked by the real programs.</summary>
public sealed class NodesToNodes : IDisposable
{
    readonly string _root = Directory.CreateTempSubdirectory("ka-ways").FullName;
    readonly ChainSource _source = new(IPAddress.Loopback, 0, ChainOptions.Default);
    readonly string _key = BroadcastKey.Create();
    readonly string _image;
    readonly ImageManifest _manifest;

    public NodesToNodes()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        var tree = Directory.CreateDirectory(Path.Combine(_root, "tree")).FullName;
        var content = new byte[24 << 20];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(Path.Combine(tree, "big"), content);
        _image = Path.Combine(_root, "image.tar");
        SystemTests.Agent.Program.Run("tar", "-c", "-C", tree, "-f", _image, ".");
        _manifest = ImageManifest.OfFile(_image, ImageManifest.DefaultChunkBytes, CancellationToken.None);
    }

    public void Dispose()
    {
        _source.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    PeerAddress Server => new("127.0.0.1", _source.Port);

    ReceiveImage Order() => new(
        _key, _manifest.Sha256, _manifest.Bytes, _manifest.ChunkBytes, _manifest.ChunkHashes, ImageKind.Tar, ImageCompression.None, [Server], 0);

    LoopNode Node(string name)
    {
        var node = new LoopNode(Path.Combine(_root, name), 64 << 20);
        Directory.CreateDirectory(node.Target);
        return node;
    }

    void AssertDeployed(LoopNode node) =>
        Assert.True(File.ReadAllBytes(Path.Combine(_root, "tree", "big")).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(node.Target, "big"))), "the node has something else");

    [Fact]
    public async Task Two_nodes_of_a_swarm_deploy_and_the_server_gives_little_more_than_one_image()
    {
        Assert.Null(_source.Register(_key, _image, _manifest.Bytes));
        using var first = Node("first");
        using var second = Node("second");
        var fromFirst = new SwarmFetch([new PeerAddress("127.0.0.1", first.Chain.Port)], Server, IsFirstHand: false, Place: 1, RoomOnTarget: 0);
        var outcomes = await Task.WhenAll(
            first.MustCarry(Order() with { Swarm = fromFirst with { Peers = [new PeerAddress("127.0.0.1", second.Chain.Port)], IsFirstHand = true, Place = 0 } }),
            second.MustCarry(Order() with { Swarm = fromFirst }));
        AssertDeployed(first);
        AssertDeployed(second);
        Assert.All(outcomes, o => Assert.Equal($"{_manifest.Bytes}", o.Values!["verified"]));
        Assert.InRange(_source.Report(_key)!.BytesOut, _manifest.Bytes, _manifest.Bytes * 1.5);
    }

    [Fact]
    public async Task A_node_holds_as_much_of_the_stream_as_its_order_says()
    {
        using var node = Node("node");
        using var stop = new CancellationTokenSource();
        RingSeen? seen = null;
        void Report(string phase, long done, long? total, long bytesIn, long bytesOut, RingSeen? ring)
        {
            seen ??= ring;
            stop.Cancel();
        }
        // Nobody gives anything: the source has not been told of the broadcast.
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => node.Carry(Order() with { RingBytes = 5 << 20 }, Report, stop.Token));
        Assert.Equal(5 << 20, seen!.Capacity);
    }

    [Fact]
    public async Task A_node_deploys_from_two_trees()
    {
        Assert.True(BroadcastKey.TryParse(_key, out var key));
        Assert.Null(_source.RegisterStripes(key, _image, _manifest.Bytes, _manifest.ChunkBytes));
        using var node = Node("node");
        var outcome = await node.MustCarry(Order() with { Stripes = [new StripeSources([Server], 0), new StripeSources([Server], 0)] });
        AssertDeployed(node);
        Assert.Equal($"{_manifest.Bytes}", outcome.Values!["verified"]);
    }
}
