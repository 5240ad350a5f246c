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
/// <param name="now">Timestamp of the hub's clock.</param>
/// <param name="patience">How long the agent may take to be heard for the first time.</param>
sealed class AgentSession(string workflow, string node, string nonce, long now, TimeSpan patience)
{
    long _heardAt = now;

    public string Workflow => workflow;

    public string Node => node;

    public string Nonce => nonce;

    /// <summary>SHA-256 of the session secret; null until the agent has checked in.</summary>
    public string? SecretHash { get; set; }

    /// <summary>The agent has used its session: the credential is of no more use. Until then a welcome may have been lost on the way.</summary>
    public bool IsProved { get; set; }

    public AgentLink? Link { get; set; }

    public int ChainPort { get; set; }

    /// <summary>Timestamp of the hub's clock: of the latest message, else of when the agent was expected.</summary>
    public long HeardAt => Volatile.Read(ref _heardAt);

    /// <summary>An agent of which nothing was heard for longer is lost.</summary>
    public TimeSpan Patience { get; private set; } = patience;

    /// <summary>The agent has just said something.</summary>
    public void Hear(long at)
    {
        Volatile.Write(ref _heardAt, at);
        Patience = AgentHub.Silence;
    }

    public Dictionary<string, PendingOrder> Orders { get; } = new(StringComparer.Ordinal);

    public TaskCompletionSource Arrived { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>
/// For how long nothing was heard of an agent, asked about every second: neither a wall clock that is set nor a server that was itself
/// stopped for a while makes an agent silent.
/// </summary>
sealed class SilenceWatch(AgentSession session, TimeProvider clock)
{
    /// <summary>The most that one look counts: who looks later than that did not listen either.</summary>
    static readonly TimeSpan Look = AgentProtocol.PulsePeriod;

    long _heard = session.HeardAt;
    long _lookedAt = clock.GetTimestamp();

    // A silence from before the watch may be the server's own: the agent has time for some pulses yet.
    TimeSpan _silent = Least(clock.GetElapsedTime(session.HeardAt), session.Patience - (3 * Look));

    /// <summary>Whether the agent is lost by now.</summary>
    public bool IsOver()
    {
        var (heard, now) = (session.HeardAt, clock.GetTimestamp());
        _silent = heard == _heard ? _silent + Least(clock.GetElapsedTime(_lookedAt, now), Look) : TimeSpan.Zero;
        (_heard, _lookedAt) = (heard, now);
        return _silent > session.Patience;
    }

    static TimeSpan Least(TimeSpan a, TimeSpan b) => a < b ? a : b;
}

/// <summary>An agent whose workflow has ended and that still runs.</summary>
/// <param name="SecretHash">SHA-256 of its session secret.</param>
/// <param name="SeenAt">Timestamp of the hub's clock.</param>
public sealed record RestingAgent(string Nonce, string SecretHash, long SeenAt);

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
