using System.Net.WebSockets;
using System.Text.Json;
using Ka.Core.Faults;
using Ka.Protocol.Rest;

namespace Ka.Server.Consoles;

/// <summary>A seat at a console over a WebSocket; see <see cref="ConsoleNote"/> for what goes over it.</summary>
static class ConsoleSocket
{
    /// <summary>For the last words to somebody who may not listen any more.</summary>
    static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    /// <summary>Returns when either side has ended it.</summary>
    public static async Task ServeAsync(WebSocket socket, ConsoleSeat seat, ConsoleDesk desk, CancellationToken cancel)
    {
        using var one = new SemaphoreSlim(1);
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var showing = ShowAsync(socket, seat, one, ends.Token);
        var typing = TypeAsync(socket, seat, one, desk, ends.Token);
        var why = await seat.Ended;
        // The last that a line printed often says why it ended; who has lost the right sees no more.
        if (why?.Code == FaultCodes.ConsoleEnded)
            await Task.WhenAny(showing, Task.Delay(Farewell, cancel));
        await SayAsync(socket, one, why is null ? new ConsoleNote(null, "the console was left", null) : new ConsoleNote(why.Code.Text, why.Message, why.Evidence), last: true);
        // The other side answers the close; to break off before would lose what was said.
        await Task.WhenAny(typing, Task.Delay(Farewell, CancellationToken.None));
        await ends.CancelAsync();
        await Task.WhenAll(showing, typing);
    }

    static async Task ShowAsync(WebSocket socket, ConsoleSeat seat, SemaphoreSlim one, CancellationToken cancel)
    {
        try
        {
            await foreach (var printed in seat.Output.ReadAllAsync(cancel))
            {
                await one.WaitAsync(cancel);
                try
                {
                    await socket.SendAsync(printed, WebSocketMessageType.Binary, endOfMessage: true, cancel);
                }
                finally
                {
                    one.Release();
                }
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // the other side has gone; the end of typing says so
        }
    }

    static async Task TypeAsync(WebSocket socket, ConsoleSeat seat, SemaphoreSlim one, ConsoleDesk desk, CancellationToken cancel)
    {
        var keys = new byte[ConsoleProtocol.MessageLimit];
        try
        {
            while (await socket.ReceiveAsync(keys.AsMemory(), cancel) is { MessageType: WebSocketMessageType.Binary } received)
                if (await seat.WriteAsync(keys.AsMemory(0, received.Count), cancel) is { } refused && refused.Code == FaultCodes.ConsoleReadOnly)
                    await SayAsync(socket, one, new ConsoleNote(refused.Code.Text, refused.Message, null), last: false);
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            // gone without a word
        }
        finally
        {
            desk.Leave(seat);
        }
    }

    static async Task SayAsync(WebSocket socket, SemaphoreSlim one, ConsoleNote note, bool last)
    {
        using var late = new CancellationTokenSource(Farewell);
        try
        {
            await one.WaitAsync(late.Token);
            try
            {
                await socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(note, RestJson.Default.ConsoleNote), WebSocketMessageType.Text, endOfMessage: true, late.Token);
                if (last)
                    await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, note.Code, late.Token);
            }
            finally
            {
                one.Release();
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            // nobody listens
        }
    }
}
