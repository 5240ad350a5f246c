using System.Net.WebSockets;
using System.Text.Json;
using Ka.Protocol.Agents;

namespace Ka.Server.Agents;

/// <summary>An order that has no result yet.</summary>
sealed class PendingOrder(OrderGiven order, Action<AgentProgress> progress)
{
    public OrderGiven Order => order;

    public Action<AgentProgress> Progress => progress;

    public TaskCompletionSource<AgentResult> Result { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>One boot of one node into the minimal environment, over all connections of its agent. Guarded by the hub's lock.</summary>
sealed class AgentSession(string workflow, string node, string nonce, DateTimeOffset now)
{
    public string Workflow => workflow;

    public string Node => node;

    public string Nonce => nonce;

    /// <summary>SHA-256 of the session secret; null until the agent has checked in.</summary>
    public string? SecretHash { get; set; }

    /// <summary>The agent has used its session: the credential is of no more use. Until then a welcome may have been lost on the way.</summary>
    public bool IsProved { get; set; }

    public AgentLink? Link { get; set; }

    public int ChainPort { get; set; }

    public DateTimeOffset LastSeen { get; set; } = now;

    public Dictionary<string, PendingOrder> Orders { get; } = new(StringComparer.Ordinal);

    public TaskCompletionSource Arrived { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>An agent whose workflow has ended and that still runs.</summary>
/// <param name="SecretHash">SHA-256 of its session secret.</param>
public sealed record RestingAgent(string Nonce, string SecretHash, DateTimeOffset SeenAt);

/// <summary>A WebSocket with an agent; sends one message at a time.</summary>
sealed class AgentLink(WebSocket socket) : IDisposable
{
    readonly SemaphoreSlim _one = new(1);

    /// <summary>Sends, or does nothing when the link is down: the order is sent again when the agent is back.</summary>
    public async Task SendAsync(ServerMessage message, CancellationToken cancel)
    {
        await _one.WaitAsync(cancel);
        try
        {
            if (socket.State == WebSocketState.Open)
                await socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message, AgentJson.Default.ServerMessage), WebSocketMessageType.Text, true, cancel);
        }
        catch (Exception e) when (e is WebSocketException or IOException or ObjectDisposedException)
        {
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>The next message, or null when the link has ended or what came is not the protocol.</summary>
    public async Task<AgentMessage?> ReceiveAsync(CancellationToken cancel)
    {
        var buffer = new MemoryStream();
        var piece = new byte[16 * 1024];
        while (true)
        {
            var part = await socket.ReceiveAsync(piece.AsMemory(), cancel);
            if (part.MessageType != WebSocketMessageType.Text)
                return null;
            buffer.Write(piece, 0, part.Count);
            if (buffer.Length > MessageLimit)
                return null;
            if (part.EndOfMessage)
                break;
        }
        try
        {
            return JsonSerializer.Deserialize(buffer.GetBuffer().AsSpan(0, (int)buffer.Length), AgentJson.Default.AgentMessage);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Largest message of an agent in bytes: outputs are capped far below.</summary>
    const int MessageLimit = 1024 * 1024;

    public void Abort() => socket.Abort();

    public void Dispose() => _one.Dispose();
}
