using System.Diagnostics;
using System.Globalization;
using System.Net;
using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Agent.Session;
using Ka.Broadcast;
using Ka.Protocol.Agents;
using Ka.Protocol.Manifests;
using Ka.Server.Environments;

namespace Ka.SystemTests.Agent;

/// <summary>One measured run for bench/extract-speed.sh: the agent's own orders to receive (from a source on this machine) and to check.</summary>
public sealed class ExtractSpeed
{
    [Fact]
    public async Task Receive_unpack_and_check()
    {
        var image = Environment.GetEnvironmentVariable("KA_EXTRACT_IMAGE");
        Assert.SkipWhen(image is null, "run by bench/extract-speed.sh");
        var target = Environment.GetEnvironmentVariable("KA_EXTRACT_TARGET")!;
        var chunks = ImageManifest.OfFile(image, ImageManifest.DefaultChunkBytes, CancellationToken.None);
        await using var files = await FilesOverTls.StartAsync();
        var manifest = Manifest(image, chunks.Sha256, files);
        var run = Directory.CreateTempSubdirectory("ka-speed").FullName;
        using var chain = new ChainListener(IPAddress.Loopback, 0, ChainOptions.Default);
        using var fetcher = new FileFetcher(new BootParameters("127.0.0.1", files.Port, files.Fingerprint, null, ""), () => "session");
        var context = new OrderContext(new AgentPaths(Run: run, Target: target), "bios", chain, fetcher, ChainOptions.Default with { Linger = TimeSpan.FromMilliseconds(100) });
        using var source = new ChainSource(IPAddress.Loopback, 0, ChainOptions.Default);
        var key = BroadcastKey.Create();
        Assert.Null(source.Register(key, image, chunks.Bytes));

        var clock = Stopwatch.StartNew();
        await Must(new ReceiveImage(key, chunks.Sha256, chunks.Bytes, chunks.ChunkBytes, chunks.ChunkHashes, ImageKind.Tar, ImageCompression.Zstd, [new PeerAddress("127.0.0.1", source.Port)], 0));
        var received = clock.Elapsed;
        var check = await Must(new VerifyTarget(manifest, chunks.Sha256, VerifyMode.Sample, 1, null, null));
        var all = clock.Elapsed;
        var text = string.Create(CultureInfo.InvariantCulture, $"{all.TotalSeconds:0.00} (check {(all - received).TotalSeconds:0.00}: {check.Values!["verifyCompared"]} names, {check.Values["verifyBytes"]} bytes)");
        await File.WriteAllTextAsync(Environment.GetEnvironmentVariable("KA_EXTRACT_RESULT")!, text);
        Directory.Delete(run, recursive: true);

        async Task<OrderOutcome> Must(AgentOrder order)
        {
            var outcome = await OrderBoard.Carry(order, context, (_, _, _, _, _, _) => { }, CancellationToken.None);
            Assert.True(outcome.Fault is null, $"{outcome.Fault} {outcome.Fault?.Evidence}");
            return outcome;
        }
    }

    static string Manifest(string image, string sha256, FilesOverTls files)
    {
        var packed = new MemoryStream();
        ManifestText.Write(packed, Registration.ReadArchive(image, ImageCompression.Zstd, CancellationToken.None).Tree.ToManifest(sha256));
        return files.Add(packed.ToArray());
    }
}
