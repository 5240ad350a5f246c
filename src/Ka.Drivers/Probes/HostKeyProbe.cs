using System.Net;
using System.Net.Sockets;
using Ka.Core.Faults;
using Ka.Drivers.Programs;

namespace Ka.Drivers.Probes;

/// <summary>
/// Recognises a deployed system by its ssh host key, which the agent made for this deployment: nobody else can answer with it,
/// neither the minimal environment nor the system that was on the disk before.
/// </summary>
public sealed class HostKeyProbe(TimeProvider clock)
{
    public const string Program = "/usr/bin/ssh-keyscan";
    static readonly TimeSpan Period = TimeSpan.FromMilliseconds(250);
    static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(2);

    /// <summary>Probes until the key is seen; on cancellation the token's exception.</summary>
    /// <param name="hostKey"><c>ssh-ed25519 AAAA…</c>; null accepts any ssh server.</param>
    /// <param name="seen">Told what answered last, for the fault when time is up.</param>
    public async Task AwaitAsync(IPAddress address, string? hostKey, Action<string> seen, CancellationToken cancel)
    {
        while (true)
        {
            if (await AnswersAsync(address, cancel))
            {
                if (hostKey is null)
                    return;
                var scan = await ExternalProgram.RunAsync(Program, ["-T", "5", "-t", "ed25519", address.ToString()], cancel);
                if (Matches(scan.Output, hostKey))
                    return;
                seen(scan.Output.Length == 0 ? "port 22 answers without a host key" : "port 22 answers with another host key");
            }
            await Task.Delay(Period, clock, cancel);
        }
    }

    /// <summary>Whether one line of ssh-keyscan's output carries the key.</summary>
    public static bool Matches(string output, string hostKey)
    {
        var wanted = hostKey.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return wanted.Length >= 2 && output.Split('\n').Any(line =>
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return words.Length >= 3 && words[1] == wanted[0] && words[2] == wanted[1];
        });
    }

    /// <summary>The fault of a node whose time is up, from what answered last.</summary>
    public static Fault Late(string? seen) => seen is not null && seen.Contains("another", StringComparison.Ordinal)
        ? Fault.Of(FaultCodes.BootWrongSystem, "a system answers on port 22, but not with the host key of this deployment", seen)
        : Fault.Of(FaultCodes.BootNoSsh, "the deployed system did not answer on port 22 in time", seen);

    /// <summary>Whether port 22 takes a connection within two seconds.</summary>
    public async Task<bool> AnswersAsync(IPAddress address, CancellationToken cancel)
    {
        using var patience = new CancellationTokenSource(ConnectPatience, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
        using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(new IPEndPoint(address, 22), either.Token);
            var banner = new byte[4];
            return await socket.ReceiveAsync(banner, either.Token) == 4 && banner.AsSpan().SequenceEqual("SSH-"u8);
        }
        catch (SocketException)
        {
            return false;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return false;
        }
    }
}
