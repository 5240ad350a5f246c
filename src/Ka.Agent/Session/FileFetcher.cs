using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Session;

/// <summary>Fetches files by their SHA-256 from the server, over the same pinned TLS as the link.</summary>
sealed class FileFetcher : IDisposable
{
    /// <summary>Scripts and their archives live in memory on the node.</summary>
    public const long Limit = 1L << 30;

    readonly BootParameters _boot;
    readonly Func<string?> _session;
    readonly HttpClient _http;

    /// <param name="session">The session secret of the latest welcome.</param>
    public FileFetcher(BootParameters boot, Func<string?> session)
    {
        _boot = boot;
        _session = session;
        _http = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            SslOptions = new SslClientAuthenticationOptions
            {
                RemoteCertificateValidationCallback = (_, certificate, _, _) => PinnedCertificate.Matches(certificate, boot.Fingerprint),
            },
        })
        { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>Fetches into a file and checks the digest. Null, or why not.</summary>
    public async Task<Fault?> Fetch(string sha256, string path, CancellationToken cancel)
    {
        if (sha256.Length != 64 || !sha256.All(char.IsAsciiHexDigit))
        {
            return Fault.Of(FaultCodes.AgentProtocol, "A file digest has 64 hexadecimal digits.");
        }
        using var request = new HttpRequestMessage(HttpMethod.Get, $"https://{_boot.Authority}{AgentProtocol.FilesPath}{sha256}");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _session() ?? "");
        try
        {
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
            if (!response.IsSuccessStatusCode)
            {
                return Fault.Of(FaultCodes.ServerUnreachable, "The server did not give a file.", $"{sha256}: status {(int)response.StatusCode}");
            }
            await using var body = await response.Content.ReadAsStreamAsync(cancel);
            return await Store(body, sha256, path, cancel);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return Fault.Of(FaultCodes.ServerUnreachable, "A file could not be fetched from the server.", $"{sha256}: {e.Message}");
        }
    }

    public void Dispose() => _http.Dispose();

    static async Task<Fault?> Store(Stream body, string sha256, string path, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var file = new FileStream(path, FileMode.Create, FileAccess.Write);
        var buffer = new byte[256 * 1024];
        var total = 0L;
        int count;
        while ((count = await body.ReadAsync(buffer, cancel)) > 0)
        {
            total += count;
            if (total > Limit)
            {
                return Fault.Of(FaultCodes.RequestTooLarge, $"A file has more than {Limit} bytes.", sha256);
            }
            hash.AppendData(buffer, 0, count);
            await file.WriteAsync(buffer.AsMemory(0, count), cancel);
        }
        var found = Convert.ToHexStringLower(hash.GetHashAndReset());
        return string.Equals(found, sha256, StringComparison.OrdinalIgnoreCase) ? null : Fault.Of(FaultCodes.ArchiveDigest, "A fetched file is not the one that was asked for.", $"{sha256} expected, {found} found");
    }
}
