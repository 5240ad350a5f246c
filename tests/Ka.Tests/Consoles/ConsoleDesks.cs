using System.Text;
using System.Threading.Channels;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Drivers.Consoles;
using Ka.Server.Configuration;
using Ka.Server.Consoles;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Simulation;
using Ka.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Ka.Tests.Consoles;

/// <summary>Who sits at a serial line that is not there, in virtual time.</summary>
public sealed class ConsoleDesks : IDisposable
{
    /// <summary>A line that keeps what is typed and prints what it is told to.</summary>
    sealed class Line : IConsoleLine
    {
        readonly Channel<byte[]> _printed = Channel.CreateUnbounded<byte[]>();

        public StringBuilder Typed { get; } = new();

        public bool Closed { get; private set; }

        public string Evidence { get; set; } = "";

        public void Prints(string text) => Prints(Encoding.UTF8.GetBytes(text));

        public void Prints(byte[] bytes) => _printed.Writer.TryWrite(bytes);

        public void Breaks() => _printed.Writer.Complete();

        public async ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken cancel)
        {
            if (!await _printed.Reader.WaitToReadAsync(cancel) || !_printed.Reader.TryRead(out var bytes))
                return 0;
            bytes.CopyTo(into);
            return bytes.Length;
        }

        public ValueTask WriteAsync(ReadOnlyMemory<byte> keys, CancellationToken cancel)
        {
            Typed.Append(Encoding.UTF8.GetString(keys.Span));
            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync()
        {
            Closed = true;
            return ValueTask.CompletedTask;
        }
    }

    static readonly ClusterNode Node = SimulatedDeployment.SampleCluster(["gris-1"]).Nodes[0];
    static readonly Caller Alice = new("alice", [], Role.User, "test"), Bob = new("bob", [], Role.User, "test");

    readonly TemporaryDirectory _directory = new();
    readonly List<Line> _lines = [];

    public void Dispose() => _directory.Dispose();

    ConsoleDesk Desk(TimeProvider clock, Func<Caller, ClusterNode, Fault?>? refusal = null, OpenConsole? open = null) => new(
        open ?? ((_, _) =>
        {
            _lines.Add(new Line());
            return Task.FromResult<(IConsoleLine?, Fault?)>((_lines[^1], null));
        }),
        refusal ?? ((_, _) => null), _directory["consoles"], clock, NullLogger<ConsoleDesk>.Instance);

    static T Run<T>(Func<VirtualTime, Task<T>> body) => VirtualStrand.Run(body).Result;

    static async Task<ConsoleSeat> SitAsync(ConsoleDesk desk, Caller who, bool writes)
    {
        var (seat, fault) = await desk.SitAsync(who, Node, writes, CancellationToken.None);
        Assert.Null(fault);
        return seat!;
    }

    static async Task<string> ReadAsync(ConsoleSeat seat) => Encoding.UTF8.GetString((await seat.Output.ReadAsync()).Span);

    static ReadOnlyMemory<byte> Keys(string text) => Encoding.UTF8.GetBytes(text);

    [Theory]
    [InlineData(60, null, 60)]
    [InlineData(null, 100, 100)]
    public void A_console_closes_within_five_seconds_of_its_right(int? untilSeconds, int? revokedSeconds, int lost)
    {
        using var database = new Database(_directory["ka.db"]);
        var (code, at, others) = Run(async clock =>
        {
            var begin = clock.GetUtcNow();
            var grants = new GrantTable(database);
            var grant = new Grant("G-1", "alice", null, [], null, untilSeconds is { } until ? begin.AddSeconds(until) : null, null, "root", begin);
            grants.Add(grant);
            grants.Add(new Grant("G-2", "bob", null, [], null, null, null, "root", begin));
            using var people = new Authentication(AuthSettings.Default, ServerSecrets.Open(_directory["state"]), new TokenTable(database), new SignInTable(database), new Accounts(clock), clock);
            var rights = new NodeRights(grants, clock);
            var desk = Desk(clock, (caller, node) => Ka.Server.Api.Consoles.Refusal(rights, people, caller, node));
            using var stop = new CancellationTokenSource();
            var watch = desk.WatchAsync(stop.Token);
            var (alice, bob) = (await SitAsync(desk, Alice, writes: true), await SitAsync(desk, Bob, writes: false));
            if (revokedSeconds is { } seconds)
            {
                await Task.Delay(TimeSpan.FromSeconds(seconds), clock, CancellationToken.None);
                grants.Revoke([(grant, null)], "root", clock.GetUtcNow());
            }
            var why = await alice.Ended;
            var ended = (clock.GetUtcNow() - begin).TotalSeconds;
            Assert.Equal("rights.ended", (await alice.WriteAsync(Keys("reboot\r"), CancellationToken.None))?.Code.Text);
            Assert.Equal("rights.missing", desk.Check(Alice, Node, false)?.Code.Text);
            stop.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watch);
            return (why?.Code.Text, ended, string.Join(' ', desk.Seats.Select(s => s.Caller.Name)));
        });
        Assert.Equal(("rights.ended", "bob"), (code, others));
        Assert.InRange(at, lost, lost + 5);
        Assert.Equal("", _lines[0].Typed.ToString());
    }

    [Fact]
    public void A_console_closes_with_the_token_that_opened_it()
    {
        using var database = new Database(_directory["ka.db"]);
        var (code, seconds) = Run(async clock =>
        {
            var begin = clock.GetUtcNow();
            var (grants, tokens) = (new GrantTable(database), new TokenTable(database));
            grants.Add(new Grant("G-1", "alice", null, [], null, null, null, "root", begin));
            tokens.Add(new StoredToken("T-1", "alice", Role.User, "", "root", begin, begin.AddSeconds(60), null, null), "hash");
            using var people = new Authentication(AuthSettings.Default, ServerSecrets.Open(_directory["state"]), tokens, new SignInTable(database), new Accounts(clock), clock);
            var rights = new NodeRights(grants, clock);
            var desk = Desk(clock, (caller, node) => Ka.Server.Api.Consoles.Refusal(rights, people, caller, node));
            using var stop = new CancellationTokenSource();
            var watch = desk.WatchAsync(stop.Token);
            var why = await (await SitAsync(desk, Alice with { By = "token T-1" }, writes: true)).Ended;
            stop.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watch);
            return (why?.Code.Text, (clock.GetUtcNow() - begin).TotalSeconds);
        });
        Assert.Equal("rights.ended", code);
        Assert.InRange(seconds, 60, 65);
    }

    [Fact]
    public void Who_watches_reads_along_and_cannot_write() => Run(async clock =>
    {
        var desk = Desk(clock);
        var (writer, reader) = (await SitAsync(desk, Alice, writes: true), await SitAsync(desk, Bob, writes: false));
        _lines[0].Prints("login: ");
        Assert.Equal(("login: ", "login: "), (await ReadAsync(writer), await ReadAsync(reader)));
        Assert.Null(await writer.WriteAsync(Keys("root\r"), CancellationToken.None));
        Assert.Equal("console.read_only", (await reader.WriteAsync(Keys("halt\r"), CancellationToken.None))?.Code.Text);
        Assert.Equal("root\r", Assert.Single(_lines).Typed.ToString());
        return true;
    });

    [Fact]
    public void A_second_writer_is_told_who_writes_and_gets_the_place_when_they_leave() => Run(async clock =>
    {
        var desk = Desk(clock);
        var first = await SitAsync(desk, Alice, writes: true);
        var (seat, fault) = await desk.SitAsync(Bob, Node, writes: true, CancellationToken.None);
        Assert.Null(seat);
        Assert.Equal("console.busy", fault?.Code.Text);
        Assert.StartsWith("alice writes at the console of gris-1 since ", fault!.Message, StringComparison.Ordinal);
        Assert.Equal("console.busy", desk.Check(Bob, Node, writes: true)?.Code.Text);
        Assert.Null(desk.Check(Bob, Node, writes: false));
        desk.Leave(first);
        Assert.True((await SitAsync(desk, Bob, writes: true)).Writes);
        return true;
    });

    [Fact]
    public void The_line_is_opened_for_the_first_and_closed_after_the_last() => Run(async clock =>
    {
        var desk = Desk(clock);
        var (one, other) = (await SitAsync(desk, Alice, writes: true), await SitAsync(desk, Bob, writes: false));
        desk.Leave(one);
        Assert.False(Assert.Single(_lines).Closed);
        desk.Leave(other);
        await Task.Delay(TimeSpan.FromSeconds(1), clock, CancellationToken.None);
        Assert.True(_lines[0].Closed);
        Assert.Empty(desk.Seats);
        await SitAsync(desk, Alice, writes: true);
        Assert.Equal(2, _lines.Count);
        return true;
    });

    [Fact]
    public void What_was_printed_is_recorded_in_bounded_files_for_their_owner_alone() => Run(async clock =>
    {
        var desk = Desk(clock);
        var seat = await SitAsync(desk, Alice, writes: true);
        for (var i = 0; i < 1000; i++)
            _lines[0].Prints(Encoding.UTF8.GetBytes($"{i,4095}\n"));
        _lines[0].Breaks();
        Assert.Equal("console.ended", (await seat.Ended)?.Code.Text);
        var files = Directory.GetFiles(_directory["consoles"]);
        Assert.Equal(2, files.Length);
        Assert.All(files, f => Assert.InRange(new FileInfo(f).Length, 1, ConsoleRecord.FileLimit));
        Assert.All(files, f => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(f)));
        var recorded = desk.Recorded(Node);
        Assert.InRange(recorded.Length, ConsoleRecord.FileLimit, 2 * ConsoleRecord.FileLimit);
        Assert.EndsWith("    998\n" + $"{999,4095}\n", Encoding.UTF8.GetString(recorded), StringComparison.Ordinal);
        return true;
    });

    [Fact]
    public void A_line_that_breaks_says_what_its_program_said() => Run(async clock =>
    {
        var desk = Desk(clock);
        var seat = await SitAsync(desk, Alice, writes: true);
        _lines[0].Evidence = "SOL session closed by BMC";
        _lines[0].Breaks();
        var why = await seat.Ended;
        Assert.Equal(("console.ended", "SOL session closed by BMC"), (why?.Code.Text, why?.Evidence));
        Assert.True(_lines[0].Closed);
        return true;
    });

    [Fact]
    public void A_line_that_does_not_open_gives_no_seat() => Run(async clock =>
    {
        var none = Fault.Of(FaultCodes.ConsoleNone, "there is none");
        var refused = await Desk(clock, open: (_, _) => Task.FromResult<(IConsoleLine?, Fault?)>((null, none))).SitAsync(Alice, Node, true, CancellationToken.None);
        Assert.Equal((null, none), (refused.Seat, refused.Fault));
        var desk = Desk(clock, open: async (_, cancel) =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, clock, cancel);
            return (null, null);
        });
        var hung = await desk.SitAsync(Alice, Node, true, CancellationToken.None);
        Assert.Equal((null, "console.ended"), (hung.Seat, hung.Fault?.Code.Text));
        Assert.Equal(TimeSpan.FromSeconds(20), clock.Elapsed);
        Assert.Empty(desk.Seats);
        return true;
    });

    [Fact]
    public void A_server_that_stops_takes_every_seat_away() => Run(async clock =>
    {
        var desk = Desk(clock);
        var seat = await SitAsync(desk, Alice, writes: true);
        desk.Dispose();
        Assert.Equal(("console.ended", "the server stops"), ((await seat.Ended)?.Code.Text, (await seat.Ended)?.Message));
        Assert.Equal("console.ended", (await desk.SitAsync(Bob, Node, false, CancellationToken.None)).Fault?.Code.Text);
        await Task.Delay(TimeSpan.FromSeconds(1), clock, CancellationToken.None);
        Assert.True(Assert.Single(_lines).Closed);
        return true;
    });

    [Fact]
    public void One_node_has_no_more_than_sixteen_readers() => Run(async clock =>
    {
        var desk = Desk(clock);
        for (var i = 0; i < ConsoleDesk.SeatLimit; i++)
            await SitAsync(desk, Bob, writes: false);
        Assert.Equal("console.busy", (await desk.SitAsync(Alice, Node, true, CancellationToken.None)).Fault?.Code.Text);
        return true;
    });
}
