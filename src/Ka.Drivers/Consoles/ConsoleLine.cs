using Ka.Core.Clusters;
using Ka.Core.Faults;

namespace Ka.Drivers.Consoles;

/// <summary>An open serial line. Reading and writing go on beside each other; neither is done twice at once.</summary>
public interface IConsoleLine : IAsyncDisposable
{
    /// <summary>What the node printed; 0 when the line has ended.</summary>
    /// <exception cref="OperationCanceledException"/>
    ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken cancel);

    /// <exception cref="IOException">The line has ended.</exception>
    ValueTask WriteAsync(ReadOnlyMemory<byte> keys, CancellationToken cancel);

    /// <summary>What the driver's program said of itself, as when it could not connect; empty for nothing.</summary>
    string Evidence { get; }
}

/// <summary>Opens the serial line of a node, or says why not.</summary>
public delegate Task<(IConsoleLine? Line, Fault? Fault)> OpenConsole(ClusterNode node, CancellationToken cancel);
