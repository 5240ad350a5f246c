using System.Net.Sockets;

namespace Ka.Lab;

/// <summary>This terminal on a node's serial line; Ctrl-] leaves. Without a terminal, bytes go through until input ends.</summary>
public static class Terminal
{
    private const byte Leave = 0x1D;

    public static async Task<int> Attach(string socketPath, CancellationToken cancel)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancel);
        await using var line = new NetworkStream(socket);
        var raw = !Console.IsInputRedirected;
        if (raw)
            await Programs.Attached("stty", ["raw", "-echo"]);
        try
        {
            await using var keys = Console.OpenStandardInput();
            await using var screen = Console.OpenStandardOutput();
            var shown = line.CopyToAsync(screen, cancel);
            var typed = Type(keys, line, cancel);
            await Task.WhenAny(shown, typed);
        }
        finally
        {
            if (raw)
                await Programs.Attached("stty", ["sane"]);
        }

        return 0;
    }

    private static async Task Type(Stream keys, NetworkStream line, CancellationToken cancel)
    {
        var buffer = new byte[256];
        while (true)
        {
            var count = await keys.ReadAsync(buffer, cancel);
            var leave = buffer.AsSpan(0, count).IndexOf(Leave);
            await line.WriteAsync(buffer.AsMemory(0, leave < 0 ? count : leave), cancel);
            if (count == 0 || leave >= 0)
                return;
        }
    }
}
