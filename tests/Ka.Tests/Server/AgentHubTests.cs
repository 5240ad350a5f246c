using System.Net.WebSockets;
using System.Text.Json;
using Ka.Core.Faults;
using Ka.Protocol.Agents;
using Ka.Engine.Ports;
using Ka.Server.Agents;
using Ka.Server.Boot;
using Ka.Server.Hosting;
using Ka.Server.Workflows;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Ka.Tests.Server;

public sealed class AgentHubTests : IDisposable
{
    static readonly NodeInventory Inventory = new("bios", 1 << 30, 2, null, null, null, "6.1", [], []);

    readonly TemporaryDirectory _directory = new();
    readonly VirtualTime _clock = new();
    readonly Database _database;
    readonly AgentHub _hub;

    public AgentHubTests()
    {
        _database = new Database(_directory["ka.db"]);
        _hub = new AgentHub(new NodeTable(_database), ServerSecrets.Open(_directory["state"]), _clock, NullLogger<AgentHub>.Instance);
    }

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _database.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public async Task A_credential_works_once()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        Assert.False(_hub.HasCheckedIn("D-A", "gris-1"));
        await using var agent = await ConnectAsync(Hello("nonce"));
        Assert.Equal("gris-1", Assert.IsType<AgentWelcome>(agent.Answer).Node);
        Assert.True(_hub.HasCheckedIn("D-A", "gris-1") && _hub.IsConnected("gris-1"));
        await ProveAsync(agent);
        await using var thief = await ConnectAsync(Hello("nonce"));
        Assert.Equal(FaultCodes.AgentRefused.Text, Assert.IsType<AgentRefusal>(thief.Answer).Code);
        await _hub.ArrivalAsync("D-A", "gris-1", Cancel);
    }

    [Fact]
    public async Task A_credential_works_again_when_the_welcome_was_lost_on_the_way()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await using (var first = await ConnectAsync(Hello("nonce")))
            Assert.IsType<AgentWelcome>(first.Answer);
        await using var again = await ConnectAsync(Hello("nonce"));
        var session = Assert.IsType<AgentWelcome>(again.Answer).Session;
        await ProveAsync(again);
        await using var late = await ConnectAsync(Hello("nonce"));
        Assert.Contains("used before", Assert.IsType<AgentRefusal>(late.Answer).Message, StringComparison.Ordinal);
        await using var back = await ConnectAsync(Hello("nonce") with { Credential = null, Session = session });
        Assert.IsType<AgentWelcome>(back.Answer);
    }

    [Fact]
    public async Task An_agent_whose_operation_has_ended_rests_and_a_later_one_takes_it_over_without_a_boot()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await using var agent = await ConnectAsync(Hello("nonce"));
        var session = Assert.IsType<AgentWelcome>(agent.Answer).Session;
        _hub.Forget("D-A");
        var back = Hello("nonce") with { Credential = null, Session = session };
        await using (var resting = await ConnectAsync(back))
            Assert.Equal((int)AgentHub.RestingPeriod.TotalSeconds, Assert.IsType<AgentRefusal>(resting.Answer).RetrySeconds);
        await using (var stranger = await ConnectAsync(back with { Session = "guessed" }))
            Assert.Null(Assert.IsType<AgentRefusal>(stranger.Answer).RetrySeconds);

        var boots = new NodeBoots(new NodeTable(_database), _hub, _clock);
        boots.Choose("D-B", ["gris-1"], BootChoice.Minimal);
        Assert.True(boots.Adopt("D-B", "gris-1"));
        await using var adopted = await ConnectAsync(back);
        Assert.Equal(session, Assert.IsType<AgentWelcome>(adopted.Answer).Session);
        await _hub.ArrivalAsync("D-B", "gris-1", Cancel);
        Assert.Equal("D-B", _hub.WorkflowOf(session));
    }

    [Fact]
    public async Task A_machine_that_jumped_into_its_new_system_does_not_rest()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await using var agent = await ConnectAsync(Hello("nonce"));
        await using (_clock.CreateTimer(_ => { }, null, TimeSpan.FromSeconds(15), Timeout.InfiniteTimeSpan))
            Assert.True(_clock.FireNext());
        _hub.Forget("D-A");
        Assert.Null(_hub.RestingOn("gris-1"));
    }

    [Fact]
    public async Task Nobody_is_taken_over_who_has_not_asked_for_long()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await using var agent = await ConnectAsync(Hello("nonce"));
        _hub.Forget("D-A");
        Assert.NotNull(_hub.RestingOn("gris-1"));
        Assert.Null(_hub.RestingOn("gris-2"));
        await using (_clock.CreateTimer(_ => { }, null, TimeSpan.FromMinutes(5), Timeout.InfiniteTimeSpan))
            Assert.True(_clock.FireNext());
        Assert.Null(_hub.RestingOn("gris-1"));
    }

    [Fact]
    public async Task The_session_lets_the_same_boot_back_and_no_other_secret_does()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        var session = await CheckInAsync("nonce");
        await using var back = await ConnectAsync(Hello("nonce") with { Credential = null, Session = session });
        Assert.Equal(session, Assert.IsType<AgentWelcome>(back.Answer).Session);
        await using var other = await ConnectAsync(Hello("nonce") with { Credential = null, Session = "guessed" });
        Assert.IsType<AgentRefusal>(other.Answer);
        Assert.Equal("D-A", _hub.WorkflowOf(session));
        Assert.Null(_hub.WorkflowOf("guessed"));
    }

    [Fact]
    public async Task A_session_outlives_the_server()
    {
        _hub.Expect("D-A", "gris-1", "nonce", ServerSecrets.Hash("kept"));
        await using var back = await ConnectAsync(Hello("nonce") with { Credential = null, Session = "kept" });
        Assert.IsType<AgentWelcome>(back.Answer);
    }

    [Fact]
    public async Task An_older_boot_and_an_ended_workflow_are_refused()
    {
        _hub.Expect("D-A", "gris-1", "old", null);
        var session = await CheckInAsync("old");
        _hub.Expect("D-A", "gris-1", "new", null);
        foreach (var hello in (AgentHello[])[Hello("old"), Hello("old") with { Credential = null, Session = session }, Hello("new") with { Credential = Hello("old").Credential }])
        {
            await using var older = await ConnectAsync(hello);
            Assert.IsType<AgentRefusal>(older.Answer);
        }
        _hub.Forget("D-A");
        await using var late = await ConnectAsync(Hello("new"));
        Assert.IsType<AgentRefusal>(late.Answer);
    }

    [Fact]
    public async Task Another_version_of_the_protocol_is_refused_with_ours()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await using var agent = await ConnectAsync(Hello("nonce") with { Version = AgentProtocol.Version + 1 });
        Assert.Equal(FaultCodes.AgentProtocol.Text, Assert.IsType<AgentRefusal>(agent.Answer).Code);
    }

    [Fact]
    public async Task A_pending_order_is_given_again_to_an_agent_that_comes_back()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        var order = new OrderGiven("D-A/1/sync/0", 60, new SyncTarget(true));
        Task<AgentResult> given;
        string session;
        await using (var first = await ConnectAsync(Hello("nonce")))
        {
            session = ((AgentWelcome)first.Answer!).Session;
            given = _hub.GiveAsync("D-A", "gris-1", order, _ => { }, Cancel);
            Assert.Equal(order, await first.ReadAsync());
        }
        await using var again = await ConnectAsync(Hello("nonce") with { Credential = null, Session = session });
        Assert.Equal(order, await again.ReadAsync());
        await again.SayAsync(new AgentResult(order.Id, null, 0));
        Assert.Equal(0, (await given).ExitCode);
    }

    [Fact]
    public async Task A_silent_agent_is_lost()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await using var agent = await ConnectAsync(Hello("nonce"));
        var given = GiveAsync();
        Assert.IsType<OrderGiven>(await agent.ReadAsync());
        await LostAsync(given, AgentHub.Silence);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Neither_a_wall_clock_that_is_set_nor_a_server_that_was_stopped_loses_an_agent(bool isStopped)
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await using var agent = await ConnectAsync(Hello("nonce"));
        var given = GiveAsync();
        Assert.IsType<OrderGiven>(await agent.ReadAsync());
        while (!_clock.IsAwaited)
            await Task.Yield(); // the hub has sent the order and does not listen for the result yet
        if (isStopped)
            _clock.Suspend(TimeSpan.FromMinutes(10));
        else
            _clock.SetWallForward(TimeSpan.FromHours(1));
        var from = _clock.Elapsed;
        await LostAsync(given, from + AgentHub.Silence - TimeSpan.FromSeconds(2));
    }

    [Fact]
    public async Task After_a_start_of_the_server_agents_have_a_minute_to_come_back()
    {
        _hub.Expect("D-A", "gris-1", "nonce", ServerSecrets.Hash("kept"));
        await LostAsync(GiveAsync(), AgentHub.Return);
        var from = _clock.Elapsed;
        await using (var back = await ConnectAsync(Hello("nonce") with { Credential = null, Session = "kept" }))
            Assert.IsType<AgentWelcome>(back.Answer);
        await LostAsync(GiveAsync(), from + AgentHub.Silence);
    }

    [Fact]
    public async Task An_agent_that_was_gone_before_its_order_is_waited_for_some_pulses_only()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await CheckInAsync("nonce");
        _clock.Suspend(TimeSpan.FromHours(1));
        var from = _clock.Elapsed;
        await LostAsync(GiveAsync(), from + (3 * AgentProtocol.PulsePeriod));
    }

    [Fact]
    public async Task An_order_of_a_node_that_is_booted_anew_is_lost_at_once()
    {
        _hub.Expect("D-A", "gris-1", "nonce", null);
        await using var agent = await ConnectAsync(Hello("nonce"));
        var given = GiveAsync();
        _hub.Expect("D-A", "gris-1", "again", null);
        Assert.Equal(FaultCodes.AgentLost.Text, (await given).Fault?.Code);
        Assert.Equal(FaultCodes.AgentLost.Text, (await _hub.GiveAsync("D-B", "gris-1", new OrderGiven("p", 1, new SyncTarget(true)), _ => { }, Cancel)).Fault?.Code);
    }

    [Fact]
    public void Progress_has_a_rate_over_its_phase()
    {
        var progress = new LiveProgress(_clock);
        progress.Report("gris-1", new AgentProgress("o", "receive", 0, 100));
        using var later = _clock.CreateTimer(_ => { }, null, TimeSpan.FromSeconds(2), Timeout.InfiniteTimeSpan);
        Assert.True(_clock.FireNext());
        progress.Report("gris-1", new AgentProgress("o", "receive", 50, 100));
        Assert.Equal(new TransferState("receive", 50, 100, 25), progress.Of("gris-1"));
        progress.Report("gris-1", new AgentProgress("o", "extract", 7, null));
        Assert.Equal(new TransferState("extract", 7, null, 0), progress.Of("gris-1"));
        progress.Clear("gris-1");
        Assert.Null(progress.Of("gris-1"));
    }

    AgentHello Hello(string nonce) => new(AgentProtocol.Version, _hub.CredentialOf("D-A", "gris-1", nonce), null, nonce, 9000, Inventory);

    async Task<string> CheckInAsync(string nonce)
    {
        await using var agent = await ConnectAsync(Hello(nonce));
        return Assert.IsType<AgentWelcome>(agent.Answer).Session;
    }

    Task<AgentResult> GiveAsync(string id = "o") => _hub.GiveAsync("D-A", "gris-1", new OrderGiven(id, 600, new SyncTarget(true)), _ => { }, Cancel);

    /// <summary>Lets time pass until the order is given up, which is two looks after this at most.</summary>
    async Task LostAsync(Task<AgentResult> given, TimeSpan after)
    {
        while (!given.IsCompleted)
            if (!_clock.FireNext())
                await Task.Yield();
        Assert.Equal(FaultCodes.AgentLost.Text, (await given).Fault?.Code);
        Assert.InRange(_clock.Elapsed, after, after + TimeSpan.FromSeconds(3));
    }

    /// <summary>The agent carries out an order, so that it has used its session.</summary>
    async Task ProveAsync(Agent agent)
    {
        var given = GiveAsync("first");
        Assert.IsType<OrderGiven>(await agent.ReadAsync());
        await agent.SayAsync(new AgentResult("first", null, 0));
        Assert.Null((await given).Fault);
    }

    async Task<Agent> ConnectAsync(AgentHello hello)
    {
        var (near, far) = Pipe.Pair();
        var agent = new Agent(
            WebSocket.CreateFromStream(near, new WebSocketCreationOptions { IsServer = false }),
            _hub.ServeAsync(WebSocket.CreateFromStream(far, new WebSocketCreationOptions { IsServer = true }), "here", Cancel));
        await agent.SayAsync(hello);
        agent.Answer = await agent.ReadAsync();
        return agent;
    }

    /// <summary>The far end of a connection, in this process.</summary>
    sealed class Agent(WebSocket socket, Task served) : IAsyncDisposable
    {
        public ServerMessage? Answer { get; set; }

        public Task SayAsync(AgentMessage message) =>
            socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message, AgentJson.Default.AgentMessage), WebSocketMessageType.Text, true, Cancel);

        public async Task<ServerMessage?> ReadAsync()
        {
            var buffer = new byte[64 * 1024];
            var part = await socket.ReceiveAsync(buffer, Cancel);
            return JsonSerializer.Deserialize(buffer.AsSpan(0, part.Count), AgentJson.Default.ServerMessage);
        }

        public async ValueTask DisposeAsync()
        {
            socket.Abort();
            socket.Dispose();
            await served;
        }
    }

    static class Pipe
    {
        public static (Stream, Stream) Pair()
        {
            using var listener = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.InterNetwork, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
            listener.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
            listener.Listen(1);
            var near = new System.Net.Sockets.Socket(System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Tcp);
            near.Connect(listener.LocalEndPoint!);
            return (new System.Net.Sockets.NetworkStream(near, true), new System.Net.Sockets.NetworkStream(listener.Accept(), true));
        }
    }
}
