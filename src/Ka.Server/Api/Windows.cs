using System.Collections.Immutable;
using Ka.Core.Clusters;

namespace Ka.Server.Api;

/// <summary>Asks many nodes, no more than a window of them at once.</summary>
static class Windows
{
    /// <returns>One answer per node, in the order of <paramref name="nodes"/>.</returns>
    public static async Task<ImmutableArray<T>> AskAsync<T>(IReadOnlyList<ClusterNode> nodes, int window, Func<ClusterNode, Task<T>> ask, CancellationToken cancel)
    {
        var answers = new T[nodes.Count];
        await Parallel.ForAsync(0, nodes.Count, new ParallelOptions { MaxDegreeOfParallelism = window, CancellationToken = cancel }, async (i, _) => answers[i] = await ask(nodes[i]));
        return [.. answers];
    }
}
