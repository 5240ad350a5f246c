using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Ka.Lab;

/// <summary>Serves a <see cref="RedfishSimulator"/> by HTTPS: one request a connection, heads of at most 16 KiB, bodies of at most 64 KiB.</summary>
public sealed class RedfishListener : IAsyncDisposable
{
    const int HeadLimit = 16 * 1024, BodyLimit = 64 * 1024;

    readonly TcpListener _listener;
    readonly RedfishSimulator _machine;
    readonly X509Certificate2 _certificate;
    readonly CancellationTokenSource _stopping = new();
    readonly Task _serving;

    public RedfishListener(IPEndPoint at, X509Certificate2 certificate, RedfishSimulator machine)
    {
        (_listener, _certificate, _machine) = (new TcpListener(at), certificate, machine);
        _listener.Start();
        _serving = ServeAsync();
    }

    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndpoint;

    async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptTcpClientAsync(_stopping.Token);
                _ = AnswerAsync(client);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    async Task AnswerAsync(TcpClient client)
    {
        using (client)
            try
            {
                await using var stream = new SslStream(client.GetStream());
                await stream.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = _certificate }, _stopping.Token);
                if (await ReadAsync(stream) is not { } request)
                    return;
                var answer = _machine.Answer(request.Method, request.Path, request.Authorization, request.Body);
                if (_machine.Manner == RedfishManner.Hangs)
                    await Task.Delay(Timeout.InfiniteTimeSpan, _stopping.Token);
                if (_machine.Manner == RedfishManner.Endless)
                    await EndlessAsync(stream);
                var body = Encoding.UTF8.GetBytes(answer.Body);
                var head = $"HTTP/1.1 {(int)answer.Status} {answer.Status}\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\nConnection: close\r\n"
                    + (answer.Location is { } location ? $"Location: {location}\r\n" : "") + "\r\n";
                await stream.WriteAsync(Encoding.ASCII.GetBytes(head), _stopping.Token);
                await stream.WriteAsync(body, _stopping.Token);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or System.Security.Authentication.AuthenticationException)
            {
                // the client has gone, or does not believe the certificate
            }
    }

    async Task EndlessAsync(SslStream stream)
    {
        await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n["u8.ToArray(), _stopping.Token);
        var piece = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("[],", 5000)));
        while (true)
            await stream.WriteAsync(piece, _stopping.Token);
    }

    async Task<(string Method, string Path, string? Authorization, string Body)?> ReadAsync(SslStream stream)
    {
        var bytes = new List<byte>();
        var one = new byte[1];
        while (bytes.Count < 4 || !(bytes[^1] == '\n' && bytes[^2] == '\r' && bytes[^3] == '\n'))
        {
            if (bytes.Count >= HeadLimit || await stream.ReadAsync(one, _stopping.Token) == 0)
                return null;
            bytes.Add(one[0]);
        }
        var lines = Encoding.ASCII.GetString([.. bytes]).Split("\r\n");
        if (lines[0].Split(' ') is not [var method, var path, _])
            return null;
        string? Header(string name) => lines.FirstOrDefault(l => l.StartsWith(name + ":", StringComparison.OrdinalIgnoreCase))?[(name.Length + 1)..].Trim();
        var length = int.TryParse(Header("Content-Length"), NumberStyles.None, CultureInfo.InvariantCulture, out var given) ? Math.Min(given, BodyLimit) : 0;
        var body = new byte[length];
        await stream.ReadExactlyAsync(body, _stopping.Token);
        return (method, path, Header("Authorization"), Encoding.UTF8.GetString(body));
    }

    /// <summary>Ends what it serves; further calls do nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_serving.IsCompleted)
            return;
        await _stopping.CancelAsync();
        await _serving;
        _listener.Stop();
    }
}
