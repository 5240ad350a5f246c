using System.Collections.Immutable;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Ka.Core.Certificates;
using Ka.Core.Documents;
using Ka.Core.Faults;

namespace Ka.Protocol.SignIn;

/// <summary>Asks an issuer of OpenID Connect: by https only, without redirects, every answer bounded in size and time. What it answers is never part of a fault, as it may hold tokens.</summary>
public sealed class IssuerConnection : IDisposable
{
    /// <summary>Most bytes of one answer.</summary>
    const int AnswerLimit = 1 << 20;

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    readonly HttpClient _http;

    /// <param name="roots">The only roots that are believed, asked for at each handshake; null for those of the system.</param>
    public IssuerConnection(Func<X509Certificate2Collection>? roots)
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false };
        if (roots is not null)
            handler.SslOptions.RemoteCertificateValidationCallback = (_, presented, _, errors) => GivenRoots.Believe(roots(), presented, errors);
        _http = new HttpClient(handler) { Timeout = Patience, MaxResponseContentBufferSize = AnswerLimit };
        _http.DefaultRequestHeaders.Accept.ParseAdd("application/json");
        _http.DefaultRequestHeaders.UserAgent.ParseAdd("ka");
    }

    /// <summary>Whether it can be the address of an issuer (OpenID Connect Core 1.0, 2): https, without query and fragment.</summary>
    public static bool IsIssuer(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri is { Scheme: "https", Query: "", Fragment: "", UserInfo: "" } && !text.Contains('?') && !text.Contains('#');

    /// <summary>Its document, when it is that of exactly this issuer.</summary>
    public async Task<(IssuerDocument? Document, Fault? Fault)> DiscoverAsync(string issuer, CancellationToken cancel)
    {
        var address = issuer.TrimEnd('/') + "/.well-known/openid-configuration";
        var (status, text, fault) = await GetAsync(address, cancel);
        if (fault is not null)
            return (null, fault);
        if (status != 200 || Read(text!, IssuerJson.Default.IssuerDocument) is not { } document)
            return (null, Unfit(address, status == 200 ? "its answer is no discovery document" : $"it answers {status}"));
        return document.Issuer == issuer ? (document, null) : (null, Unfit(address, $"it calls itself '{DocumentError.Cut(document.Issuer ?? "")}'"));
    }

    public Task<(int Status, string? Text, Fault? Fault)> GetAsync(string address, CancellationToken cancel) => SendAsync(HttpMethod.Get, address, null, cancel);

    /// <summary>A form, as all endpoints of OAuth 2.0 take it.</summary>
    public Task<(int Status, string? Text, Fault? Fault)> PostAsync(string address, ImmutableArray<(string Name, string Value)> form, CancellationToken cancel) =>
        SendAsync(HttpMethod.Post, address, new FormUrlEncodedContent(form.Select(f => KeyValuePair.Create(f.Name, f.Value))), cancel);

    async Task<(int, string?, Fault?)> SendAsync(HttpMethod method, string address, HttpContent? content, CancellationToken cancel)
    {
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri) || uri.Scheme != Uri.UriSchemeHttps)
            return (0, null, Unfit(address, "it is no https address"));
        try
        {
            using var request = new HttpRequestMessage(method, uri) { Content = content };
            using var reply = await _http.SendAsync(request, cancel);
            return ((int)reply.StatusCode, await reply.Content.ReadAsStringAsync(cancel), null);
        }
        catch (Exception e) when (e is HttpRequestException or InvalidOperationException || (e is TaskCanceledException && !cancel.IsCancellationRequested))
        {
            return (0, null, Unfit(address, e is TaskCanceledException ? $"no answer came within {Patience.TotalSeconds:0} s" : e.InnerException?.Message ?? e.Message));
        }
    }

    /// <summary>Null when the text is not the JSON that is expected.</summary>
    public static T? Read<T>(string text, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(text, type);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public static Fault Unfit(string address, string why) => Fault.Of(FaultCodes.AuthIssuerUnreachable, $"the issuer of single sign-on does not serve at {DocumentError.Cut(address)}", why);

    public void Dispose() => _http.Dispose();
}
