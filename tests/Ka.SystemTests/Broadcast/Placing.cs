using System.Net;
using Ka.Broadcast;
using Ka.Protocol.Agents;
using Ka.SystemTests.Agent;

namespace Ka.SystemTests.Broadcast;

/// <summary>A node's agent with an image that a site's program has brought, and with a group in which nobody speaks.</summary>
public sealed class Placing : IDisposable
{
    readonly string _root = Directory.CreateTempSubdirectory("ka-placing").FullName;
    readonly string _key = BroadcastKey.Create();
    readonly LoopNode _node;
    readonly string _image;
    readonly ImageManifest _manifest;

    public Placing()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        _node = new LoopNode(Path.Combine(_root, "node"), 64 << 20);
        Directory.CreateDirectory(_node.Target);
        var tree = Directory.CreateDirectory(Path.Combine(_root, "tree")).FullName;
        File.WriteAllBytes(Path.Combine(tree, "big"), new byte[5_000_000]);
        _image = Path.Combine(_root, "image.tar");
        SystemTests.Agent.Program.Run("tar", "-c", "-C", tree, "-f", _image, ".");
        _manifest = ImageManifest.OfFile(_image, ImageManifest.DefaultChunkBytes, CancellationToken.None);
    }

    public void Dispose()
    {
        _node?.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    ReceiveImage Order(int port = 1) => new(
        _key, _manifest.Sha256, _manifest.Bytes, _manifest.ChunkBytes, _manifest.ChunkHashes, ImageKind.Tar, ImageCompression.None, [new PeerAddress("127.0.0.1", port)], 0);

    [Fact]
    public async Task What_was_brought_is_proved_and_unpacked_and_the_place_is_given_back()
    {
        var room = await _node.MustCarry(new MakeRoom(_manifest.Bytes, 0));
        File.Copy(_image, room.Values!["image"]);
        await _node.MustCarry(Order() with { IsPlaced = true });
        Assert.Equal(5_000_000, new FileInfo(Path.Combine(_node.Target, "big")).Length);
        Assert.False(Directory.Exists(Path.Combine(_node.Paths.Run, "whole")));
    }

    [Fact]
    public async Task What_was_not_brought_or_is_something_else_is_never_deployed()
    {
        Assert.Equal("broadcast.program_failed", (await _node.Carry(Order() with { IsPlaced = true })).Fault?.Code.Text);
        var room = await _node.MustCarry(new MakeRoom(_manifest.Bytes, 0));
        var bytes = File.ReadAllBytes(_image);
        bytes[3_000_000] ^= 1;
        File.WriteAllBytes(room.Values!["image"], bytes);
        Assert.Equal("image.corrupt", (await _node.Carry(Order() with { IsPlaced = true })).Fault?.Code.Text);
    }

    [Fact]
    public async Task Where_the_group_is_silent_the_chain_brings_the_image_and_the_result_says_so()
    {
        using var source = new ChainSource(IPAddress.Loopback, 0, ChainOptions.Default);
        Assert.Null(source.Register(_key, _image, _manifest.Bytes));
        var outcome = await _node.MustCarry(Order(source.Port) with { Multicast = new MulticastFetch("239.192.75.2", 8484, new PeerAddress("127.0.0.1", 9)) });
        Assert.Equal("nothing came from 239.192.75.2:8484, so all by the chain", outcome.Values!["way"]);
        Assert.Equal(5_000_000, new FileInfo(Path.Combine(_node.Target, "big")).Length);
    }
}
