using System.Net;
using System.Net.Sockets;
using Ka.Server.Configuration;

namespace Ka.Server.Api;

/// <summary>
/// Asks the server itself for its nodes once, when it has just started: what a process does only once (making the handlers of all routes, compiling, opening the database) is then
/// done before the first person asks.
/// </summary>
public static class FirstAnswer
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>By the first Unix socket of people; null where they have only TLS, and nothing is prepared.</summary>
    /// <exception cref="HttpRequestException">It does not answer.</exception>
    public static async Task<HttpStatusCode?> PrepareAsync(SiteConfiguration configuration, CancellationToken cancel)
    {
        if (configuration.Users.FirstOrDefault(u => u.SocketPath is not null) is not { SocketPath: { } path })
            return null;
        using var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), stop);
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        using var http = new HttpClient(handler) { Timeout = Patience, BaseAddress = new Uri("http://ka") };
        http.DefaultRequestHeaders.AcceptEncoding.ParseAdd("gzip");
        using var answer = await http.GetAsync(Nodes.Path, cancel);
        return answer.StatusCode;
    }
}
