using System.Net.Sockets;
using Ka.Cli;
using Ka.Server.Environments;
using Ka.Tests.Server;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.Tests.Cli;

/// <summary>Files that <c>ka</c> sends over a connection that breaks.</summary>
public sealed class SendingFiles(RunningServer server) : IClassFixture<RunningServer>
{
    const int MiB = 1 << 20;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    FileStore Files => server.App.Services.GetRequiredService<FileStore>();

    /// <summary>A file of 16 MiB that no other test has.</summary>
    async Task<(string Path, string Digest)> MakeAsync(byte seed)
    {
        var bytes = new byte[16 * MiB];
        new Random(seed).NextBytes(bytes);
        await File.WriteAllBytesAsync(server.PathOf($"file-{seed}"), bytes, Cancel);
        return (server.PathOf($"file-{seed}"), RunningServer.Digest(bytes));
    }

    Ka.Cli.Server Client(string socket) => new(ServerAddress.Of("unix:" + socket, server.PathOf("state/token"))) { UploadAgainAfter = TimeSpan.Zero };

    [Fact]
    public async Task A_connection_that_breaks_is_made_again_and_the_file_goes_on_where_it_stopped()
    {
        var (path, digest) = await MakeAsync(1);
        await using var between = new Between(server.PathOf("kad.sock"), server.PathOf("cut-1.sock"), MiB, [3 * MiB, 4 * MiB]);
        using var client = Client(server.PathOf("cut-1.sock"));
        Assert.Null(await client.SendFileAsync(path, digest, Cancel));
        Assert.Equal(await File.ReadAllBytesAsync(path, Cancel), await File.ReadAllBytesAsync(Files.PathOf(digest), Cancel));
        Assert.Equal(2, between.Cuts);
        Assert.InRange(between.Carried, 16 * MiB, 24 * MiB);
    }

    [Fact]
    public async Task A_file_that_a_killed_client_began_goes_on_where_it_stopped()
    {
        var (path, digest) = await MakeAsync(2);
        await using (var stuck = new Between(server.PathOf("kad.sock"), server.PathOf("cut-2.sock"), MiB, [6 * MiB], cut: false))
        {
            using var killed = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
            using var first = Client(server.PathOf("cut-2.sock"));
            var sending = first.SendFileAsync(path, digest, killed.Token);
            await stuck.Reached.WaitAsync(Cancel);
            await killed.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
        }
        await using var between = new Between(server.PathOf("kad.sock"), server.PathOf("again-2.sock"), MiB, []);
        using var client = Client(server.PathOf("again-2.sock"));
        Assert.Null(await client.SendFileAsync(path, digest, Cancel));
        Assert.True(Files.Has(digest));
        Assert.InRange(between.Carried, 8 * MiB, 14 * MiB);
    }

    [Fact]
    public async Task A_server_that_stays_away_is_said_after_a_few_attempts_that_bring_nothing()
    {
        var (path, digest) = await MakeAsync(3);
        await using var between = new Between(server.PathOf("kad.sock"), server.PathOf("cut-3.sock"), MiB, [MiB / 2, .. Enumerable.Repeat(100, 1000)]);
        using var client = Client(server.PathOf("cut-3.sock"));
        Assert.Equal("server.unreachable", (await client.SendFileAsync(path, digest, Cancel))!.Code);
        Assert.InRange(between.Cuts, 6, 24);
        Assert.False(Files.Has(digest));
    }

    [Fact]
    public async Task What_is_there_is_not_sent_again()
    {
        var (path, digest) = await MakeAsync(4);
        using var client = Client(server.PathOf("kad.sock"));
        Assert.Null(await client.SendFileAsync(path, digest, Cancel));
        await using var between = new Between(server.PathOf("kad.sock"), server.PathOf("again-4.sock"), MiB, []);
        using var again = Client(server.PathOf("again-4.sock"));
        Assert.Null(await again.SendFileAsync(path, digest, Cancel));
        Assert.InRange(between.Carried, 1, 10_000);
    }

    [Fact]
    public void Progress_is_one_line() => Assert.Equal("debian12.tar.zst  1.0 GiB of 4.0 GiB  25 %  100.0 MiB/s", UploadProgress.Line("debian12.tar.zst", 1L << 30, 4L << 30, 100 * MiB));

    /// <summary>Carries bytes between a client and the server, and breaks connections that carry a body, or lets them stand, after so many bytes of theirs.</summary>
    sealed class Between : IAsyncDisposable
    {
        readonly CancellationTokenSource _over = new();
        readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        readonly Task _serving;
        readonly string _server;
        readonly Queue<int> _after;
        readonly bool _cut;
        readonly int _piece;
        long _carried;

        public Between(string server, string socket, int piece, int[] after, bool cut = true)
        {
            (_server, _piece, _after, _cut) = (server, piece, new Queue<int>(after), cut);
            _listener.Bind(new UnixDomainSocketEndPoint(socket));
            _listener.Listen();
            _serving = ServeAsync();
        }

        public long Carried => Interlocked.Read(ref _carried);

        public int Cuts { get; private set; }

        /// <summary>A connection has carried as many bytes as it may.</summary>
        public Task Reached => _reached.Task;

        async Task ServeAsync()
        {
            var all = new List<Task>();
            try
            {
                while (true)
                    all.Add(CarryAsync(await _listener.AcceptAsync(_over.Token)));
            }
            catch (OperationCanceledException)
            {
            }
            await Task.WhenAll(all);
        }

        async Task CarryAsync(Socket client)
        {
            using var near = client;
            using var far = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(_over.Token);
            try
            {
                await far.ConnectAsync(new UnixDomainSocketEndPoint(_server), _over.Token);
                var back = BackAsync(far, near, ended.Token);
                await ForthAsync(near, far, ended.Token);
                await ended.CancelAsync();
                await back;
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
            }
        }

        async Task ForthAsync(Socket from, Socket to, CancellationToken cancel)
        {
            var buffer = new byte[_piece];
            long carried = 0;
            int n;
            while ((n = await from.ReceiveAsync(buffer, cancel)) > 0)
            {
                carried += n;
                Interlocked.Add(ref _carried, n);
                if (_after.TryPeek(out var most) && carried > most)
                {
                    _after.Dequeue();
                    Cuts++;
                    _reached.TrySetResult();
                    if (!_cut)
                        await Task.Delay(Timeout.Infinite, cancel);
                    return;
                }
                await to.SendAsync(buffer.AsMemory(0, n), cancel);
            }
        }

        static async Task BackAsync(Socket from, Socket to, CancellationToken cancel)
        {
            var buffer = new byte[64 * 1024];
            try
            {
                int n;
                while ((n = await from.ReceiveAsync(buffer, cancel)) > 0)
                    await to.SendAsync(buffer.AsMemory(0, n), cancel);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _over.CancelAsync();
            await _serving;
            _listener.Dispose();
            _over.Dispose();
        }
    }
}
