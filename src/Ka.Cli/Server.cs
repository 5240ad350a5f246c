using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Ka.Cli.Login;
using Ka.Core.Certificates;
using Ka.Protocol.Rest;

namespace Ka.Cli;

/// <summary>What the server said: a value, or a problem.</summary>
public sealed record Answer<T>(T? Value, Problem? Problem)
    where T : class;

/// <summary>Where the server is and by what it knows the caller.</summary>
/// <param name="Address"><c>unix:PATH</c>, where the kernel says who calls, or <c>https://HOST:PORT</c>.</param>
/// <param name="Token">Null for none: on a Unix socket none is needed.</param>
public sealed record ServerAddress(string Address, string? Token)
{
    public const string DefaultSocket = "/run/ka/kad.sock";

    /// <summary>The only authority or certificate that is believed (PEM); null for those of the system.</summary>
    public string? Authority { get; init; }

    /// <summary>Name and password for HTTP Basic, in place of a token.</summary>
    public (string Name, string Secret)? Password { get; init; }

    /// <summary>PEM files of a certificate and its key that say who calls, in place of a token.</summary>
    public (string File, string Key)? Certificate { get; init; }

    /// <summary>What <c>ka login</c> left, in place of a token.</summary>
    public SignedIn? SignIn { get; init; }

    public bool IsLocal => Address.StartsWith("unix:", StringComparison.Ordinal);

    /// <summary>A server that is named, and the token of a file.</summary>
    public static ServerAddress Of(string address, string? tokenFile) => new(address, tokenFile is null ? null : ReadToken(tokenFile));

    /// <summary>From options, environment, the site's socket, or a lab that runs here; in this order.</summary>
    public static ServerAddress Find(string? server, string? tokenFile, string? lab) =>
        Find(server, tokenFile, lab, Environment.GetEnvironmentVariable, File.Exists, ReadToken);

    /// <summary>The same with everything that it looks at. A lab that is named is never replaced by the site's server.</summary>
    internal static ServerAddress Find(
        string? server, string? tokenFile, string? lab, Func<string, string?> variable, Predicate<string> exists, Func<string, string?> read)
    {
        var address = server ?? (lab is null ? variable("KA_SERVER") : null);
        var file = tokenFile ?? variable("KA_TOKEN_FILE");
        var token = tokenFile is null ? variable("KA_TOKEN") : null;
        lab ??= variable("KA_LAB");
        var run = Path.Combine("/run/ka/lab", lab ?? "lab");
        var socket = Path.Combine(run, "kad.sock");
        if (address is null && (lab is not null || (!exists(DefaultSocket) && exists(socket))))
            address = "unix:" + socket;
        address ??= "unix:" + DefaultSocket;
        if (file is null && !address.StartsWith("unix:", StringComparison.Ordinal))
            file = Path.Combine(variable("XDG_CONFIG_HOME") ?? Path.Combine(variable("HOME") ?? "/", ".config"), "ka", "token");
        return new ServerAddress(address, token ?? (file is null ? null : read(file)));
    }

    static string? ReadToken(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

/// <summary>The typed client of the REST API, over TCP or a Unix socket.</summary>
public sealed class Server : IDisposable
{
    readonly HttpClient _http;
    readonly SocketsHttpHandler _handler;
    readonly ServerAddress _address;
    readonly SignedIn? _signIn;
    volatile AuthenticationHeaderValue? _proof;

    /// <summary>The last request may have reached the server.</summary>
    bool _lost;

    /// <summary>How often what creates something is asked again when its answer was lost, and how soon.</summary>
    const int Repeats = 10;

    static readonly TimeSpan RepeatAfter = TimeSpan.FromSeconds(1);

    public Server(ServerAddress address)
    {
        _address = address;
        var handler = _handler = new SocketsHttpHandler { AutomaticDecompression = DecompressionMethods.GZip };
        if (address.IsLocal)
            handler.ConnectCallback = async (_, cancel) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(address.Address["unix:".Length..]), cancel);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            };
        else
        {
            if (address.Certificate is { } own)
                handler.SslOptions.ClientCertificates = Secrets.Certificate(own.File, own.Key);
            if (address.Authority is { } authority)
                handler.SslOptions.RemoteCertificateValidationCallback = (_, presented, _, errors) => GivenRoots.Believe(GivenRoots.Read(authority), presented, errors);
        }
        _http = new HttpClient(new Proving(this) { InnerHandler = handler })
        {
            BaseAddress = new Uri(address.IsLocal ? "http://ka/" : address.Address),
            Timeout = Timeout.InfiniteTimeSpan,
        };
        if (address.Password is { } password)
            _proof = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{password.Name}:{password.Secret}")));
        else if (address is { Certificate: null, SignIn: { } signIn })
            _signIn = signIn;
        else if (address is { Certificate: null, Token: { } token })
            _proof = new AuthenticationHeaderValue("Bearer", token);
    }

    /// <summary>Says with each request who sends it.</summary>
    sealed class Proving(Server server) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Headers.Authorization = server._proof;
            return base.SendAsync(request, cancellationToken);
        }
    }

    /// <summary>Sees to a sign-in that is good now. Null when it is, or none is used.</summary>
    async Task<Problem?> ProveAsync(CancellationToken cancel)
    {
        if (_signIn is null)
            return null;
        var (token, fault) = await _signIn.TokenAsync(cancel);
        _proof = token is null ? null : new AuthenticationHeaderValue("Bearer", token);
        return fault is null ? null : Terminal.ProblemOf(fault);
    }

    public Task<Answer<T>> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancel)
        where T : class => SendAsync(new HttpRequestMessage(HttpMethod.Get, path), type, cancel);

    public Task<Answer<T>> PostAsync<TBody, T>(string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken cancel)
        where T : class => SendAsync(
        new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(JsonSerializer.Serialize(body, bodyType), Encoding.UTF8, "application/json") }, type, cancel);

    /// <summary>The same for what creates something: when the answer is lost on its way, it is asked for again, and the server carries it out once.</summary>
    public async Task<Answer<T>> CreateAsync<TBody, T>(string path, TBody body, JsonTypeInfo<TBody> bodyType, JsonTypeInfo<T> type, CancellationToken cancel)
        where T : class
    {
        var (key, text) = (Guid.NewGuid().ToString("N"), JsonSerializer.Serialize(body, bodyType));
        for (var again = 0; ; again++)
        {
            var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(text, Encoding.UTF8, "application/json") };
            request.Headers.Add("Idempotency-Key", key);
            var answer = await SendAsync(request, type, cancel);
            // Never connected: nothing was asked yet, and a person wants to know at once.
            if (answer.Problem is not { Code: "server.unreachable" } || (again == 0 && !_lost) || again == Repeats)
                return answer;
            await Task.Delay(RepeatAfter, cancel);
        }
    }

    /// <summary>What the server gives that is no JSON.</summary>
    public async Task<Answer<byte[]>> GetBytesAsync(string path, CancellationToken cancel)
    {
        var reply = await TryAsync(() => _http.GetAsync(path, cancel), cancel);
        return reply.Problem is { } problem ? new Answer<byte[]>(null, problem)
            : reply.Value!.IsSuccessStatusCode ? new Answer<byte[]>(await reply.Value.Content.ReadAsByteArrayAsync(cancel), null)
            : new Answer<byte[]>(null, await ProblemOfAsync(reply.Value, cancel));
    }

    /// <summary>Writes what the server gives into a stream. Null when all of it came.</summary>
    public async Task<Problem?> FetchAsync(string path, Stream into, CancellationToken cancel)
    {
        var reply = await TryAsync(() => _http.GetAsync(path, HttpCompletionOption.ResponseHeadersRead, cancel), cancel);
        if (reply.Problem is { } problem)
            return problem;
        if (!reply.Value!.IsSuccessStatusCode)
            return await ProblemOfAsync(reply.Value, cancel);
        await reply.Value.Content.CopyToAsync(into, cancel);
        return null;
    }

    /// <summary>Wait before a broken upload goes on for the first time.</summary>
    public TimeSpan UploadAgainAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Sends a file under its digest unless the server has it from the caller, from where an earlier attempt stopped. Null when all is well.</summary>
    public Task<Problem?> SendFileAsync(string path, string sha256, CancellationToken cancel) => new Upload(this, path, sha256, UploadAgainAfter).SendAsync(cancel);

    /// <summary>What the server answers, whatever its status.</summary>
    internal Task<Answer<HttpResponseMessage>> AskAsync(HttpRequestMessage request, CancellationToken cancel) => TryAsync(() => _http.SendAsync(request, cancel), cancel);

    public async Task<Problem?> DeleteAsync(string path, CancellationToken cancel)
    {
        var reply = await TryAsync(() => _http.DeleteAsync(path, cancel), cancel);
        return reply.Problem ?? (reply.Value!.IsSuccessStatusCode ? null : await ProblemOfAsync(reply.Value, cancel));
    }

    public Task<Answer<T>> DeleteAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancel)
        where T : class => SendAsync(new HttpRequestMessage(HttpMethod.Delete, path), type, cancel);

    /// <summary>Opens an event stream after the event <paramref name="after"/>.</summary>
    public async Task<Answer<Stream>> WatchAsync(string path, long after, CancellationToken cancel)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Accept.ParseAdd("text/event-stream");
        if (after > 0)
            request.Headers.Add("Last-Event-ID", after.ToString());
        var reply = await TryAsync(() => _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel), cancel);
        if (reply.Problem is not null)
            return new Answer<Stream>(null, reply.Problem);
        return reply.Value!.IsSuccessStatusCode
            ? new Answer<Stream>(await reply.Value.Content.ReadAsStreamAsync(cancel), null)
            : new Answer<Stream>(null, await ProblemOfAsync(reply.Value, cancel));
    }

    /// <summary>Opens a WebSocket.</summary>
    public async Task<Answer<ClientWebSocket>> OpenSocketAsync(string path, CancellationToken cancel)
    {
        if (await ProveAsync(cancel) is { } problem)
            return new Answer<ClientWebSocket>(null, problem);
        var socket = new ClientWebSocket();
        socket.Options.KeepAliveInterval = TimeSpan.FromSeconds(15);
        if (_proof is { } proof)
            socket.Options.SetRequestHeader("Authorization", proof.ToString());
        using var invoker = new HttpMessageInvoker(_handler, disposeHandler: false);
        try
        {
            var address = new Uri(_http.BaseAddress!, path);
            await socket.ConnectAsync(new UriBuilder(address) { Scheme = address.Scheme == Uri.UriSchemeHttps ? Uri.UriSchemeWss : Uri.UriSchemeWs }.Uri, invoker, cancel);
            return new Answer<ClientWebSocket>(socket, null);
        }
        catch (WebSocketException e)
        {
            socket.Dispose();
            return new Answer<ClientWebSocket>(null, new Problem(null, null, 0, $"the server at {_address.Address} does not open it: {e.Message}", "server.unreachable", "Try again; the server's log says more.", null, null));
        }
    }

    async Task<Answer<T>> SendAsync<T>(HttpRequestMessage request, JsonTypeInfo<T> type, CancellationToken cancel)
        where T : class
    {
        var reply = await TryAsync(() => _http.SendAsync(request, cancel), cancel);
        if (reply.Problem is not null)
            return new Answer<T>(null, reply.Problem);
        if (!reply.Value!.IsSuccessStatusCode)
            return new Answer<T>(null, await ProblemOfAsync(reply.Value, cancel));
        await using var body = await reply.Value.Content.ReadAsStreamAsync(cancel);
        return new Answer<T>(await JsonSerializer.DeserializeAsync(body, type, cancel), null);
    }

    async Task<Answer<HttpResponseMessage>> TryAsync(Func<Task<HttpResponseMessage>> send, CancellationToken cancel)
    {
        if (await ProveAsync(cancel) is { } problem)
            return new Answer<HttpResponseMessage>(null, problem);
        try
        {
            return new Answer<HttpResponseMessage>(await send(), null);
        }
        catch (HttpRequestException e)
        {
            _lost = e.HttpRequestError is HttpRequestError.ResponseEnded or HttpRequestError.InvalidResponse or HttpRequestError.Unknown;
            return new Answer<HttpResponseMessage>(null, new Problem(
                null, null, 0, $"the server at {_address.Address} does not answer: {Why(e)}", "server.unreachable",
                "Start it (ka server run --config FILE, or ka lab up N --serve), or name it with --server.", null, null));
        }
    }

    /// <summary>The system's words for a socket in the file system are those for an address of a network.</summary>
    string Why(HttpRequestException e) => (e.InnerException, _address.IsLocal) switch
    {
        (SocketException { SocketErrorCode: SocketError.AddressNotAvailable }, true) => "there is no such socket",
        (SocketException { SocketErrorCode: SocketError.ConnectionRefused }, true) => "nobody listens there",
        (SocketException at, true) => at.Message,
        (System.Security.Authentication.AuthenticationException bad, _) => $"{e.Message}: {bad.Message}",
        _ => e.Message,
    };

    internal static async Task<Problem> ProblemOfAsync(HttpResponseMessage reply, CancellationToken cancel)
    {
        var text = await reply.Content.ReadAsStringAsync(cancel);
        try
        {
            if (JsonSerializer.Deserialize(text, RestJson.Default.Problem) is { Code: not null } problem)
                return problem;
        }
        catch (JsonException)
        {
        }
        return new Problem(null, null, (int)reply.StatusCode, $"the server answered {(int)reply.StatusCode} {reply.ReasonPhrase}", "server.internal", null, text, null);
    }

    public void Dispose() => _http.Dispose();
}
