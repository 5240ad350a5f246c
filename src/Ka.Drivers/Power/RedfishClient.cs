using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Ka.Core.Certificates;
using Ka.Core.Clusters;
using Ka.Core.Faults;

namespace Ka.Drivers.Power;

/// <summary>Why an exchange with a BMC gave nothing; never leaves <see cref="RedfishPower"/>.</summary>
sealed class RedfishRefusal(Fault fault) : Exception(fault.Message)
{
    public Fault Fault => fault;

    public static RedfishRefusal Bad(string message, string? evidence = null) =>
        new(Fault.Of(FaultCodes.PowerRefused, message, evidence is null ? null : evidence[..Math.Min(evidence.Length, RedfishClient.EvidenceLimit)]));
}

/// <summary>Requests to one BMC: HTTP Basic over TLS, bounded in time and size.</summary>
sealed class RedfishClient : IDisposable
{
    /// <summary>Bytes of an answer; a large system resource has 30 kB.</summary>
    public const int BodyLimit = 1 << 20;

    /// <summary>Characters of an answer that a person is shown.</summary>
    public const int EvidenceLimit = 500;

    /// <summary>For one request with its answer.</summary>
    public static readonly TimeSpan TimeLimit = TimeSpan.FromSeconds(10);

    static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    readonly HttpMessageInvoker _http;
    readonly Uri _base;
    readonly AuthenticationHeaderValue _credential;
    readonly TimeProvider _clock;

    RedfishClient(PowerSettings power, HttpMessageHandler handler, string password, TimeProvider clock)
    {
        _http = new HttpMessageInvoker(handler);
        _base = new UriBuilder(Uri.UriSchemeHttps, power.Host, power.Port).Uri;
        _credential = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{power.User}:{password}")));
        _clock = clock;
    }

    /// <summary>Null with the reason when the password cannot be read.</summary>
    public static (RedfishClient?, Fault?) Open(PowerSettings power, Func<PowerSettings, HttpMessageHandler> transport, TimeProvider clock)
    {
        try
        {
            return (new RedfishClient(power, transport(power), File.ReadAllText(power.PasswordFile ?? "").TrimEnd('\r', '\n'), clock), null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or CryptographicException)
        {
            return (null, Fault.Of(FaultCodes.PowerBmcCredential, "the BMC's password or authority file cannot be read", e.Message));
        }
    }

    /// <summary>A path that the BMC names, when it is one of its own Redfish tree.</summary>
    public string Own(string path) => path.StartsWith("/redfish/v1/", StringComparison.Ordinal) && !path.Contains("..", StringComparison.Ordinal) && Uri.IsWellFormedUriString(path, UriKind.Relative)
        ? path
        : throw RedfishRefusal.Bad("the BMC names a resource outside /redfish/v1/", path);

    /// <param name="body">JSON, or null.</param>
    /// <param name="etag">What the resource must still be, or null.</param>
    /// <returns>The answer; an empty object when it has no body.</returns>
    /// <exception cref="RedfishRefusal">Anything but a success with JSON.</exception>
    public async Task<JsonElement> SendAsync(HttpMethod method, string path, string? body, string? etag, CancellationToken cancel)
    {
        using var late = new CancellationTokenSource(TimeLimit, _clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        using var request = new HttpRequestMessage(method, new Uri(_base, path));
        request.Headers.Authorization = _credential;
        request.Headers.Accept.ParseAdd("application/json");
        request.Headers.Add("OData-Version", "4.0");
        if (body is not null)
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        if (etag is not null)
            request.Headers.TryAddWithoutValidation("If-Match", etag);
        try
        {
            using var response = await _http.SendAsync(request, either.Token);
            return Read(response.StatusCode, await BodyAsync(response, either.Token));
        }
        catch (OperationCanceledException) when (late.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new RedfishRefusal(Fault.Of(FaultCodes.PowerBmcUnreachable, $"the BMC {_base.Host} gave no answer within {TimeLimit.TotalSeconds:0} s"));
        }
        catch (HttpRequestException e) when (e.InnerException is AuthenticationException untrusted)
        {
            throw new RedfishRefusal(Fault.Of(FaultCodes.PowerBmcUntrusted, $"the certificate of the BMC {_base.Host} is not the one that is expected", untrusted.Message));
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw new RedfishRefusal(Fault.Of(FaultCodes.PowerBmcUnreachable, $"the BMC {_base.Host} does not answer as HTTP", e.Message));
        }
    }

    static async Task<ReadOnlyMemory<byte>> BodyAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        await using var stream = await response.Content.ReadAsStreamAsync(cancel);
        var whole = new MemoryStream();
        var piece = new byte[16 * 1024];
        int n;
        while ((n = await stream.ReadAsync(piece, cancel)) > 0)
        {
            whole.Write(piece, 0, n);
            if (whole.Length > BodyLimit)
                throw RedfishRefusal.Bad($"the BMC's answer is longer than {BodyLimit} bytes");
        }
        return whole.GetBuffer().AsMemory(0, (int)whole.Length);
    }

    static JsonElement Read(HttpStatusCode status, ReadOnlyMemory<byte> body)
    {
        if (status is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
            throw new RedfishRefusal(Fault.Of(FaultCodes.PowerBmcCredential, $"the BMC refuses the credential with status {(int)status}"));
        if ((int)status is < 200 or > 299)
            throw RedfishRefusal.Bad($"the BMC answered with status {(int)status}", Encoding.UTF8.GetString(body.Span));
        try
        {
            return JsonElement.Parse(body.IsEmpty ? "{}"u8 : body.Span, Strict);
        }
        catch (JsonException e)
        {
            throw RedfishRefusal.Bad($"the BMC's answer is no JSON that is read: {e.Message}", Encoding.UTF8.GetString(body.Span));
        }
    }

    public void Dispose() => _http.Dispose();
}

/// <summary>How a BMC proves that it is the one: by the system's authorities, the site's own, or its very certificate.</summary>
static class RedfishTls
{
    /// <exception cref="CryptographicException">The authority file is no PEM.</exception>
    public static HttpMessageHandler Handler(PowerSettings power)
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, UseCookies = false, AutomaticDecompression = DecompressionMethods.None, ConnectTimeout = TimeSpan.FromSeconds(5), MaxResponseHeadersLength = 32 };
        if (power.Fingerprint is { } fingerprint)
            handler.SslOptions.RemoteCertificateValidationCallback = (_, presented, _, _) =>
                presented is not null && CryptographicOperations.FixedTimeEquals(presented.GetCertHash(HashAlgorithmName.SHA256), Convert.FromHexString(fingerprint));
        else if (power.AuthorityFile is { } authority)
        {
            var roots = GivenRoots.Read(authority);
            handler.SslOptions.RemoteCertificateValidationCallback = (_, presented, _, errors) => GivenRoots.Believe(roots, presented, errors);
        }
        return handler;
    }
}
