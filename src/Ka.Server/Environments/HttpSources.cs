using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Documents;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>From where the server may fetch images that a description names by their address.</summary>
/// <param name="Allowed">Networks beside the public Internet.</param>
/// <param name="Largest">Bytes of one file.</param>
public sealed record SourcePolicy(ImmutableArray<IPNetwork> Allowed, long Largest)
{
    public static readonly SourcePolicy Default = new([], 64L << 30);

    /// <summary>What is not reached over the public Internet, or leads to another address inside (RFC 6890 and IANA's registries of special-purpose addresses).</summary>
    static readonly ImmutableArray<IPNetwork> Special =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        }.Select(n => IPNetwork.Parse(n)),
    ];

    static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    public bool Allows(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        return Allowed.Any(n => n.Contains(address))
            || (!Special.Any(n => n.Contains(address)) && (address.AddressFamily == AddressFamily.InterNetwork || GlobalUnicast.Contains(address)));
    }
}

/// <summary>
/// Fetches images by HTTP into the store. A user says where from, so the server connects only to addresses that the policy allows, looks at the address it really connects to
/// (also after a redirect), sends nothing of its own, and keeps only bytes with the digest that the description pins.
/// </summary>
public sealed class HttpSources : IDisposable
{
    const int RedirectLimit = 5;
    static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(15), Patience = TimeSpan.FromHours(2);

    readonly SourcePolicy _policy;
    readonly FileStore _files;
    readonly HttpClient _http;

    public HttpSources(SourcePolicy policy, FileStore files)
    {
        (_policy, _files) = (policy, files);
        _http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false, UseProxy = false, UseCookies = false, ConnectTimeout = ConnectPatience, MaxResponseHeadersLength = 64,
            ConnectCallback = async (context, cancel) => await ConnectAsync(context.DnsEndPoint, cancel),
        })
        {
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _http.DefaultRequestHeaders.UserAgent.ParseAdd("ka");
    }

    public void Dispose() => _http.Dispose();

    public static bool IsAddress(string path) =>
        path.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || path.StartsWith("https://", StringComparison.OrdinalIgnoreCase);

    /// <summary>Fetches what a description names by address, unless whoever registers has it in the store already.</summary>
    /// <param name="sent">Digests of what the client has sent.</param>
    /// <param name="has">Whether they have the file of a digest.</param>
    /// <param name="fetched">Gets the digest and the address of what was fetched.</param>
    /// <returns>The digests of all files.</returns>
    public async Task<(ImmutableDictionary<string, string> Digests, RegistrationRefusal? Refused)> FetchAsync(
        Description description, ImmutableDictionary<string, string> sent, Predicate<string> has, Action<string, string> fetched, CancellationToken cancel)
    {
        foreach (var image in description.Images.Where(i => IsAddress(i.File.Path)))
        {
            if (!has(image.Digest!))
            {
                if (await FetchAsync(image.File.Path, image.Digest!, cancel) is { } fault)
                    return (sent, new RegistrationRefusal(fault, image.File.At));
                fetched(image.Digest!, image.File.Path);
            }
            sent = sent.SetItem(image.File.Path, image.Digest!);
        }
        return (sent, null);
    }

    /// <summary>Null when the file is in the store.</summary>
    public async Task<Fault?> FetchAsync(string address, string sha256, CancellationToken cancel)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        late.CancelAfter(Patience);
        try
        {
            if (!Uri.TryCreate(address, UriKind.Absolute, out var at))
                return Refused(address, "it is no address");
            for (var hops = 0; hops <= RedirectLimit; hops++)
            {
                if (at.Scheme is not ("http" or "https") || at.UserInfo.Length > 0)
                    return Refused(at.ToString(), "only http and https without a password are fetched");
                using var reply = await _http.GetAsync(at, HttpCompletionOption.ResponseHeadersRead, late.Token);
                if ((int)reply.StatusCode is 301 or 302 or 303 or 307 or 308 && reply.Headers.Location is { } next)
                {
                    at = new Uri(at, next);
                    continue;
                }
                if (!reply.IsSuccessStatusCode)
                    return Failed(at, $"it answers {(int)reply.StatusCode}");
                if (reply.Content.Headers.ContentLength > _policy.Largest)
                    return Fault.Of(FaultCodes.RequestTooLarge, $"{Said(at)} has {reply.Content.Headers.ContentLength} bytes, at most {_policy.Largest} are fetched");
                await using var body = await reply.Content.ReadAsStreamAsync(late.Token);
                return await _files.PutAsync(sha256, body, late.Token, reply.Content.Headers.ContentLength, _policy.Largest);
            }
            return Failed(at, $"it redirects more than {RedirectLimit} times");
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return e is AddressException or { InnerException: AddressException } ? Refused(address, (e as AddressException ?? e.InnerException!).Message) : Failed(new Uri(address), e.Message);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return Failed(new Uri(address), $"it did not come within {Patience.TotalHours:0} hours");
        }
    }

    /// <summary>Connects to an address that the policy allows and to no other that the name may have.</summary>
    async Task<Stream> ConnectAsync(DnsEndPoint to, CancellationToken cancel)
    {
        var addresses = IPAddress.TryParse(to.Host, out var literal) ? [literal] : await Dns.GetHostAddressesAsync(to.Host, cancel);
        var allowed = addresses.Where(_policy.Allows).ToArray();
        if (allowed.Length == 0)
            throw new AddressException($"{to.Host} is {string.Join(", ", addresses.Take(3).Select(a => a.ToString()))}, which the site does not allow");
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, to.Port, cancel);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    sealed class AddressException(string message) : IOException(message);

    static string Said(Uri at) => DocumentError.Cut(at.GetLeftPart(UriPartial.Path));

    static Fault Refused(string address, string why) => Fault.Of(FaultCodes.SourceRefused, $"'{DocumentError.Cut(address)}' is not fetched: {why}");

    static Fault Failed(Uri at, string why) => Fault.Of(FaultCodes.SourceFailed, $"{Said(at)} could not be fetched", why);
}
