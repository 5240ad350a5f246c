using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Ka.Lab;

/// <summary>QEMU's control socket: one connection per command, because QEMU serves one client at a time.</summary>
public static class Qmp
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    /// <summary>Runs one command and returns its answer; an error answer or silence for 10 s is refused.</summary>
    public static async Task<JsonNode?> Ask(string socketPath, string command, JsonObject? arguments, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(Deadline);
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), limit.Token);
            await using var stream = new NetworkStream(socket);
            using var reader = new StreamReader(stream, Encoding.UTF8);
            await reader.ReadLineAsync(limit.Token);
            await Exchange(stream, reader, "qmp_capabilities", null, limit.Token);
            return await Exchange(stream, reader, command, arguments, limit.Token);
        }
        catch (SocketException refused)
        {
            throw new LabException($"QEMU does not answer on {socketPath}: {refused.Message}");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new LabException($"QEMU does not answer '{command}' on {socketPath} within {Deadline.TotalSeconds:0} s.");
        }
    }

    private static async Task<JsonNode?> Exchange(NetworkStream stream, StreamReader reader, string command, JsonObject? arguments, CancellationToken cancel)
    {
        var request = new JsonObject { ["execute"] = command };
        if (arguments is not null)
            request["arguments"] = arguments;
        await stream.WriteAsync(Encoding.UTF8.GetBytes(request.ToJsonString() + "\n"), cancel);
        while (await reader.ReadLineAsync(cancel) is { } line)
        {
            // events may come in between
            var answer = JsonNode.Parse(line, documentOptions: new JsonDocumentOptions { MaxDepth = 32 });
            if (answer?["error"] is { } error)
                throw new LabException($"QEMU refuses '{command}': {error["desc"]}");
            if (answer is JsonObject found && found.TryGetPropertyValue("return", out var value))
                return value;
        }

        throw new LabException($"QEMU closed its control socket during '{command}'.");
    }
}
