using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Ka.Agent.Orders;

/// <summary>How far a download is.</summary>
/// <param name="Given">Bytes that others got from here.</param>
sealed record Aria2Seen(bool Complete, long Done, long Given);

/// <summary>Asks aria2c about one download (its manual, "RPC interface").</summary>
sealed class Aria2Status(int port, string secret, string id) : IDisposable
{
    readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false }) { Timeout = TimeSpan.FromSeconds(5), MaxResponseContentBufferSize = 1 << 20 };

    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Null when it does not answer.</summary>
    public async Task<Aria2Seen?> Look(CancellationToken cancel)
    {
        using var question = new StringContent(
            $$"""{"jsonrpc":"2.0","id":"ka","method":"aria2.tellStatus","params":["token:{{secret}}","{{id}}",["totalLength","completedLength","uploadLength","seeder"]]}""");
        try
        {
            using var answer = await _http.PostAsync($"http://127.0.0.1:{port}/jsonrpc", question, cancel);
            return answer.IsSuccessStatusCode ? Read(await answer.Content.ReadAsByteArrayAsync(cancel)) : null;
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or OperationCanceledException && !cancel.IsCancellationRequested)
        {
            return null; // it has not opened its port yet, or is busy; whether it has ended is seen at its process
        }
    }

    /// <summary>Reads the answer; aria2 writes numbers as text.</summary>
    internal static Aria2Seen? Read(byte[] answer)
    {
        using var document = JsonDocument.Parse(answer);
        if (!document.RootElement.TryGetProperty("result", out var result) || Number(result, "totalLength") is not (> 0 and var total) || Number(result, "completedLength") is not { } done)
        {
            return null;
        }
        // It is a seeder once the last piece is checked and its file is complete on the disk.
        var seeder = result.TryGetProperty("seeder", out var word) && word.ValueEquals("true");
        return new Aria2Seen(seeder && done == total, done, Number(result, "uploadLength") ?? 0);
    }

    static long? Number(JsonElement of, string name) => of.TryGetProperty(name, out var value) && long.TryParse(value.GetString(), out var number) ? number : null;

    public void Dispose() => _http.Dispose();
}
