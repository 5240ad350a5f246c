using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Core.Faults;

namespace Ka.Broadcast.Standalone;

/// <summary>What a receiver needs to know.</summary>
/// <param name="Sender">Where the sender awaits receivers.</param>
/// <param name="Listen">Where successors reach this one; null for the address by which it reaches the sender.</param>
/// <param name="Patience">How long the sender is sought.</param>
public sealed record ReceiveRequest(IPEndPoint Sender, IPAddress? Listen, string Name, BroadcastKey Key, TimeSpan Patience, ChainOptions Options);

/// <summary>The receiving end of a broadcast without a server.</summary>
public sealed class StandaloneReceiver(ReceiveRequest request)
{
    static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(250);

    /// <summary>Receives into a sink, serves the others until the sender dismisses it, and says how it went; null is success.</summary>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public async Task<Fault?> Run(Stream sink, CancellationToken cancel)
    {
        if (await Connect(cancel) is not { } socket)
        {
            return Fault.Of(FaultCodes.BroadcastUnreachable, $"The sender {request.Sender} could not be reached within {request.Patience.TotalSeconds:0} s.", null);
        }
        await using var closing = cancel.Register(socket.Dispose);
        try
        {
            using var listener = new ChainListener(request.Listen ?? ((IPEndPoint)socket.LocalEndPoint!).Address, 0, request.Options);
            using var line = await Task.Run(() => ControlLine.Open(socket, request.Key, isSender: false), cancel);
            line.Send(new Joined(request.Name, listener.Port));
            switch (await Task.Run(line.Receive, cancel))
            {
                case Assigned assigned:
                    return await Receive(line, listener, assigned, sink, cancel);
                case (Piece or Over) and var first:
                    using (var live = new LiveReceiver(line, listener, request.Key, sink, request.Options))
                    {
                        return await live.Run(first, cancel);
                    }
                default:
                    return Fault.Of(FaultCodes.BroadcastUnreachable, "The sender did not take this receiver: it has begun, it does not await this name, or it has another of this name.", request.Name);
            }
        }
        catch (InvalidDataException e)
        {
            return Fault.Of(FaultCodes.BroadcastUnreachable, $"What listens at {request.Sender} is not the sender: {e.Message}.", null);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
        {
            cancel.ThrowIfCancellationRequested();
            return Fault.Of(FaultCodes.BroadcastUnreachable, "The sender went away before it began, or does not know the key of the broadcast.", e.Message);
        }
        finally
        {
            socket.Dispose();
        }
    }

    async Task<Fault?> Receive(ControlLine line, ChainListener listener, Assigned assigned, Stream sink, CancellationToken cancel)
    {
        if (!(assigned.Manifest.IsSound || assigned.Manifest.IsUnverified) || assigned.Upstreams.Length == 0)
        {
            return Fault.Of(FaultCodes.ManifestInvalid, "The sender's plan contradicts itself.", null);
        }
        using var node = new ChainNode(new ChainTicket(request.Key, assigned.Manifest, [.. assigned.Upstreams], assigned.Successors), listener, sink, request.Options);
        var dismissed = Task.Run(() => Listen(line, node, assigned), CancellationToken.None);
        using var reports = new ProgressReports(line, request.Options, () => node.Progress);
        var outcome = await node.Receive(cancel);
        reports.End(outcome.Progress, outcome.Fault);
        if (outcome.Fault is null)
        {
            // Others may need what is here; without a sender until they have it.
            if (!await dismissed.WaitAsync(cancel))
            {
                await node.Linger();
            }
        }
        cancel.ThrowIfCancellationRequested();
        return outcome.Fault;
    }

    /// <summary>True when the sender has dismissed this receiver, false when it is gone: the stream itself may still come from others.</summary>
    static bool Listen(ControlLine line, ChainNode node, Assigned assigned)
    {
        var upstreams = assigned.Upstreams.ToList();
        try
        {
            while (line.Receive() is { } message)
            {
                if (message is Dismissed)
                {
                    return true;
                }
                switch (message)
                {
                    case Lost lost when upstreams.Remove(lost.Peer) && upstreams.Count > 0:
                        node.Replan([.. upstreams]);
                        break;
                    case Replanned replanned:
                        upstreams = [.. replanned.Upstreams];
                        node.Replan([.. upstreams]);
                        break;
                    case Evicted evicted:
                        node.Evict(evicted.Reason);
                        break;
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidDataException)
        {
            // as below
        }
        if (upstreams.Count == 0)
        {
            node.Replan([.. assigned.Upstreams]); // nobody is left who would call it back
        }
        return false;
    }

    internal static void Say(ControlLine line, ControlMessage message)
    {
        try
        {
            line.Send(message);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // the sender is gone: the stream decides
        }
    }

    async Task<Socket?> Connect(CancellationToken cancel)
    {
        var begun = Stopwatch.GetTimestamp();
        while (true)
        {
            var socket = new Socket(request.Sender.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync(request.Sender, cancel);
                return socket;
            }
            catch (SocketException) when (Stopwatch.GetElapsedTime(begun) < request.Patience)
            {
                socket.Dispose();
                await Task.Delay(Retry, cancel);
            }
            catch (SocketException)
            {
                socket.Dispose();
                return null;
            }
        }
    }
}
