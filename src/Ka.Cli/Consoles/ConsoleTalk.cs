using System.Net.WebSockets;
using System.Text.Json;
using Ka.Protocol.Rest;

namespace Ka.Cli.Consoles;

/// <summary>A seat at a console from the reader's side: bytes of the line to the screen, keys to the line.</summary>
/// <param name="keys">Null for a reader who leaves by other means.</param>
/// <param name="writes">Whether keys go to the line; the detach keys are looked for either way.</param>
sealed class ConsoleTalk(WebSocket socket, Stream screen, Stream? keys, EscapeKeys escape, bool writes)
{
    static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    /// <summary>Why it ended: what the server said, or null when the caller left by the detach keys or the end of input.</summary>
    public async Task<ConsoleNote?> RunAsync(CancellationToken cancel)
    {
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var shown = ShowAsync(ends.Token);
        var left = keys is null ? Task.Delay(Timeout.InfiniteTimeSpan, ends.Token) : TypeAsync(keys, ends.Token);
        var first = await Task.WhenAny(shown, left);
        if (first == shown)
        {
            await ends.CancelAsync();
            return await shown;
        }
        using var late = new CancellationTokenSource(Farewell);
        try
        {
            await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "left", late.Token);
            await shown.WaitAsync(late.Token);
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException)
        {
            // it is left either way
        }
        await ends.CancelAsync();
        return null;
    }

    async Task<ConsoleNote?> ShowAsync(CancellationToken cancel)
    {
        var buffer = new byte[ConsoleProtocol.MessageLimit];
        ConsoleNote? last = null;
        try
        {
            while (true)
            {
                var received = await socket.ReceiveAsync(buffer.AsMemory(), cancel);
                switch (received.MessageType)
                {
                    case WebSocketMessageType.Binary:
                        await screen.WriteAsync(buffer.AsMemory(0, received.Count), cancel);
                        await screen.FlushAsync(cancel);
                        break;
                    case WebSocketMessageType.Text:
                        last = JsonSerializer.Deserialize(buffer.AsSpan(0, received.Count), RestJson.Default.ConsoleNote);
                        break;
                    case WebSocketMessageType.Close:
                        if (socket.State == WebSocketState.CloseReceived)
                            await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, cancel);
                        return last ?? Lost("the server closed the console");
                    default:
                        return Lost($"a message of kind {received.MessageType}");
                }
            }
        }
        catch (Exception e) when (e is WebSocketException or JsonException or OperationCanceledException)
        {
            return last ?? Lost(e.Message);
        }
    }

    static ConsoleNote Lost(string why) => new("server.unreachable", "the connection to the server was lost", why);

    async Task TypeAsync(Stream from, CancellationToken cancel)
    {
        var buffer = new byte[1024];
        try
        {
            int count;
            while ((count = await from.ReadAsync(buffer, cancel)) > 0)
            {
                var (typed, detached) = escape.Read(buffer.AsSpan(0, count));
                if (writes && typed.Length > 0)
                    await socket.SendAsync(typed.AsMemory(), WebSocketMessageType.Binary, endOfMessage: true, cancel);
                if (detached)
                    return;
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or IOException)
        {
            // the other direction says why
        }
    }
}
