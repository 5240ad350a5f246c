using System.Security.Cryptography;
using Ka.Core.Clusters;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>Takes the scripts that a cluster names into the file store, so that a workflow keeps the bytes it was accepted with.</summary>
public static class SiteScripts
{
    /// <summary>The cluster with the digest of each partitioning script in place of its path.</summary>
    public static async Task<(Cluster Cluster, Fault? Fault)> KeepAsync(Cluster cluster, FileStore files, CancellationToken cancel)
    {
        var digests = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var path in cluster.Nodes.Select(n => n.PartitionScript).OfType<string>().Distinct(StringComparer.Ordinal))
        {
            byte[] bytes;
            try
            {
                bytes = await File.ReadAllBytesAsync(path, cancel);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return (cluster, Fault.Of(FaultCodes.ConfigInvalid, $"the partitioning script {path} cannot be read", e.Message));
            }
            var digest = Convert.ToHexStringLower(SHA256.HashData(bytes));
            if (!files.Has(digest) && await files.PutAsync(digest, new MemoryStream(bytes), cancel) is { } fault)
                return (cluster, fault);
            digests[path] = digest;
        }
        return (cluster with { Nodes = [.. cluster.Nodes.Select(n => n.PartitionScript is { } path ? n with { PartitionScript = digests[path] } : n)] }, null);
    }
}
