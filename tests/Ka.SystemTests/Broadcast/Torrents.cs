using System.Diagnostics;
using System.Net;
using System.Text;
using Ka.Broadcast;
using Ka.Broadcast.Torrent;
using Ka.Protocol.Agents;
using Ka.SystemTests.Agent;
using Ka.SystemTests.Lab;

namespace Ka.SystemTests.Broadcast;

/// <summary>Debian's aria2 with Ka's tracker and seed, and a node's agent with aria2.</summary>
public sealed class Torrents : IDisposable
{
    const string Secret = "5ec7e7";

    readonly string _root = Directory.CreateTempSubdirectory("ka-torrent").FullName;
    readonly HttpListener _http = new();
    readonly List<Process> _processes = [];
    readonly string _tracker = $"http://127.0.0.1:{FreePorts.One()}/announce/";

    public Torrents() => Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");

    public void Dispose()
    {
        foreach (var process in _processes)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            process.Dispose();
        }
        _http.Close();
        Directory.Delete(_root, recursive: true);
    }

    /// <summary>Serves a tracker's answers over HTTP.</summary>
    void Track(Func<HttpListenerRequest, byte[]?> answer)
    {
        _http.Prefixes.Add(_tracker);
        _http.Start();
        _ = Task.Run(async () =>
        {
            while (true)
            {
                HttpListenerContext context;
                try
                {
                    context = await _http.GetContextAsync();
                }
                catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
                {
                    return;
                }
                var bytes = answer(context.Request);
                context.Response.StatusCode = bytes is null ? 404 : 200;
                context.Response.OutputStream.Write(bytes ?? []);
                context.Response.Close();
            }
        });
    }

    TorrentSource Source()
    {
        var source = new TorrentSource(IPAddress.Loopback, 0, new Uri(_tracker), TimeProvider.System);
        Track(r => source.Announce(r.Url!.AbsolutePath.Split('/')[^1], r.Url.Query, r.RemoteEndPoint.Address));
        return source;
    }

    /// <summary>An archive with something in it, so long, and its manifest.</summary>
    (string Path, ImageManifest Manifest) Image(int bytes, int seed = 1)
    {
        var tree = Directory.CreateDirectory(Path.Combine(_root, $"tree{seed}")).FullName;
        var content = new byte[bytes];
        new Random(seed).NextBytes(content);
        File.WriteAllBytes(Path.Combine(tree, "big"), content);
        var tar = Path.Combine(_root, $"image{seed}.tar");
        SystemTests.Agent.Program.Run("tar", "-c", "-C", tree, "-f", tar, ".");
        return (tar, ImageManifest.OfFile(tar, ImageManifest.DefaultChunkBytes, CancellationToken.None));
    }

    Process Aria2(string torrent, string directory, params string[] more)
    {
        Directory.CreateDirectory(directory);
        var process = Process.Start(new ProcessStartInfo("aria2c",
        [
            "--no-conf=true", $"--torrent-file={torrent}", $"--dir={directory}", "--enable-dht=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--disable-ipv6=true",
            "--bt-tracker-connect-timeout=5", "--file-allocation=none", "--summary-interval=0", "--show-console-readout=false", .. more,
        ])
        { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _processes.Add(process);
        return process;
    }

    static ReceiveImage Order(ImageManifest manifest, byte[] metainfo, string? tools = null) => new(
        BroadcastKey.Create(), manifest.Sha256, manifest.Bytes, manifest.ChunkBytes, manifest.ChunkHashes, ImageKind.Tar, ImageCompression.None, [new PeerAddress("127.0.0.1", 1)], 0)
    {
        Torrent = new TorrentFetch(Convert.ToBase64String(metainfo), tools, 0),
    };

    LoopNode Node(FilesOverTls? files = null)
    {
        var node = new LoopNode(Path.Combine(_root, "node"), 64 << 20, files);
        Directory.CreateDirectory(node.Target);
        return node;
    }

    [Fact]
    public async Task Any_client_completes_a_torrent_of_ka_from_its_tracker_and_its_seed()
    {
        using var source = Source();
        var (image, _) = Image(24 << 20);
        var (metainfo, fault) = source.Open(Secret, image, "open-1.image", isPrivate: false, TestContext.Current.CancellationToken);
        Assert.Null(fault);
        var torrent = Path.Combine(_root, "open.torrent");
        File.WriteAllBytes(torrent, metainfo!.ToBytes());
        var clients = Enumerable.Range(0, 3).Select(i => Aria2(torrent, Path.Combine(_root, $"c{i}"), "--seed-time=0")).ToArray();
        for (var i = 0; i < clients.Length; i++)
        {
            var said = await clients[i].StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await clients[i].WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.True(clients[i].ExitCode == 0, said);
            Assert.Equal(File.ReadAllBytes(image), File.ReadAllBytes(Path.Combine(_root, $"c{i}", "open-1.image")));
        }
        TestContext.Current.SendDiagnosticMessage($"the seed gave {source.BytesOut(Secret) / (double)metainfo.Bytes:0.00} times the image to three clients");
    }

    [Fact]
    public async Task A_node_deploys_from_kas_seed_and_says_how_much_it_got()
    {
        using var source = Source();
        var (image, manifest) = Image(24 << 20);
        var (metainfo, _) = source.Open(Secret, image, "image", isPrivate: true, TestContext.Current.CancellationToken);
        using var node = Node();
        var outcome = await node.MustCarry(Order(manifest, metainfo!.ToBytes()));
        Assert.Equal(File.ReadAllBytes(Path.Combine(_root, "tree1", "big")), File.ReadAllBytes(Path.Combine(node.Target, "big")));
        Assert.Equal($"{manifest.Bytes}", outcome.Values!["bytesIn"]);
        Assert.False(Directory.Exists(Path.Combine(node.Paths.Run, "whole")));
    }

    [Fact]
    public async Task A_node_deploys_from_a_seed_that_is_aria2()
    {
        var (image, manifest) = Image(8 << 20);
        var metainfo = new Metainfo("image", manifest.Bytes, 1 << 20, Metainfo.PiecesOf(image, 1 << 20, CancellationToken.None), _tracker + Secret, IsPrivate: true);
        var port = FreePorts.One();
        Track(_ => Encoding.Latin1.GetBytes($"d8:intervali5e5:peers6:\u007f\0\0\u0001{(char)(port >> 8)}{(char)(port & 255)}e"));
        Seed(image, metainfo, port);
        using var node = Node();
        await node.MustCarry(Order(manifest, metainfo.ToBytes()));
        Assert.Equal(File.ReadAllBytes(Path.Combine(_root, "tree1", "big")), File.ReadAllBytes(Path.Combine(node.Target, "big")));
    }

    /// <summary>As the minimal environment's builder packs it: the program, its libraries and their loader in one directory.</summary>
    byte[] Tools()
    {
        var directory = Directory.CreateDirectory(Path.Combine(_root, "tools", "torrent")).FullName;
        File.Copy("/usr/bin/aria2c", Path.Combine(directory, "aria2c"));
        File.Copy("/lib64/ld-linux-x86-64.so.2", Path.Combine(directory, "ld.so"));
        foreach (var line in SystemTests.Agent.Program.Run("ldd", "/usr/bin/aria2c").Split('\n'))
            if (line.Split(" => ") is [var name, var path])
                File.Copy(path.Split(' ')[0], Path.Combine(directory, name.Trim()));
        var tar = Path.Combine(_root, "tools.tar.zst");
        SystemTests.Agent.Program.Run("tar", "-c", "-I", "zstd -1", "-C", Path.Combine(_root, "tools"), "-f", tar, "torrent");
        return File.ReadAllBytes(tar);
    }

    [Fact]
    public async Task A_node_without_the_client_fetches_it_and_deploys()
    {
        await using var files = await FilesOverTls.StartAsync();
        using var source = Source();
        var (image, manifest) = Image(8 << 20);
        var (metainfo, _) = source.Open(Secret, image, "image", isPrivate: true, TestContext.Current.CancellationToken);
        using var node = Node(files);
        await node.MustCarry(Order(manifest, metainfo!.ToBytes(), files.Add(Tools())));
        Assert.Equal(File.ReadAllBytes(Path.Combine(_root, "tree1", "big")), File.ReadAllBytes(Path.Combine(node.Target, "big")));
    }

    /// <summary>Peers and torrent agree with each other, but what they give is not what was registered.</summary>
    [Fact]
    public async Task A_torrent_of_another_image_is_never_deployed()
    {
        using var source = Source();
        var (_, registered) = Image(8 << 20);
        var (other, _) = Image(8 << 20, seed: 2);
        var (metainfo, _) = source.Open(Secret, other, "image", isPrivate: true, TestContext.Current.CancellationToken);
        using var node = Node();
        var outcome = await node.Carry(Order(registered, metainfo!.ToBytes()));
        Assert.Equal("image.corrupt", outcome.Fault?.Code.Text);
    }

    void Seed(string image, Metainfo metainfo, int port)
    {
        var directory = Directory.CreateDirectory(Path.Combine(_root, "seed")).FullName;
        File.Copy(image, Path.Combine(directory, metainfo.Name));
        var torrent = Path.Combine(_root, "seed.torrent");
        File.WriteAllBytes(torrent, metainfo.ToBytes());
        Aria2(torrent, directory, $"--listen-port={port}", "--seed-ratio=0.0", "--check-integrity=true");
    }
}
