using System.Net;
using Ka.Broadcast;
using Ka.Broadcast.Standalone;
using Ka.Core.Faults;
using Pipe = System.IO.Pipelines.Pipe;

namespace Ka.Tests.Broadcast;

/// <summary>A stream whose length nobody knows, to receivers without a server, over real loopback sockets.</summary>
public class LiveStreams
{
    const int PieceBytes = 256 * 1024, Pieces = 12;

    /// <summary>Nobody is suspected because the machine is busy.</summary>
    static readonly ChainOptions Patient = LoopbackChain.Patient with { Starve = TimeSpan.FromSeconds(30), Stall = TimeSpan.FromMinutes(2), Linger = TimeSpan.FromMilliseconds(50) };

    readonly string _key = BroadcastKey.Create();
    readonly byte[] _bytes = new byte[(Pieces * PieceBytes) - 1000];

    public LiveStreams() => new Random(7).NextBytes(_bytes);

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    LiveSender Sender(Stream source, int count, int held = 6, int graceSeconds = 60)
    {
        Assert.True(BroadcastKey.TryParse(_key, out var key));
        return new LiveSender(new LiveRequest(source, Path.GetTempPath(), new Invitation(new IPEndPoint(IPAddress.Loopback, 0), key, [], count, TimeSpan.FromMinutes(1), Patient))
        {
            PieceBytes = PieceBytes,
            Held = held,
            Grace = TimeSpan.FromSeconds(graceSeconds),
            Pause = TimeSpan.FromMilliseconds(10),
        });
    }

    async Task<Task<Fault?>> Receiver(LiveSender sender, string name, Stream sink)
    {
        Assert.True(BroadcastKey.TryParse(_key, out var key));
        return new StandaloneReceiver(new ReceiveRequest(await sender.Listening, null, name, key, TimeSpan.FromMinutes(1), Patient)).Run(sink, Cancel);
    }

    static Task<Fault?> Run(LiveSender sender) => Task.Run(() => sender.Run(() => { }, Cancel), Cancel);

    [Fact]
    public async Task All_have_every_byte_of_it_and_who_keeps_pace_gets_it_from_its_predecessor()
    {
        var sinks = Enumerable.Range(0, 3).Select(_ => new RecordingSink()).ToArray();
        var sender = Sender(new Paced(_bytes, sinks), 3);
        var sending = Run(sender);
        var receiving = await Task.WhenAll(sinks.Select((s, i) => Receiver(sender, $"n{i}", s)));
        Assert.All(await Task.WhenAll(receiving), Assert.Null);
        Assert.Null(await sending);
        Assert.All(sinks, s => Assert.True(_bytes.AsSpan().SequenceEqual(s.ToArray())));
        Assert.Equal((_bytes.Length, _bytes.Length), (sender.Bytes, sender.BytesOut));
        Assert.All(sender.States, s => Assert.Equal("done", s.State));
    }

    [Fact]
    public async Task What_came_before_a_pause_is_there_before_the_stream_goes_on()
    {
        var pipe = new Pipe();
        var sender = Sender(pipe.Reader.AsStream(), 2);
        var sending = Run(sender);
        var sinks = Enumerable.Range(0, 2).Select(_ => new RecordingSink()).ToArray();
        var receiving = await Task.WhenAll(sinks.Select((s, i) => Receiver(sender, $"n{i}", s)));
        await pipe.Writer.WriteAsync(_bytes.AsMemory(0, 10), Cancel);
        while (sinks.Any(s => s.Length < 10))
        {
            await Task.Yield();
        }
        await pipe.Writer.WriteAsync(_bytes.AsMemory(10), Cancel);
        await pipe.Writer.CompleteAsync();
        Assert.All(await Task.WhenAll(receiving), Assert.Null);
        Assert.Null(await sending);
        Assert.All(sinks, s => Assert.True(_bytes.AsSpan().SequenceEqual(s.ToArray())));
    }

    [Fact]
    public async Task Who_falls_behind_what_is_held_is_ended_with_the_reason_and_the_others_have_everything()
    {
        var sender = Sender(new MemoryStream(_bytes), 3, held: 4, graceSeconds: 2);
        var sending = Run(sender);
        RecordingSink[] sinks = [new(), new() { BlockAt = PieceBytes }, new()];
        var receiving = await Task.WhenAll(sinks.Select((s, i) => Receiver(sender, $"n{i}", s)));
        Assert.Null(await receiving[0]);
        Assert.Null(await receiving[2]);
        sinks[1].Unblock(); // its disk goes on, too late
        var fault = await receiving[1];
        Assert.Equal(FaultCodes.BroadcastStraggler, fault!.Code);
        Assert.Contains("fell behind the live stream", fault.Message, StringComparison.Ordinal);
        Assert.Null(await sending);
        Assert.Equal(["n0 done", "n1 failed", "n2 done"], sender.States.Select(s => $"{s.Name} {s.State}"));
        Assert.All((RecordingSink[])[sinks[0], sinks[2]], s => Assert.True(_bytes.AsSpan().SequenceEqual(s.ToArray())));
    }

    [Fact]
    public async Task A_stream_without_any_byte_is_one()
    {
        var sender = Sender(new MemoryStream(), 1);
        var sending = Run(sender);
        using var sink = new MemoryStream();
        Assert.Null(await await Receiver(sender, "n", sink));
        Assert.Null(await sending);
        Assert.Equal((0, "done"), (sender.Bytes, Assert.Single(sender.States).State));
    }

    [Fact]
    public async Task A_source_that_breaks_ends_it_for_all_and_nobody_believes_that_he_has_everything()
    {
        var pipe = new Pipe();
        var sender = Sender(pipe.Reader.AsStream(), 2);
        var sending = Run(sender);
        var sinks = Enumerable.Range(0, 2).Select(_ => new MemoryStream()).ToArray();
        var receiving = await Task.WhenAll(sinks.Select((s, i) => Receiver(sender, $"n{i}", s)));
        await pipe.Writer.WriteAsync(_bytes.AsMemory(0, PieceBytes), Cancel);
        await pipe.Writer.CompleteAsync(new IOException("the tape is torn"));
        var fault = await sending;
        Assert.Contains("the tape is torn", fault!.Message, StringComparison.Ordinal);
        Assert.All(await Task.WhenAll(receiving), f => Assert.Equal(FaultCodes.BroadcastLost, f!.Code));
    }

    /// <summary>A source that goes on when everybody has what it gave.</summary>
    sealed class Paced(byte[] bytes, RecordingSink[] sinks) : MemoryStream(bytes)
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (sinks.Any(s => s.Length < Position))
            {
                await Task.Yield();
            }
            return Read(buffer.Span);
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }
}
