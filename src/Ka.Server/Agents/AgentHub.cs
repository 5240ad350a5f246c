using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text.Json;
using Ka.Core.Faults;
using Ka.Protocol.Agents;
using Ka.Server.Hosting;
using Ka.Store;

namespace Ka.Server.Agents;

/// <summary>
/// All agents of this server. A boot is expected by its nonce; its credential works once; after that only the session secret of
/// the welcome lets the same boot come back. Orders outlive connections, and both outlive this process.
/// </summary>
public sealed partial class AgentHub(NodeTable table, ServerSecrets secrets, TimeProvider clock, ILogger<AgentHub> log)
{
    /// <summary>An agent of which nothing was heard for this long is lost. It sends a pulse every two seconds.</summary>
    public static readonly TimeSpan Silence = TimeSpan.FromSeconds(20);

    /// <summary>How long agents that had checked in before this server started may take to come back: thousands of them do at once.</summary>
    public static readonly TimeSpan Return = TimeSpan.FromSeconds(60);

    /// <summary>Three pulses: whoever sent none for so long has left, though its connection may not have been missed yet.</summary>
    static readonly TimeSpan Fresh = TimeSpan.FromSeconds(6);

    /// <summary>How often an agent that nobody needs any more asks again; a later workflow may take it over without a reboot.</summary>
    public static readonly TimeSpan RestingPeriod = TimeSpan.FromSeconds(30);

    readonly Lock _gate = new();
    readonly Dictionary<string, RestingAgent> _resting = new(StringComparer.Ordinal);
    readonly Dictionary<string, AgentSession> _byNonce = new(StringComparer.Ordinal);
    readonly Dictionary<(string Workflow, string Node), AgentSession> _byNode = [];

    /// <summary>The single-use credential of a boot.</summary>
    public string CredentialOf(string workflow, string node, string nonce) => secrets.Derive("agent-credential", workflow, node, nonce);

    /// <summary>From now on this boot of the node is awaited, and no earlier one.</summary>
    /// <param name="secretHash">Of an agent that checked in before this server started; else null.</param>
    public void Expect(string workflow, string node, string nonce, string? secretHash)
    {
        AgentSession? old;
        lock (_gate)
        {
            _byNode.Remove((workflow, node), out old);
            if (old is not null)
                _byNonce.Remove(old.Nonce);
            var session = new AgentSession(workflow, node, nonce, clock.GetTimestamp(), secretHash is null ? Silence : Return) { SecretHash = secretHash, IsProved = secretHash is not null };
            _byNonce[nonce] = session;
            _byNode[(workflow, node)] = session;
        }
        Drop(old);
    }

    /// <summary>The workflow has ended; its agents are told to rest.</summary>
    public void Forget(string workflow)
    {
        AgentSession[] ended;
        lock (_gate)
        {
            ended = [.. _byNonce.Values.Where(s => s.Workflow == workflow)];
            foreach (var session in ended)
            {
                _byNonce.Remove(session.Nonce);
                _byNode.Remove((session.Workflow, session.Node));
                _resting.Remove(session.Node);
                if (session is { SecretHash: { } hash, Link: not null } && clock.GetElapsedTime(session.HeardAt) < Fresh)
                    _resting[session.Node] = new RestingAgent(session.Nonce, hash, clock.GetTimestamp());
            }
        }
        foreach (var session in ended)
            Drop(session);
    }

    /// <summary>The agent that rests on the node, when it has asked lately; null when there is none.</summary>
    public RestingAgent? RestingOn(string node)
    {
        lock (_gate)
            return _resting.TryGetValue(node, out var resting) && clock.GetElapsedTime(resting.SeenAt) < 2 * RestingPeriod + Silence ? resting : null;
    }

    /// <summary>Whether this is a resting agent; then it was just seen. Called under the lock.</summary>
    bool Rests(AgentHello hello)
    {
        foreach (var (node, resting) in _resting)
            if (resting.Nonce == hello.BootNonce && hello.Session is { } secret && Same(ServerSecrets.Hash(secret), resting.SecretHash))
            {
                _resting[node] = resting with { SeenAt = clock.GetTimestamp() };
                return true;
            }
        return false;
    }

    public bool HasCheckedIn(string workflow, string node)
    {
        lock (_gate)
            return _byNode.TryGetValue((workflow, node), out var session) && session.SecretHash is not null;
    }

    public bool IsConnected(string node)
    {
        lock (_gate)
            return _byNode.Values.Any(s => s.Node == node && s.Link is not null);
    }

    public int? ChainPortOf(string workflow, string node)
    {
        lock (_gate)
            return _byNode.TryGetValue((workflow, node), out var session) && session.ChainPort > 0 ? session.ChainPort : null;
    }

    /// <summary>Whether a bearer of this secret is the agent of a running workflow; then of which.</summary>
    public string? WorkflowOf(string sessionSecret)
    {
        var hash = ServerSecrets.Hash(sessionSecret);
        lock (_gate)
            return _byNonce.Values.FirstOrDefault(s => s.SecretHash == hash)?.Workflow;
    }

    /// <summary>Completes when the agent of the node's current boot is connected.</summary>
    public Task ArrivalAsync(string workflow, string node, CancellationToken cancel)
    {
        lock (_gate)
            return _byNode.TryGetValue((workflow, node), out var session) ? session.Arrived.Task.WaitAsync(cancel) : Task.Delay(Timeout.Infinite, cancel);
    }

    /// <summary>Gives an order and waits for its result, through lost connections, until the agent is silent for too long.</summary>
    public async Task<AgentResult> GiveAsync(string workflow, string node, OrderGiven order, Action<AgentProgress> progress, CancellationToken cancel)
    {
        AgentSession? session;
        var pending = new PendingOrder(order, progress);
        lock (_gate)
        {
            if (_byNode.TryGetValue((workflow, node), out session))
                session.Orders[order.Id] = pending;
        }
        if (session is null)
            return Lost(order.Id, "no agent of this node is awaited");
        try
        {
            if (session.Link is { } link)
                await link.SendAsync(order, cancel);
            var silence = new SilenceWatch(session, clock);
            while (!pending.Result.Task.IsCompleted)
            {
                await Task.WhenAny(pending.Result.Task, Task.Delay(TimeSpan.FromSeconds(1), clock, cancel));
                cancel.ThrowIfCancellationRequested();
                if (silence.IsOver())
                    return Lost(order.Id, $"nothing was heard of the agent for {session.Patience.TotalSeconds:0} s");
            }
            return await pending.Result.Task;
        }
        catch (OperationCanceledException) when (session.Link is { } link)
        {
            await link.SendAsync(new OrderCancelled(order.Id), CancellationToken.None);
            throw;
        }
        finally
        {
            lock (_gate)
                session.Orders.Remove(order.Id);
        }
    }

    /// <summary>Tells an agent something that needs no answer; nothing where it is away.</summary>
    public async Task SendAsync(string workflow, string node, ServerMessage message, CancellationToken cancel)
    {
        AgentLink? link;
        lock (_gate)
            link = _byNode.TryGetValue((workflow, node), out var session) ? session.Link : null;
        if (link is not null)
            await link.SendAsync(message, cancel);
    }

    static AgentResult Lost(string order, string message) => new(order, new AgentFault(FaultCodes.AgentLost.Text, message));

    /// <summary>Serves one connection to its end.</summary>
    public async Task ServeAsync(WebSocket socket, string from, CancellationToken cancel)
    {
        using var link = new AgentLink(socket);
        try
        {
            if (await link.ReceiveAsync(cancel) is not AgentHello hello)
                return;
            var (session, answer) = Admit(hello, link);
            await link.SendAsync(answer, cancel);
            if (session is null)
            {
                LogRefused(from, hello.BootNonce, ((AgentRefusal)answer).Message);
                return;
            }
            LogConnected(session.Node, session.Workflow);
            table.SetInventory(session.Node, JsonSerializer.Serialize(hello.Inventory, AgentJson.Default.NodeInventory), clock.GetUtcNow());
            session.Arrived.TrySetResult();
            PendingOrder[] orders;
            lock (_gate)
                orders = [.. session.Orders.Values];
            foreach (var pending in orders)
                await link.SendAsync(pending.Order, cancel);
            while (await link.ReceiveAsync(cancel) is { } message)
                Hear(session, message, link);
        }
        catch (Exception e) when (e is WebSocketException or IOException or OperationCanceledException)
        {
        }
        finally
        {
            Unlink(link);
        }
    }

    (AgentSession?, ServerMessage) Admit(AgentHello hello, AgentLink link)
    {
        if (hello.Version != AgentProtocol.Version)
            return (null, new AgentRefusal(FaultCodes.AgentProtocol.Text, $"the server speaks version {AgentProtocol.Version}", null));
        lock (_gate)
        {
            if (!_byNonce.TryGetValue(hello.BootNonce, out var session))
                return (null, new AgentRefusal(FaultCodes.AgentRefused.Text, "no operation awaits this boot", Rests(hello) ? (int)RestingPeriod.TotalSeconds : null));
            string secret;
            if (hello.Session is { } back)
            {
                if (session.SecretHash is null || !Same(ServerSecrets.Hash(back), session.SecretHash))
                    return (null, new AgentRefusal(FaultCodes.AgentRefused.Text, "the session is not known", null));
                secret = back;
                session.IsProved = true;
            }
            else
            {
                if (session.IsProved || !Same(hello.Credential ?? "", CredentialOf(session.Workflow, session.Node, session.Nonce)))
                    return (null, new AgentRefusal(FaultCodes.AgentRefused.Text, "the credential is wrong or was used before", null));
                secret = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
                session.SecretHash = ServerSecrets.Hash(secret);
                table.SetFacts(session.Workflow, [(session.Node, "session", session.SecretHash)]);
            }
            session.Link?.Abort();
            session.Link = link;
            session.ChainPort = hello.ChainPort;
            session.Hear(clock.GetTimestamp());
            return (session, new AgentWelcome(session.Node, secret));
        }
    }

    static bool Same(string a, string b) =>
        CryptographicOperations.FixedTimeEquals(System.Text.Encoding.UTF8.GetBytes(a), System.Text.Encoding.UTF8.GetBytes(b));

    void Hear(AgentSession session, AgentMessage message, AgentLink link)
    {
        session.Hear(clock.GetTimestamp());
        lock (_gate)
            session.IsProved |= session.Link == link;
        switch (message)
        {
            case AgentProgress progress:
                Find(progress.OrderId)?.Progress(progress);
                break;
            case AgentResult result:
                Find(result.OrderId)?.Result.TrySetResult(result);
                break;
        }

        PendingOrder? Find(string id)
        {
            lock (_gate)
                return session.Orders.GetValueOrDefault(id);
        }
    }

    void Unlink(AgentLink link)
    {
        lock (_gate)
            foreach (var session in _byNonce.Values.Where(s => s.Link == link))
                session.Link = null;
    }

    static void Drop(AgentSession? session)
    {
        if (session is null)
            return;
        session.Link?.Abort();
        foreach (var pending in session.Orders.Values.ToArray())
            pending.Result.TrySetResult(Lost(pending.Order.Id, "the node was booted anew"));
    }

    [LoggerMessage(2001, LogLevel.Information, "agent of {Node} connected for {Workflow}")]
    partial void LogConnected(string node, string workflow);

    [LoggerMessage(2002, LogLevel.Warning, "agent from {Address} with boot nonce {Nonce} refused: {Reason}")]
    partial void LogRefused(string address, string nonce, string reason);
}
