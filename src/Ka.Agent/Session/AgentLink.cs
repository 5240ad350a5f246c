using System.Net.WebSockets;
using System.Text.Json;
using Ka.Agent.Machine;
using Ka.Protocol.Agents;

namespace Ka.Agent.Session;

/// <summary>Times of the link; tests take shorter ones.</summary>
sealed record LinkTiming(TimeSpan FirstRetry, TimeSpan LastRetry, TimeSpan Tick, TimeSpan Connect)
{
    public static readonly LinkTiming Default = new(
        TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(5), TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(10));
}

/// <summary>Keeps a WebSocket to the server for as long as the machine runs: says who it is, takes orders, sends pulses, progress and results.</summary>
sealed class AgentLink(BootParameters boot, AgentPaths paths, int chainPort, OrderDesk desk, LinkTiming timing, TextWriter log)
{
    static readonly TimeSpan FarewellPatience = TimeSpan.FromSeconds(3);

    ClientWebSocket? _socket;
    bool _leaving;

    /// <summary>Secret of the latest welcome; null before the first.</summary>
    public string? Session { get; private set; }

    /// <summary>Connects again for ever; returns when cancelled, or stays idle when the server does not want this agent.</summary>
    public async Task Run(CancellationToken cancel)
    {
        desk.Farewell = Farewell;
        var pause = timing.FirstRetry;
        while (true)
        {
            var (welcomed, refusal) = await Connection(cancel);
            if (refusal is { RetrySeconds: null })
            {
                log.WriteLine($"ka-agent: the server does not want this machine: {refusal.Code}: {refusal.Message}");
            }
            if (_leaving || refusal is { RetrySeconds: null })
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, cancel); // the machine is about to go, or nobody wants it
            }
            pause = welcomed ? timing.FirstRetry : pause;
            await Task.Delay(refusal?.RetrySeconds is { } seconds ? TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 3600)) : pause, cancel);
            pause = pause * 2 < timing.LastRetry ? pause * 2 : timing.LastRetry;
        }
    }

    /// <summary>One connection from hello to its end.</summary>
    async Task<(bool Welcomed, AgentRefusal? Refusal)> Connection(CancellationToken cancel)
    {
        using var socket = new ClientWebSocket();
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var welcomed = false;
        Task? sending = null;
        try
        {
            await Connect(socket, ended.Token);
            while (await Receive(socket, ended.Token) is { } text)
            {
                switch (Parse(text))
                {
                    case AgentWelcome welcome:
                        welcomed = true;
                        Session = welcome.Session;
                        _socket = socket;
                        log.WriteLine($"ka-agent: this machine is {welcome.Node}");
                        sending ??= SendAll(socket, ended.Token);
                        break;
                    case AgentRefusal refusal:
                        return (welcomed, refusal);
                    case OrderGiven given:
                        log.WriteLine($"ka-agent: order {given.Id}: {given.Order.GetType().Name}");
                        desk.Take(given);
                        break;
                    case OrderCancelled cancelled:
                        desk.Cancel(cancelled.Id);
                        break;
                    case SourcesChanged changed:
                        desk.Turn?.Invoke(changed);
                        break;
                }
            }
        }
        catch (Exception e) when (e is WebSocketException or HttpRequestException or IOException or InvalidDataException
            || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            log.WriteLine($"ka-agent: link to {boot.Authority}: {e.GetBaseException().Message}");
        }
        finally
        {
            _socket = null;
            await ended.CancelAsync();
            if (sending is not null)
            {
                await sending;
            }
        }
        return (welcomed, null);
    }

    async Task Connect(ClientWebSocket socket, CancellationToken cancel)
    {
        socket.Options.Proxy = null;
        socket.Options.KeepAliveInterval = TimeSpan.FromSeconds(5);
        socket.Options.KeepAliveTimeout = TimeSpan.FromSeconds(15);
        socket.Options.RemoteCertificateValidationCallback = (_, certificate, _, _) => PinnedCertificate.Matches(certificate, boot.Fingerprint);
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        late.CancelAfter(timing.Connect);
        await socket.ConnectAsync(new Uri($"wss://{boot.Authority}{AgentProtocol.Path}"), late.Token);
        var hello = new AgentHello(AgentProtocol.Version, Session is null ? boot.Credential : null, Session, boot.Nonce, chainPort, Inventory.Read(paths));
        await Send(socket, hello, cancel);
    }

    /// <summary>The only sender of a connection: results at once, progress at each tick, a pulse when it is due.</summary>
    async Task SendAll(ClientWebSocket socket, CancellationToken cancel)
    {
        try
        {
            var pulseAt = long.MinValue;
            while (true)
            {
                foreach (var message in desk.Outgoing())
                {
                    await Send(socket, message, cancel);
                    if (message is AgentResult result)
                    {
                        desk.Sent(result.OrderId);
                    }
                }
                if (Environment.TickCount64 >= pulseAt)
                {
                    await Send(socket, new AgentPulse(Environment.TickCount64 / 1000.0), cancel);
                    pulseAt = Environment.TickCount64 + (long)AgentProtocol.PulsePeriod.TotalMilliseconds;
                }
                await Task.WhenAny(desk.News(), Task.Delay(timing.Tick, cancel));
                cancel.ThrowIfCancellationRequested();
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            socket.Abort(); // wakes the receiving side; what was not sent waits for the next link
        }
    }

    static Task Send(ClientWebSocket socket, AgentMessage message, CancellationToken cancel) =>
        socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message, AgentJson.Default.AgentMessage), WebSocketMessageType.Text, endOfMessage: true, cancel);

    /// <summary>A message of a newer server is passed over: breaking the link would bring it again and again.</summary>
    ServerMessage? Parse(byte[] text)
    {
        try
        {
            return JsonSerializer.Deserialize(text, AgentJson.Default.ServerMessage);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            log.WriteLine($"ka-agent: a message of the server cannot be read: {e.Message}");
            return null;
        }
    }

    /// <summary>The next message, or null when the server has closed.</summary>
    static async Task<byte[]?> Receive(ClientWebSocket socket, CancellationToken cancel)
    {
        using var text = new MemoryStream();
        var buffer = new byte[64 * 1024];
        while (true)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(), cancel);
            if (received.MessageType == WebSocketMessageType.Close)
            {
                return null;
            }
            if (text.Length + received.Count > AgentProtocol.MessageLimit)
            {
                throw new InvalidDataException($"a message has more than {AgentProtocol.MessageLimit} bytes");
            }
            text.Write(buffer, 0, received.Count);
            if (received.EndOfMessage)
            {
                return text.ToArray();
            }
        }
    }

    /// <summary>Closes and waits for the server's answer: then everything sent before has arrived.</summary>
    async Task Farewell()
    {
        _leaving = true;
        if (_socket is not { } socket)
        {
            return;
        }
        try
        {
            using var late = new CancellationTokenSource(FarewellPatience);
            await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "leaving", late.Token);
            while (socket.State is WebSocketState.CloseSent && !late.IsCancellationRequested)
            {
                await Task.Delay(10, late.Token);
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // the jump does not wait longer; the server sees it by the nonce of the next boot
        }
    }
}
