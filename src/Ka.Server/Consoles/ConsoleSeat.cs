using System.Threading.Channels;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Core.Rights;

namespace Ka.Server.Consoles;

/// <summary>Somebody at a node's console: who reads, and whether they write too.</summary>
public sealed class ConsoleSeat
{
    /// <summary>Pieces that wait for a slow reader; the oldest are left out then, and the record has them.</summary>
    const int Waiting = 256;

    readonly Channel<ReadOnlyMemory<byte>> _output = Channel.CreateBounded<ReadOnlyMemory<byte>>(new BoundedChannelOptions(Waiting) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
    readonly TaskCompletionSource<Fault?> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask> _write;

    internal ConsoleSeat(Caller caller, ClusterNode node, bool writes, DateTimeOffset since, Func<ReadOnlyMemory<byte>, CancellationToken, ValueTask> write) =>
        (Caller, Node, Writes, Since, _write) = (caller, node, writes, since, write);

    public Caller Caller { get; }

    public ClusterNode Node { get; }

    public bool Writes { get; }

    public DateTimeOffset Since { get; }

    /// <summary>What the node prints; completes when the seat is taken away.</summary>
    public ChannelReader<ReadOnlyMemory<byte>> Output => _output.Reader;

    /// <summary>Why the seat was taken away; null when its holder left.</summary>
    public Task<Fault?> Ended => _ended.Task;

    /// <summary>Sends keys to the node; a fault, and nothing sent, for who only reads or has lost the seat.</summary>
    public async Task<Fault?> WriteAsync(ReadOnlyMemory<byte> keys, CancellationToken cancel)
    {
        if (!Writes)
            return Fault.Of(FaultCodes.ConsoleReadOnly, $"this console of {Node.Name} only reads");
        if (_ended.Task.IsCompleted)
            return await _ended.Task ?? Fault.Of(FaultCodes.ConsoleEnded, "the console was left");
        try
        {
            await _write(keys, cancel);
            return null;
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.ConsoleEnded, $"the serial line of {Node.Name} has ended", e.Message);
        }
    }

    internal void Show(ReadOnlyMemory<byte> printed) => _output.Writer.TryWrite(printed);

    /// <summary>Whether this ended it; the first reason stays.</summary>
    internal bool End(Fault? why)
    {
        var first = _ended.TrySetResult(why);
        _output.Writer.TryComplete();
        return first;
    }
}
