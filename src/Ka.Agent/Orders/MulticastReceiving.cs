using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Ka.Agent.Machine;
using Ka.Broadcast;
using Ka.Broadcast.Multicast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>The image by multicast; by the chain when nothing comes from the group. The result says what came by which way.</summary>
static class MulticastReceiving
{
    public static async Task<OrderOutcome> Run(
        MulticastFetch fetch, ChainTicket ticket, IImageSink sink, OrderContext context, Report report, Func<Task<OrderOutcome>> byChain, CancellationToken cancel)
    {
        MulticastNode node;
        try
        {
            node = new MulticastNode(Ticket(fetch, ticket), sink.Input, MulticastOptions.Default, context.ChainOptions);
        }
        catch (Exception e) when (e is SocketException or FormatException)
        {
            return Said(await byChain(), $"the group could not be joined ({e.Message}), so all by the chain");
        }
        using (node)
        {
            var began = Stopwatch.GetTimestamp();
            var reception = new Reception(node.Receive, () => node.Progress);
            var (received, stopped) = await Receiving.Take(sink, reception, report, cancel);
            if (!stopped && node.HeardNothing)
            {
                return Said(await byChain(), $"nothing came from {fetch.Group}:{fetch.Port}, so all by the chain");
            }
            var outcome = await Receiving.End(received, reception, sink, report, cancel);
            context.Unpacked = outcome.Fault is null ? Stopwatch.GetElapsedTime(began) : context.Unpacked;
            var (byGroup, byUnicast) = node.Ways;
            return Said(outcome, $"{byGroup} bytes by multicast, {byUnicast} by unicast");
        }
    }

    /// <exception cref="FormatException">An address of the order is none.</exception>
    static MulticastTicket Ticket(MulticastFetch fetch, ChainTicket ticket)
    {
        var sender = new IPEndPoint(IPAddress.Parse(fetch.Sender.Host), fetch.Sender.Port);
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        probe.Connect(sender); // sends nothing; asks the kernel for the route
        return new MulticastTicket(
            ticket.Key, ticket.Manifest, new IPEndPoint(IPAddress.Parse(fetch.Group), fetch.Port), sender, ((IPEndPoint)probe.LocalEndPoint!).Address, ticket.Upstreams[^1]);
    }

    static OrderOutcome Said(OrderOutcome outcome, string way) =>
        outcome.Fault is null ? outcome with { Values = outcome.Values!.SetItem("way", way), Tool = new ToolOutcome("multicast", 0, way, "") } : outcome;
}
