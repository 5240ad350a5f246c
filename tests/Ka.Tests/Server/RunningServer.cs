using System.Collections.Immutable;
using System.Formats.Tar;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Ka.Boot;
using Ka.Core.Clusters;
using Ka.Core.Disks;
using Ka.Core.NodeSets;
using Ka.Protocol.Rest;
using Ka.Server.Configuration;
using Ka.Server.Hosting;
using Ka.Simulation;
using Ka.Store;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Server;

/// <summary>A whole server in this process: a Unix socket and TLS on 127.0.0.2 for people, loopback ports of the kernel's choice for nodes. Olga is operator, vera viewer, everybody else a user.</summary>
public class RunningServer : IAsyncLifetime
{
    readonly TemporaryDirectory _directory = new();
    WebApplication? _app;

    public WebApplication App => _app!;

    public HttpClient Http { get; private set; } = null!;

    /// <summary>From another machine, with nothing that proves anything.</summary>
    public HttpClient WithoutToken { get; private set; } = null!;

    /// <summary>On the Unix socket, with nothing but the kernel's word.</summary>
    public HttpClient Local { get; private set; } = null!;

    /// <summary>Signs the certificates of people.</summary>
    public TestAuthority Authority { get; } = new();

    Uri _remote = null!;

    protected virtual IEnumerable<Cluster> MoreClusters => [];

    /// <summary>Where its traces go; asked at every start.</summary>
    protected virtual Task<OtlpSettings?> OtlpAsync() => Task.FromResult<OtlpSettings?>(null);

    protected virtual long? StoreLimit => null;

    protected virtual AuthSettings With(AuthSettings settings) => settings;

    public const string PasswordOfPaul = "U*U";

    public string PathOf(string relative) => _directory[relative];

    public virtual async ValueTask InitializeAsync()
    {
        _directory.Write("minimal/vmlinuz", "kernel");
        _directory.Write("htpasswd", "paul:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\nplain:secret\n");
        _directory.Write("minimal/initramfs.zst", "initramfs");
        _directory.Write("authority.pem", Authority.Certificate.ExportCertificatePem());
        foreach (var file in (string[])["on", "rouge-1", "rouge-2", "rouge-3"])
            _directory.Write("power/" + file, "on\n");
        _directory.Write("power/off", "off\n");
        await StartAsync();
        await SendAsync(Image());
        Assert.Equal(HttpStatusCode.Created, (await ApplyAsync(Description)).StatusCode);
    }

    async Task StartAsync()
    {
        _app = ServerApp.Build(Configuration() with { Otlp = await OtlpAsync() }, withNetworkBoot: false);
        await _app.StartAsync();
        _remote = new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single(a => a.StartsWith("https://127.0.0.2", StringComparison.Ordinal)) + "/api/v1/");
        WithoutToken = Remote(null);
        Http = Client(File.ReadAllText(_directory["state/token"]).Trim());
        Local = Client(null);
    }

    /// <summary>Ends the server as a stop of its process does, and starts it again on the same state.</summary>
    /// <param name="whileDown">Gets the state directory.</param>
    public async Task RestartAsync(Action<string>? whileDown = null)
    {
        await _app!.StopAsync();
        await _app.DisposeAsync();
        whileDown?.Invoke(_directory["state"]);
        await StartAsync();
    }

    public virtual async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        Http?.Dispose();
        WithoutToken?.Dispose();
        Local?.Dispose();
        if (_app is not null)
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }
        _directory.Dispose();
    }

    public const string Description = "name: debian12\nimage:\n  file: debian12.tar\nboot:\n  kernel: /boot/vmlinuz\n";

    /// <summary>gris-[1-4]: their power command never ends; gris-[5-7]: no power at all; gris-8: a deploy partition of 1 MiB.</summary>
    SiteConfiguration Configuration()
    {
        var hangs = new PowerSettings("command", null, 623, null, null, 17, new Dictionary<string, ImmutableArray<string>>
        {
            ["status"] = ["/usr/bin/tail", "-f", "/dev/null"], ["on"] = ["/bin/true"], ["off"] = ["/bin/true"],
        }.ToImmutableDictionary());
        var sample = SimulatedDeployment.SampleCluster([.. Enumerable.Range(1, 8).Select(i => $"gris-{i}")]);
        var small = new DiskLayout(PartitionTableKind.Gpt, [new PartitionSpec("root", 1 << 20, PartitionType.Linux, FileSystemKind.Ext4, Deploy: true)]);
        var cluster = sample with
        {
            Nodes = [.. sample.Nodes.Select((n, i) => n with
            {
                Mac = $"52:54:00:00:00:0{i + 1}",
                Address = $"10.0.0.{i + 1}",
                Power = i < 4 ? hangs : n.Power,
                Layout = i == 7 ? small : n.Layout,
            })],
        };
        var other = SimulatedDeployment.SampleCluster(["bleu-1"]);
        var switched = SimulatedDeployment.SampleCluster(["rouge-1", "rouge-2", "rouge-3"]);
        return new SiteConfiguration(
            "test", _directory["state"], [new UserListener(_directory["kad.sock"], null), new UserListener(null, new IPEndPoint(IPAddress.Parse("127.0.0.2"), 0))], new NodeListener(IPAddress.Loopback, 0, 0, 0) { Torrent = 0 },
            new BootNetworkSettings(DhcpMode.Off, null, IPAddress.Parse("10.0.0.0"), 24, null, [], false, "/usr/lib/ipxe"),
            new MinimalSettings(_directory["minimal"], []), [cluster, other with { Name = "bleu" }, switched with { Name = "rouge", Nodes = [.. switched.Nodes.Select(Switched)] }, .. MoreClusters], GroupTable.Empty, NodeLimit: 100)
        {
            StoreLimit = StoreLimit,
            Auth = With(new AuthSettings(["root"], ["olga"], ["vera"], _directory["htpasswd"], null, null) { Authority = _directory["authority.pem"] }),
        };
    }

    /// <summary>From another machine.</summary>
    public HttpClient Remote(AuthenticationHeaderValue? proof, X509Certificate2? shown = null)
    {
        var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator };
        if (shown is not null)
            handler.ClientCertificates.Add(shown);
        var client = new HttpClient(handler) { BaseAddress = _remote };
        client.DefaultRequestHeaders.Authorization = proof;
        return client;
    }

    /// <summary>Somebody by a token of their own, from another machine.</summary>
    public async Task<HttpClient> AsAsync(string name, string? role = null)
    {
        var made = await PostAsync("tokens", JsonSerializer.Serialize(new TokenBody(name, role, "", 3600), RestJson.Default.TokenBody));
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        return Remote(new AuthenticationHeaderValue("Bearer", JsonSerializer.Deserialize(await made.Content.ReadAsStringAsync(), RestJson.Default.TokenReply)!.Token));
    }

    /// <summary>What a node last got, as if it had been deployed.</summary>
    public void SetLast(string node, string environment) => _app!.Services.GetRequiredService<NodeTable>().SetStates([new NodeState(node, "deployed", environment, null, null, DateTimeOffset.UnixEpoch)]);

    public static HttpContent Json(string json) => new StringContent(json, Encoding.UTF8, "application/json");

    /// <summary>rouge-[1-3]: their power is what is written in a file; that of rouge-3 cannot be changed. The console of rouge-1 gives back what is typed, that of rouge-2 ends at once.</summary>
    ClusterNode Switched(ClusterNode node, int i) => node with
    {
        Console = i == 0 ? ["/usr/bin/cat"] : i == 1 ? ["/usr/bin/false"] : [],
        Mac = $"52:54:00:00:01:0{i + 1}",
        Address = $"10.0.1.{i + 1}",
        Power = new PowerSettings("command", null, 623, null, null, 17, new Dictionary<string, ImmutableArray<string>>
        {
            ["status"] = ["/usr/bin/cat", _directory["power/{node}"]],
            ["on"] = i == 2 ? ["/bin/false"] : ["/usr/bin/cp", _directory["power/on"], _directory["power/{node}"]],
            ["off"] = i == 2 ? ["/bin/false"] : ["/usr/bin/cp", _directory["power/off"], _directory["power/{node}"]],
        }.ToImmutableDictionary()),
    };

    HttpClient Client(string? token)
    {
        var client = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancel) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(_directory["kad.sock"]), cancel);
                return new NetworkStream(socket, ownsSocket: true);
            },
        })
        {
            BaseAddress = new Uri("http://ka/api/v1/"),
        };
        if (token is not null)
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return client;
    }

    public Task<HttpResponseMessage> PostAsync(string path, string json) => Http.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"));

    public Task<HttpResponseMessage> DeployAsync(string environment, string nodes, bool dryRun = false) => PostAsync(
        "deployments", JsonSerializer.Serialize(new DeployBody(environment, nodes, [], dryRun), RestJson.Default.DeployBody));

    public Task<HttpResponseMessage> SendAsync(byte[] file, string? claimed = null) => Http.PutAsync("files/" + (claimed ?? Digest(file)), new ByteArrayContent(file));

    public Task<HttpResponseMessage> ApplyAsync(string description, byte[]? image = null) => PostAsync("environments", JsonSerializer.Serialize(
        new ApplyBody("debian12.yaml", description, ImmutableDictionary<string, string>.Empty.Add("debian12.tar", Digest(image ?? Image()))), RestJson.Default.ApplyBody));

    /// <summary>All files of the store.</summary>
    public string[] Stored() => [.. Directory.EnumerateFiles(_directory["state"], "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f).Length >= 64).Order(StringComparer.Ordinal)];

    public static string Digest(byte[] file) => Convert.ToHexStringLower(SHA256.HashData(file));

    /// <summary>An image of 2 MiB with a kernel.</summary>
    public static byte[] Image()
    {
        var archive = new MemoryStream();
        using (var tar = new TarWriter(archive, TarEntryFormat.Pax, leaveOpen: true))
        {
            tar.WriteEntry(Entry(TarEntryType.RegularFile, "boot/vmlinuz-6.1.0-10-amd64", new byte[2 << 20]));
            tar.WriteEntry(new PaxTarEntry(TarEntryType.SymbolicLink, "boot/vmlinuz") { LinkName = "vmlinuz-6.1.0-10-amd64", ModificationTime = DateTimeOffset.UnixEpoch });
        }
        return archive.ToArray();
    }

    static PaxTarEntry Entry(TarEntryType type, string name, byte[] content) =>
        new(type, name) { DataStream = new MemoryStream(content), ModificationTime = DateTimeOffset.UnixEpoch };

    public static async Task<Problem> ProblemOf(HttpResponseMessage reply)
    {
        Assert.Equal("application/problem+json", reply.Content.Headers.ContentType?.MediaType);
        var problem = JsonSerializer.Deserialize(await reply.Content.ReadAsStringAsync(), RestJson.Default.Problem)!;
        Assert.Equal((int)reply.StatusCode, problem.Status);
        return problem;
    }
}
