using System.Net;
using System.Text;
using System.Text.Json;
using Ka.Cli;
using Ka.Cli.Consoles;
using Ka.Protocol.Rest;
using Ka.Tests.Server;

namespace Ka.Tests.Consoles;

/// <summary>Consoles over the API, with a program on the server's side that gives back what is typed.</summary>
public sealed class ConsoleSockets(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Keys that come when they are told to; never ends by itself.</summary>
    sealed class Keys : Stream
    {
        readonly System.Threading.Channels.Channel<byte[]> _typed = System.Threading.Channels.Channel.CreateUnbounded<byte[]>();

        public void Type(string text) => _typed.Writer.TryWrite(Encoding.UTF8.GetBytes(text));

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var typed = await _typed.Reader.ReadAsync(cancellationToken);
            typed.CopyTo(buffer);
            return typed.Length;
        }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush() => throw new NotSupportedException();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }

    /// <summary>Remembers what was shown, and lets wait for it.</summary>
    sealed class Screen : MemoryStream
    {
        TaskCompletionSource _shown = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            TaskCompletionSource shown;
            lock (this)
            {
                Write(buffer.Span);
                (shown, _shown) = (_shown, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
            }
            shown.SetResult();
            await Task.CompletedTask;
        }

        public async Task ShowsAsync(string text)
        {
            while (true)
            {
                Task next;
                lock (this)
                {
                    if (Encoding.UTF8.GetString(ToArray()).Contains(text, StringComparison.Ordinal))
                        return;
                    next = _shown.Task;
                }
                await next.WaitAsync(Cancel);
            }
        }
    }

    async Task<(Task<ConsoleNote?> Talk, Keys Keys, Screen Screen)> OpenAsync(string node, string? token = null, bool watch = false)
    {
        // Who has a token of their own comes from another machine, by TLS.
        var client = new Ka.Cli.Server(token is null
            ? new ServerAddress("unix:" + server.PathOf("kad.sock"), (await File.ReadAllTextAsync(server.PathOf("state/token"), Cancel)).Trim())
            : new ServerAddress(server.WithoutToken.BaseAddress!.GetLeftPart(UriPartial.Authority), token) { Authority = server.PathOf("state/users.pem") });
        var opened = await client.OpenSocketAsync($"api/v1/consoles/{node}?watch={(watch ? "true" : "false")}", Cancel);
        Assert.Null(opened.Problem);
        var (keys, screen) = (new Keys(), new Screen());
        return (new ConsoleTalk(opened.Value!, screen, keys, new EscapeKeys((byte)'~'), !watch).RunAsync(Cancel), keys, screen);
    }

    Task<string> SeatsAsync() => server.Http.GetStringAsync("consoles", Cancel);

    [Fact]
    public async Task What_is_typed_reaches_the_line_and_what_it_prints_every_reader_until_the_detach_keys()
    {
        var (talk, keys, screen) = await OpenAsync("rouge-1");
        var (watching, watcher, seen) = await OpenAsync("rouge-1", watch: true);
        keys.Type("uname -a\r");
        await screen.ShowsAsync("uname -a\r");
        await seen.ShowsAsync("uname -a\r");
        var seats = JsonSerializer.Deserialize(await SeatsAsync(), RestJson.Default.ConsoleReplyArray)!.Where(s => s.Node == "rouge-1").ToArray();
        Assert.Equal([("root", "write"), ("root", "watch")], seats.Select(s => (s.User, s.Mode)));

        watcher.Type("nothing of this arrives\r");
        var refused = await RunningServer.ProblemOf(await server.Http.GetAsync("consoles/rouge-1", Cancel));
        Assert.Equal((409, "console.busy"), (refused.Status, refused.Code));
        Assert.StartsWith("root writes at the console of rouge-1 since ", refused.Detail, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.GetAsync("consoles/rouge-1?watch=true", Cancel)).StatusCode);

        keys.Type("~.");
        watcher.Type("~.");
        Assert.Equal((null, null), (await talk, await watching));
        while ((await SeatsAsync()).Contains("rouge-1", StringComparison.Ordinal))
            await Task.Yield();
        var log = await server.Http.GetStringAsync("consoles/rouge-1/log", Cancel);
        Assert.Contains("uname -a\r", log, StringComparison.Ordinal);
        Assert.DoesNotContain("nothing of this", log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_right_that_is_taken_back_closes_the_console_and_says_so()
    {
        Assert.Equal(HttpStatusCode.Created, (await server.PostAsync("rights", "{\"subject\":\"alice\",\"nodes\":\"rouge-1\",\"partitions\":[],\"source\":\"job:9\"}")).StatusCode);
        var made = await server.PostAsync("tokens", JsonSerializer.Serialize(new TokenBody("alice", null, "", 3600), RestJson.Default.TokenBody));
        var token = JsonSerializer.Deserialize(await made.Content.ReadAsStringAsync(Cancel), RestJson.Default.TokenReply)!.Token;
        var (talk, keys, screen) = await OpenAsync("rouge-1", token, watch: true);
        Assert.Equal(HttpStatusCode.OK, (await server.Http.DeleteAsync("rights?source=job:9", Cancel)).StatusCode);
        var note = await talk;
        Assert.Equal(("rights.ended", "alice has no right any more on rouge-1"), (note?.Code, note?.Message));
    }

    [Fact]
    public async Task Who_has_no_right_gets_neither_the_console_nor_what_it_printed()
    {
        var bob = await server.AsAsync("bob");
        foreach (var path in (string[])["consoles/rouge-1", "consoles/rouge-1?watch=true", "consoles/rouge-1/log"])
            Assert.Equal("rights.missing", (await RunningServer.ProblemOf(await bob.GetAsync(path, Cancel))).Code);
        var vera = await server.AsAsync("vera");
        Assert.Equal("rights.role", (await RunningServer.ProblemOf(await vera.GetAsync("consoles/rouge-1", Cancel))).Code);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("consoles/rouge-9", Cancel)).StatusCode);
    }

    [Fact]
    public async Task A_program_that_ends_at_once_ends_the_console()
    {
        var (talk, _, _) = await OpenAsync("rouge-2");
        Assert.Equal("console.ended", (await talk)?.Code);
    }

    [Fact]
    public async Task A_node_without_a_console_is_refused_by_its_reason()
    {
        using var client = new Ka.Cli.Server(new ServerAddress("unix:" + server.PathOf("kad.sock"), (await File.ReadAllTextAsync(server.PathOf("state/token"), Cancel)).Trim()));
        Assert.NotNull((await client.OpenSocketAsync("api/v1/consoles/rouge-3", Cancel)).Problem);
        Assert.Equal("console.none", (await RunningServer.ProblemOf(await server.Http.GetAsync("consoles/rouge-3", Cancel))).Code);
    }
}
