using System.Collections.Frozen;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Ka.Boot.Dhcp;
using Ka.Boot.Tftp;
using Ka.Core.BootProfiles;

namespace Ka.Boot;

/// <summary>
/// ka-boot: DHCP and TFTP on one interface. The HTTP part is mapped into the server's own listener by <c>MapBoot</c>. Sockets are
/// thin; what they answer is decided in <see cref="DhcpDecision"/> and <see cref="TftpExchange"/>.
/// </summary>
/// <param name="events">Where observations go; when the channel is full they are dropped rather than delaying an answer.</param>
public sealed class BootServer(BootSettings settings, IBootDirectory directory, ChannelWriter<BootEvent> events, TimeProvider clock) : IAsyncDisposable
{
    /// <summary>How often silent TFTP clients are looked at.</summary>
    private static readonly TimeSpan TftpTick = TimeSpan.FromMilliseconds(250);

    private readonly CancellationTokenSource _stop = new();
    private readonly List<Socket> _sockets = [];
    private readonly List<Task> _loops = [];
    private readonly Lock _tftpGate = new();

    /// <summary>What it was told.</summary>
    public BootSettings Settings => settings;

    /// <summary>Where nodes are looked up.</summary>
    public IBootDirectory Directory => directory;

    /// <summary>
    /// Opens all sockets, on the calling thread, and begins to answer. Throws <see cref="IOException"/> saying which port or file is the
    /// trouble; nothing is left open then. Needs CAP_NET_BIND_SERVICE and CAP_NET_RAW.
    /// </summary>
    public void Start()
    {
        try
        {
            if (settings.MissingLoaders().ToArray() is { Length: > 0 } missing)
            {
                throw new IOException(string.Join("; ", missing));
            }

            var loaders = settings.Loaders.Concat(settings.SignedLoaders).ToFrozenDictionary(name => name, name => new ReadOnlyMemory<byte>(File.ReadAllBytes(Path.Combine(settings.LoaderDirectory, name))));
            if (settings.Mode != DhcpMode.Off)
            {
                ListenDhcp(Open(IPAddress.Any, 67), DhcpPort.Dhcp);
            }

            if (settings.Mode == DhcpMode.Proxy)
            {
                ListenDhcp(Open(settings.Address, 4011), DhcpPort.PxeProxy);
            }

            ListenTftp(Open(settings.Address, 69), new(new TftpFiles(settings, directory, loaders).Find, address => settings.NetworkOf(address) is not null));
        }
        catch
        {
            Close();
            throw;
        }
    }

    /// <summary>Closes the sockets and waits for the loops to end.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        Close();
        await Task.WhenAll(_loops);
        _stop.Dispose();
    }

    /// <summary>Notes an observation.</summary>
    internal void Note(BootEventKind kind, BootNode? node, MacAddress? mac, IPAddress? from, string detail) =>
        events.TryWrite(new(kind, node?.Name, mac ?? node?.Mac, from, detail, clock.GetUtcNow()));

    private Socket Open(IPAddress address, int port)
    {
        var socket = BootSocket.Open(settings.Interface, address, port);
        _sockets.Add(socket);
        return socket;
    }

    private void Close()
    {
        foreach (var socket in _sockets)
        {
            socket.Dispose();
        }
    }

    private void ListenDhcp(Socket socket, DhcpPort port) => _loops.Add(Task.Run(() => Receive(socket, async (from, packet) =>
    {
        if (Take(packet.Span, from, port) is { } answer)
        {
            await Send(socket, answer.Packet, answer.To);
        }
    })));

    /// <summary>Notes a DHCP packet and gives the answer with where it goes; null for silence.</summary>
    internal (byte[] Packet, IPEndPoint To)? Take(ReadOnlySpan<byte> packet, IPEndPoint from, DhcpPort port)
    {
        if (!DhcpMessage.TryParse(packet, out var message))
        {
            return null;
        }

        directory.TryFindByMac(message.Mac, out var node);
        var answer = DhcpDecision.Decide(message, port, node, settings);
        if (answer.Kind is { } kind)
        {
            var address = message.ClientAddress.Equals(IPAddress.Any) ? null : message.ClientAddress;
            events.TryWrite(new(kind, node?.Name, message.Mac, address, answer.Detail, clock.GetUtcNow()) { Traits = node is null ? MachineTraits.Of(message) : null });
        }

        return answer.Reply is { } reply ? (reply.Encode(), DhcpDecision.Destination(message, reply, from, port)) : null;
    }

    private void ListenTftp(Socket socket, TftpExchange exchange)
    {
        _loops.Add(Task.Run(() => Receive(socket, async (from, packet) =>
        {
            IReadOnlyList<TftpReply> replies;
            TftpNote? note;
            lock (_tftpGate)
            {
                (replies, note) = exchange.Receive(from, packet.Span, Now());
            }

            if (note is not null)
            {
                Note(note.Kind, note.Node, null, from.Address, note.Detail);
            }

            await SendAll(socket, replies);
        })));
        _loops.Add(Task.Run(() => RepeatTftp(socket, exchange)));
    }

    private async Task RepeatTftp(Socket socket, TftpExchange exchange)
    {
        using var timer = new PeriodicTimer(TftpTick, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                IReadOnlyList<TftpReply> replies;
                lock (_tftpGate)
                {
                    replies = exchange.Tick(Now());
                }

                await SendAll(socket, replies);
            }
        }
        catch (OperationCanceledException)
        {
            // The server was disposed.
        }
    }

    private TimeSpan Now() => clock.GetElapsedTime(0);

    private async Task Receive(Socket socket, Func<IPEndPoint, ReadOnlyMemory<byte>, Task> take)
    {
        var buffer = new byte[2048];
        var anyone = new IPEndPoint(IPAddress.Any, 0);
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var received = await socket.ReceiveFromAsync(buffer, SocketFlags.None, anyone, _stop.Token);
                await take((IPEndPoint)received.RemoteEndPoint, buffer.AsMemory(0, received.ReceivedBytes));
            }
            catch (SocketException) when (!_stop.IsCancellationRequested)
            {
                // An ICMP error for an earlier answer; the next packet may be good.
            }
            catch (Exception end) when (end is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                return;
            }
        }
    }

    private async Task SendAll(Socket socket, IReadOnlyList<TftpReply> replies)
    {
        foreach (var reply in replies)
        {
            await Send(socket, reply.Packet, reply.To);
        }
    }

    private async Task Send(Socket socket, byte[] packet, IPEndPoint to)
    {
        try
        {
            await socket.SendToAsync(packet, SocketFlags.None, to, _stop.Token);
        }
        catch (SocketException broken)
        {
            Note(BootEventKind.Refused, null, null, to.Address, $"could not send: {broken.SocketErrorCode}");
        }
    }
}
