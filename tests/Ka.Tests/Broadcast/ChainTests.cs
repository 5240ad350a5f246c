using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Ka.Broadcast;
using Ka.Core.Faults;

namespace Ka.Tests.Broadcast;

public sealed class ZeroCopyChainTests() : ChainTests(zeroCopy: true);

public class SplicedWires
{
    [Fact]
    public async Task What_goes_without_waiting_is_sent_and_nobody_waits_for_one_that_takes_nothing()
    {
        using var door = new SocketDoor(IPAddress.Loopback, 0);
        using var asking = SocketWire.Dial(LoopbackChain.Peer(door.Port), TimeSpan.FromSeconds(30));
        using var serving = (SocketWire)door.Accept();
        using var pipe = Pipe.TryCreate()!;
        using var zeros = File.OpenHandle("/dev/zero");
        var sending = Task.Run(() =>
        {
            while (true)
            {
                var held = (int)Kernel.Splice(zeros, 0, pipe.Input, 0, 64 * 1024, Kernel.DoNotWait);
                if (held > 0 && serving.SendAtOnce(pipe, held) < held)
                {
                    return;
                }
            }
        });
        await sending.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken); // for ever, did it wait
    }
}

public sealed class CopyingChainTests() : ChainTests(zeroCopy: false);

/// <summary>What a chain does, whether the bytes stay in the kernel or are copied.</summary>
public abstract class ChainTests(bool zeroCopy)
{
    const int MiB = 1024 * 1024;

    LoopbackChain Chain(int bytes, int nodes, ChainOptions? options = null, int chunkBytes = 64 * 1024) => new(bytes, nodes, options, chunkBytes, zeroCopy);

    [Fact]
    public async Task Eight_nodes_get_identical_bytes_and_the_server_sends_them_once()
    {
        using var chain = Chain(8 * MiB, nodes: 8, LoopbackChain.Patient);
        var outcomes = await chain.StartAll();
        Assert.All(outcomes, o => Assert.Null(o.Fault));
        Assert.All(Enumerable.Range(0, 8), chain.AssertDelivered);
        Assert.Equal(8 * MiB, chain.Source.Report(chain.Key)!.BytesOut);
        Assert.All(outcomes, o => Assert.Equal(8 * MiB, o.Progress.Verified));
    }

    [Fact]
    public async Task A_node_that_dies_in_the_middle_takes_nobody_with_it()
    {
        using var chain = Chain(8 * MiB, nodes: 6, LoopbackChain.Patient);
        chain.Die(2, MiB, 2);
        var all = Enumerable.Range(0, 6).Select(i => chain.Start(i)).ToArray();
        await Assert.ThrowsAsync<OperationCanceledException>(() => all[2]);
        foreach (var i in (int[])[0, 1, 3, 4, 5])
        {
            Assert.Null((await all[i]).Fault);
            chain.AssertDelivered(i);
        }
        // Its successor went on behind the one before it, which still had the bytes.
        Assert.Equal(8 * MiB, chain.Source.Report(chain.Key)!.BytesOut);
    }

    [Fact]
    public async Task Neighbours_that_die_together_are_stepped_over_at_once()
    {
        using var chain = Chain(8 * MiB, nodes: 8, LoopbackChain.Patient);
        chain.Die(4, MiB, 2, 3, 4); // the last one is who the others ask
        var all = Enumerable.Range(0, 8).Select(i => chain.Start(i)).ToArray();
        foreach (var i in (int[])[0, 1, 5, 6, 7])
        {
            Assert.Null((await all[i]).Fault);
            chain.AssertDelivered(i);
        }
        Assert.InRange((await all[5]).Progress.Switches, 0, 1); // none where it had everything by then
        Assert.Equal(8 * MiB, chain.Source.Report(chain.Key)!.BytesOut); // it found the one before them, not the server
    }

    [Fact]
    public async Task A_node_whose_disk_hangs_stops_nobody_else()
    {
        using var chain = Chain(8 * MiB, nodes: 5);
        chain.Sinks[1].BlockAt = MiB;
        var all = Enumerable.Range(0, 5).Select(i => chain.Start(i)).ToArray();
        foreach (var i in (int[])[0, 2, 3, 4])
        {
            Assert.Null((await all[i]).Fault);
            chain.AssertDelivered(i);
        }
        Assert.False(all[1].IsCompleted);
        chain.Sinks[1].Unblock();
        Assert.Null((await all[1]).Fault);
        chain.AssertDelivered(1);
    }

    [Fact]
    public async Task A_predecessor_that_corrupts_is_never_believed_and_its_chunk_is_fetched_again()
    {
        using var chain = Chain(4 * MiB, nodes: 4, LoopbackChain.Patient);
        using var proxy = new FlippingProxy(LoopbackChain.Peer(chain.Listeners[0].Port), at: MiB);
        chain.Links = chain.Links.SetItem(1, new ChainLink([LoopbackChain.Peer(proxy.Port), chain.Server], 1));
        var outcomes = await chain.StartAll();
        Assert.All(outcomes, o => Assert.Null(o.Fault));
        Assert.All(Enumerable.Range(0, 4), chain.AssertDelivered);
        Assert.True(proxy.Flipped >= 1);
        Assert.True(outcomes[1].Progress.BytesIn > 4 * MiB);
        Assert.Equal([LoopbackChain.Peer(proxy.Port).ToString()], outcomes[1].Progress.Dropped);
        Assert.Equal(64 * 1024, outcomes[1].Progress.Refetched);
        Assert.All(outcomes.Skip(2), o => Assert.InRange(o.Progress.Refetched, 0, 1));
    }

    [Fact]
    public async Task Bits_flipped_on_every_hop_are_all_found_and_only_what_was_wrong_comes_again()
    {
        const int nodes = 5, chunk = 64 * 1024;
        using var chain = Chain(8 * MiB, nodes, LoopbackChain.Patient);
        var luck = new Random(nodes);
        ImmutableArray<FlippingProxy> proxies =
        [
            .. chain.Listeners.Select(l => LoopbackChain.Peer(l.Port)).Append(chain.Server)
                .Select(to => new FlippingProxy(to, [.. Enumerable.Range(0, 8).Select(_ => luck.NextInt64(8 * MiB))])),
        ];
        chain.Links = ChainPlan.Of([.. proxies.SkipLast(1).Select(p => LoopbackChain.Peer(p.Port))], LoopbackChain.Peer(proxies[^1].Port));
        var outcomes = await chain.StartAll();
        Assert.All(outcomes, o => Assert.Null(o.Fault));
        Assert.All(Enumerable.Range(0, nodes), chain.AssertDelivered);
        var flipped = proxies.SelectMany(p => p.FlippedOffsets).ToArray();
        Assert.NotEmpty(flipped);
        Assert.All(outcomes, o => Assert.NotEmpty(o.BadChunks));
        Assert.Subset(flipped.Select(f => (int)(f / chunk)).ToHashSet(), outcomes.SelectMany(o => o.BadChunks).ToHashSet());
        Assert.InRange(outcomes.Sum(o => o.Progress.Refetched), 1, 2L * chunk * flipped.Length);
        foreach (var proxy in proxies)
        {
            proxy.Dispose();
        }
    }

    [Fact]
    public async Task Bytes_that_the_server_itself_has_wrong_are_a_corrupt_image()
    {
        using var chain = Chain(MiB, nodes: 1);
        chain.Manifest = chain.Manifest with { ChunkHashes = chain.Manifest.ChunkHashes.SetItem(3, new string('0', 64)) };
        var outcome = await chain.Start(0);
        Assert.Equal(FaultCodes.ImageCorrupt, outcome.Fault!.Code);
        Assert.Equal(3 * 64 * 1024, chain.Sinks[0].Length);
    }

    [Fact]
    public async Task Without_the_key_nothing_is_given()
    {
        using var chain = Chain(MiB, nodes: 2);
        var good = chain.Start(0);
        var bad = chain.Start(1, BroadcastKey.Create(), LoopbackChain.Hasty);
        Assert.Null((await good).Fault);
        var outcome = await bad;
        Assert.Equal(FaultCodes.BroadcastUnreachable, outcome.Fault!.Code);
        Assert.Equal(0, outcome.Progress.BytesIn);
        Assert.Equal(0, chain.Sinks[1].Length);
    }

    [Fact]
    public async Task A_late_joiner_gets_from_the_server_what_its_predecessor_no_longer_holds()
    {
        using var chain = Chain(4 * MiB, nodes: 2, LoopbackChain.Patient with { RingBytes = LoopbackChain.Quick.RingBytes, Gather = TimeSpan.Zero });
        Assert.Null((await chain.Start(0)).Fault);
        var outcome = await chain.Start(1);
        Assert.Null(outcome.Fault);
        chain.AssertDelivered(1);
        Assert.Equal((8 * MiB) - chain.Options.RingBytes!.Value, chain.Source.Report(chain.Key)!.BytesOut);
    }

    [Theory]
    [InlineData(false, null, 32 * MiB)]
    [InlineData(true, null, 24 * MiB)]
    [InlineData(false, 5 * MiB, 5 * MiB)]
    [InlineData(true, 40 * MiB, 40 * MiB)]
    [InlineData(false, MiB, 4 * MiB)]
    public void A_node_holds_as_much_as_the_broadcast_says_and_four_chunks_at_least(bool isEncrypted, int? asked, int held)
    {
        Assert.True(BroadcastKey.TryParse(isEncrypted ? BroadcastKey.Encrypted(BroadcastKey.Create()) : BroadcastKey.Create(), out var key));
        var manifest = new ImageManifest(100L * MiB, new string('0', 64), MiB, [.. Enumerable.Repeat(new string('0', 64), 100)]);
        using var listener = new ChainListener(IPAddress.Loopback, 0, ChainOptions.Default);
        using var node = new ChainNode(new ChainTicket(key, manifest, [LoopbackChain.Peer(1)], 1), listener, Stream.Null, ChainOptions.Default with { RingBytes = asked });
        Assert.Equal(held, node.Progress.RingCapacity);
    }

    [Fact]
    public async Task A_node_is_free_to_leave_when_its_successors_have_everything()
    {
        using var chain = Chain(MiB, nodes: 2, LoopbackChain.Patient with { Linger = TimeSpan.FromHours(1) });
        await chain.StartAll();
        await chain.Nodes[0].Linger();
        await chain.Nodes[1].Linger();
        chain.Nodes[0].Dispose();
        Assert.Null((await chain.Start(1)).Fault); // the ended predecessor sends it on at once
        Assert.Equal(1, chain.Nodes[1].Progress.Switches);
    }

    [Fact]
    public async Task A_node_may_ask_before_its_predecessor_has_heard_of_the_broadcast()
    {
        using var chain = Chain(MiB, nodes: 2, LoopbackChain.Patient);
        var second = chain.Start(1);
        var first = chain.Start(0);
        Assert.Null((await first).Fault);
        Assert.Null((await second).Fault);
        chain.AssertDelivered(1);
        Assert.Equal(0, (await second).Progress.Switches);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(64 * 1024)]
    [InlineData((64 * 1024) + 1)]
    public async Task Images_of_any_size_arrive(int bytes)
    {
        using var chain = Chain(bytes, nodes: 3);
        Assert.All(await chain.StartAll(), o => Assert.Null(o.Fault));
        Assert.All(Enumerable.Range(0, 3), chain.AssertDelivered);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public async Task An_image_that_is_not_as_long_as_claimed_is_corrupt(int more)
    {
        using var chain = Chain(MiB, nodes: 1, chunkBytes: MiB * 2);
        chain.Manifest = chain.Manifest with { Bytes = MiB + more };
        var outcome = await chain.Start(0);
        Assert.Equal(FaultCodes.ImageCorrupt, outcome.Fault!.Code);
        Assert.Equal(0, chain.Sinks[0].Length);
    }

    [Fact]
    public async Task A_source_that_never_answers_is_left_for_the_next()
    {
        var impatient = LoopbackChain.Quick with { Connect = TimeSpan.FromMilliseconds(100), Join = TimeSpan.FromMilliseconds(100) };
        using var chain = Chain(MiB, nodes: 1, impatient);
        using var silent = new TcpListener(IPAddress.Loopback, 0); // takes connections and says nothing
        silent.Start();
        using var full = new TcpListener(IPAddress.Loopback, 0); // its queue is full: further connections get no answer at all
        full.Start(0);
        using var first = new TcpClient();
        await first.ConnectAsync((IPEndPoint)full.LocalEndpoint);
        ChainPeer[] dead = [LoopbackChain.Peer(((IPEndPoint)silent.LocalEndpoint).Port), LoopbackChain.Peer(((IPEndPoint)full.LocalEndpoint).Port)];
        chain.Links = [new ChainLink([.. dead, chain.Server], 0)];
        var outcome = await chain.Start(0);
        Assert.Null(outcome.Fault);
        chain.AssertDelivered(0);
    }

    [Fact]
    public async Task A_sink_that_breaks_as_nobody_expects_does_not_hang_its_node()
    {
        using var chain = Chain(4 * MiB, nodes: 1);
        chain.Sinks[0].TripAt = MiB;
        chain.Sinks[0].Trip = () => throw new InvalidOperationException("a bug");
        await Assert.ThrowsAsync<InvalidOperationException>(() => chain.Start(0));
    }

    [Fact]
    public async Task A_sink_that_fails_ends_its_own_node_only()
    {
        using var chain = Chain(4 * MiB, nodes: 3);
        chain.Sinks[1].TripAt = MiB;
        chain.Sinks[1].Trip = () => throw new IOException("Broken pipe");
        var outcomes = await chain.StartAll();
        Assert.True(outcomes[1].SinkFailed);
        Assert.Equal(FaultCodes.ImageExtractFailed, outcomes[1].Fault!.Code);
        chain.AssertDelivered(0);
        chain.AssertDelivered(2);
    }
}

public class ChainPlanTests
{
    [Fact]
    public void Each_node_asks_its_predecessors_and_the_server_last()
    {
        var nodes = Enumerable.Range(0, 5).Select(i => new ChainPeer($"n{i}", 1)).ToList();
        var links = ChainPlan.Of([.. nodes], new ChainPeer("server", 2));
        Assert.Equal("server:2", string.Join(' ', links[0].Upstreams));
        Assert.Equal("n0:1 server:2", string.Join(' ', links[1].Upstreams));
        Assert.Equal("n3:1 n2:1 n1:1 n0:1 server:2", string.Join(' ', links[4].Upstreams));
        Assert.Equal([1, 1, 1, 1, 0], links.Select(l => l.Successors));
    }

    [Fact]
    public void Deep_in_the_chain_a_whole_rack_may_be_lost_and_a_predecessor_is_known_still()
    {
        var nodes = Enumerable.Range(0, 1000).Select(i => new ChainPeer($"n{i}", 1)).ToList();
        var links = ChainPlan.Of([.. nodes], new ChainPeer("server", 2));
        Assert.Equal("n871:1", links[999].Upstreams[^2].ToString());
        Assert.All(links, l => Assert.True(l.Upstreams.Length <= 52));
    }

    [Fact]
    public void However_many_of_a_rack_die_side_by_side_the_next_one_knows_the_one_directly_before_them()
    {
        var nodes = Enumerable.Range(0, 100).Select(i => new ChainPeer($"n{i}", 1)).ToList();
        var links = ChainPlan.Of([.. nodes], new ChainPeer("server", 2));
        for (var dead = 0; dead < 48; dead++)
        {
            Assert.Equal(nodes[98 - dead], links[99].Upstreams[dead]);
        }
    }

    [Fact]
    public void Nobody_makes_no_plan() => Assert.Empty(ChainPlan.Of([], new ChainPeer("server", 1)));
}

public class ImageManifestTests
{
    [Fact]
    public void One_pass_hashes_chunks_and_the_whole()
    {
        using var stream = new MemoryStream([.. Enumerable.Range(0, 10).Select(i => (byte)i)]);
        var manifest = ImageManifest.Of(stream, 4, CancellationToken.None);
        Assert.Equal(10, manifest.Bytes);
        Assert.Equal(3, manifest.ChunkHashes.Length);
        Assert.Equal("1f825aa2f0020ef7cf91dfa30da4668d791c5d4824fc8e41354b89ec05795ab3", manifest.Sha256);
        Assert.True(manifest.IsSound);
        Assert.False((manifest with { Bytes = 13 }).IsSound);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(64)]
    [InlineData(1023)]
    public void Chunks_hashed_on_all_processors_have_the_hashes_of_one_pass(int bytes)
    {
        using var directory = new TemporaryDirectory();
        var path = directory["image"];
        File.WriteAllBytes(path, [.. Enumerable.Range(0, bytes).Select(i => (byte)(i * 7))]);
        var (chunks, whole) = (ImageManifest.OfChunks(path, 4, CancellationToken.None), ImageManifest.OfFile(path, 4, CancellationToken.None));
        Assert.Equal(whole.ChunkHashes, chunks.ChunkHashes);
        Assert.Equal((long)bytes, chunks.Bytes);
        Assert.True(chunks.IsSound);
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_an_error_of_reading() =>
        Assert.ThrowsAny<IOException>(() => ImageManifest.OfChunks("/nonexistent/image", 4, CancellationToken.None));
}
