using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Threading.Channels;
using Ka.Agent.Session;
using Ka.Protocol.Agents;
using Ka.Tests.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Ka.Tests.Agent;

/// <summary>A server of the agent protocol in this process, on Kestrel with a certificate made for the test. The test plays the server's part.</summary>
sealed class ScriptedServer : IAsyncDisposable
{
    readonly WebApplication _app;
    readonly X509Certificate2 _certificate;
    readonly Channel<AgentSession> _sessions = Channel.CreateUnbounded<AgentSession>();

    ScriptedServer(WebApplication app, X509Certificate2 certificate)
    {
        _app = app;
        _certificate = certificate;
    }

    public Dictionary<string, byte[]> Files { get; } = [];

    public BootParameters Boot => new("127.0.0.1", new Uri(_app.Urls.First()).Port, Convert.ToHexStringLower(SHA256.HashData(_certificate.RawData)), "credential-1", "nonce-1");

    public static async Task<ScriptedServer> Start()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=ka-test", key, HashAlgorithmName.SHA256);
        using var made = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddDays(1)); // long expired: only the fingerprint counts
        var certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
        var builder = QuietSite.Builder();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(k => k.Listen(System.Net.IPAddress.Loopback, 0, l => l.UseHttps(certificate)));
        var app = builder.Build();
        var server = new ScriptedServer(app, certificate);
        app.UseWebSockets();
        app.Map(AgentProtocol.Path, server.Attend);
        app.Map(AgentProtocol.FilesPath + "{sha256}", server.File);
        await app.StartAsync();
        return server;
    }

    /// <summary>The next agent that connects, after its hello.</summary>
    public async Task<AgentSession> Accept() => await _sessions.Reader.ReadAsync();

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _certificate.Dispose();
    }

    async Task Attend(HttpContext http)
    {
        using var socket = await http.WebSockets.AcceptWebSocketAsync();
        var session = new AgentSession(socket);
        var hello = (AgentHello)(await session.Receive())!;
        session.Hello = hello;
        _sessions.Writer.TryWrite(session);
        await session.Ended;
    }

    async Task File(HttpContext http, string sha256)
    {
        if (http.Request.Headers.Authorization != "Bearer session-1" || !Files.TryGetValue(sha256, out var content))
        {
            http.Response.StatusCode = 404;
            return;
        }
        await http.Response.Body.WriteAsync(content);
    }
}

/// <summary>One connection of an agent, as its server sees it.</summary>
sealed class AgentSession(WebSocket socket)
{
    readonly TaskCompletionSource _ended = new();

    public AgentHello Hello { get; set; } = null!;

    public Task Ended => _ended.Task;

    public Task Send(ServerMessage message) =>
        socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message, AgentJson.Default.ServerMessage), WebSocketMessageType.Text, true, CancellationToken.None);

    public Task SendText(string text) => socket.SendAsync(System.Text.Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, CancellationToken.None);

    /// <summary>The next message; null when the agent has closed.</summary>
    public async Task<AgentMessage?> Receive()
    {
        var buffer = new byte[1024 * 1024];
        var count = 0;
        while (true)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(count), CancellationToken.None);
            count += received.Count;
            if (received.MessageType == WebSocketMessageType.Close)
            {
                await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "", CancellationToken.None);
                return null;
            }
            if (received.EndOfMessage)
            {
                return JsonSerializer.Deserialize(buffer.AsSpan(0, count), AgentJson.Default.AgentMessage);
            }
        }
    }

    /// <summary>The next message of one kind; others are passed over.</summary>
    public async Task<T> Next<T>()
        where T : AgentMessage
    {
        while (true)
        {
            switch (await Receive())
            {
                case T wanted:
                    return wanted;
                case null:
                    throw new InvalidOperationException("the agent has closed");
            }
        }
    }

    public void Break()
    {
        socket.Abort();
        _ended.TrySetResult();
    }
}
