using Ka.Core.Faults;
using Ka.Server.Environments;
using Ka.Server.Hosting;

namespace Ka.Server.Workflows;

/// <summary>The BitTorrent client for nodes, built beside the minimal environment: nodes that need it fetch it by its digest.</summary>
public sealed class TorrentTools(Site site, FileStore files)
{
    /// <summary>Digest of what was kept last, or null.</summary>
    public string? Digest { get; private set; }

    /// <summary>Takes the present archive into the store.</summary>
    public async Task<(string? Digest, Fault? Fault)> KeepAsync(CancellationToken cancel)
    {
        try
        {
            var bytes = await File.ReadAllBytesAsync(site.TorrentTools, cancel);
            var (digest, fault) = files.Add(store => store.Write(bytes));
            Digest = digest ?? Digest;
            return (digest, fault);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (null, Fault.Of(FaultCodes.MinimalMissing, "The BitTorrent client for nodes cannot be read.", e.Message));
        }
    }
}
