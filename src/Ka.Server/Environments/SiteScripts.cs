using System.Security.Cryptography;
using System.Text;
using Ka.Core.Clusters;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>Takes the files that a cluster names into the file store, so that a workflow keeps the bytes it was accepted with.</summary>
public static class SiteScripts
{
    /// <summary>Largest file of a site or an operation that is read into memory, bytes.</summary>
    const long SizeLimit = 1L << 30;

    /// <summary>The cluster with digests in place of the paths of its scripts, archives and files.</summary>
    public static async Task<(Cluster Cluster, Fault? Fault)> KeepAsync(Cluster cluster, FileStore files, CancellationToken cancel)
    {
        var digests = new Dictionary<string, string>(StringComparer.Ordinal);
        var paths = cluster.Nodes.Select(n => n.PartitionScript)
            .Concat(cluster.PreInstalls.Concat(cluster.PostInstalls).SelectMany(i => new[] { i.ArchiveSha256, i.ScriptSha256 }))
            .Concat(cluster.Operations.Select(o => o.File))
            .OfType<string>().Where(p => !FileStore.IsDigest(p)).Distinct(StringComparer.Ordinal);
        foreach (var path in paths)
        {
            var (digest, fault) = await KeepAsync(path, files, cancel);
            if (digest is null)
                return (cluster, fault);
            digests[path] = digest;
        }
        foreach (var command in cluster.Operations.Select(o => o.Command).OfType<string>().Distinct(StringComparer.Ordinal))
        {
            var (digest, fault) = await KeepAsync(Encoding.UTF8.GetBytes($"#!/bin/sh\n{command}\n"), files, cancel);
            if (digest is null)
                return (cluster, fault);
            digests["\0" + command] = digest;
        }
        return (cluster with
        {
            Nodes = [.. cluster.Nodes.Select(n => n with { PartitionScript = Kept(n.PartitionScript) })],
            PreInstalls = [.. cluster.PreInstalls.Select(KeptInstall)],
            PostInstalls = [.. cluster.PostInstalls.Select(KeptInstall)],
            Operations = [.. cluster.Operations.Select(o => o with { File = o.Command is { } command ? digests["\0" + command] : Kept(o.File) })],
        }, null);

        string? Kept(string? path) => path is null ? null : digests.GetValueOrDefault(path, path);

        PostInstall KeptInstall(PostInstall install) => install with { ArchiveSha256 = Kept(install.ArchiveSha256), ScriptSha256 = Kept(install.ScriptSha256) };
    }

    static async Task<(string? Digest, Fault? Fault)> KeepAsync(string path, FileStore files, CancellationToken cancel)
    {
        try
        {
            return new FileInfo(path).Length > SizeLimit
                ? (null, Fault.Of(FaultCodes.ConfigInvalid, $"{path} is larger than {SizeLimit} bytes"))
                : await KeepAsync(await File.ReadAllBytesAsync(path, cancel), files, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (null, Fault.Of(FaultCodes.ConfigInvalid, $"{path} cannot be read", e.Message));
        }
    }

    static async Task<(string? Digest, Fault? Fault)> KeepAsync(byte[] bytes, FileStore files, CancellationToken cancel)
    {
        var digest = Convert.ToHexStringLower(SHA256.HashData(bytes));
        return await files.PutAsync(digest, new MemoryStream(bytes), cancel) is { } fault ? (null, fault) : (digest, null);
    }
}
