using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Ka.Core.Faults;
using Ka.Core.Nodes;
using Ka.Engine.Ports;

namespace Ka.Engine;

/// <summary>Lifts a function of one node to an operation on a set.</summary>
public static class FanOut
{
    /// <summary>
    /// Runs <paramref name="one"/> for every node, at most a window at once, each with its own deadline from its turn, and yields
    /// results as they come. A deadline becomes the fault that <paramref name="late"/> gives; the caller's cancellation ends the stream.
    /// </summary>
    public static async IAsyncEnumerable<NodeResult> Over(
        NodeBits nodes,
        Pace pace,
        Func<int, CancellationToken, Task<Fault?>> one,
        Func<int, Fault> late,
        [EnumeratorCancellation] CancellationToken cancel)
    {
        var results = Channel.CreateUnbounded<NodeResult>(new UnboundedChannelOptions { SingleReader = true });
        var live = nodes.Count;
        if (live == 0)
            yield break;
        foreach (var node in nodes)
            _ = TurnAsync(node);
        await foreach (var result in results.Reader.Drain(cancel))
            yield return result;

        async Task TurnAsync(int node)
        {
            try
            {
                if (!await pace.Window.EnterAsync(cancel))
                    return;
                try
                {
                    results.Writer.TryWrite(new NodeResult(node, await BoundedAsync(node)));
                }
                finally
                {
                    pace.Window.Leave();
                }
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
            }
            catch (Exception bug)
            {
                results.Writer.TryWrite(new NodeResult(node, Fault.Of(FaultCodes.StepCrashed, bug.Message, bug.ToString())));
            }
            finally
            {
                if (--live == 0)
                    results.Writer.TryComplete();
            }
        }

        async Task<Fault?> BoundedAsync(int node)
        {
            using var deadline = new CancellationTokenSource(pace.Deadline, pace.Clock);
            await using var ends = cancel.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), deadline);
            try
            {
                return await one(node, deadline.Token);
            }
            catch (OperationCanceledException) when (deadline.IsCancellationRequested && !cancel.IsCancellationRequested)
            {
                return late(node);
            }
        }
    }

    /// <summary>As ReadAllAsync, but continuing on the caller's strand.</summary>
    public static async IAsyncEnumerable<T> Drain<T>(this ChannelReader<T> reader, [EnumeratorCancellation] CancellationToken cancel = default)
    {
        while (await reader.WaitToReadAsync(cancel))
            while (reader.TryRead(out var item))
                yield return item;
    }
}
