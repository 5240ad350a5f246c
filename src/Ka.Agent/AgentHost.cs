using System.Net;
using System.Net.Sockets;
using Ka.Agent.Machine;
using Ka.Agent.Orders;
using Ka.Agent.Session;
using Ka.Agent.Verification;
using Ka.Broadcast;

namespace Ka.Agent;

/// <summary>Puts the agent together.</summary>
static class AgentHost
{
    /// <summary>Runs until the machine goes down. 78 when the kernel command line does not name a server.</summary>
    public static async Task<int> Run(string[] arguments, CancellationToken cancel)
    {
        if (arguments is ["--version"])
        {
            Console.WriteLine($"ka-agent {typeof(AgentHost).Assembly.GetName().Version?.ToString(3)}");
            return 0;
        }
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("PATH")))
        {
            Environment.SetEnvironmentVariable("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"); // an init may start the agent without any
        }
        if (arguments is ["verify", ..])
        {
            await using var input = Console.OpenStandardInput();
            return VerifyCommand.Run(arguments.AsSpan(1), input, Console.Out, Console.Error, cancel);
        }
        if (arguments is ["receive", var order])
        {
            return await Copying.Run(order, Console.Error, cancel);
        }
        var paths = new AgentPaths();
        // A file in place of /proc/cmdline lets a person try the agent on a running machine.
        var commandLine = await File.ReadAllTextAsync(arguments is ["--cmdline", var file] ? file : "/proc/cmdline", cancel);
        if (!BootParameters.TryParse(commandLine, out var boot, out var errors))
        {
            foreach (var error in errors)
            {
                await Console.Error.WriteLineAsync($"ka-agent: {error}");
            }
            return 78;
        }
        await Run(boot, paths, LinkTiming.Default, ChainOptions.Default, Console.Out, cancel);
        return 0;
    }

    public static async Task Run(BootParameters boot, AgentPaths paths, LinkTiming timing, ChainOptions chainOptions, TextWriter log, CancellationToken cancel)
    {
        using var chain = new ChainListener(await FacingAsync(boot, cancel), 0, chainOptions);
        AgentLink? link = null;
        using var files = new FileFetcher(boot, () => link?.Session);
        var context = new OrderContext(paths, Inventory.Firmware(paths), chain, files, chainOptions);
        var desk = new OrderDesk((order, report, stop) => OrderBoard.Carry(order, context, report, stop)) { Turn = context.Turn };
        link = new AgentLink(boot, paths, chain.Port, desk, timing, log);
        try
        {
            await link.Run(cancel);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            // asked to stop
        }
    }

    /// <summary>The machine's own address on the way to the server: peers are there, and nothing listens elsewhere.</summary>
    static async Task<IPAddress> FacingAsync(BootParameters boot, CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                // Connecting a datagram socket sends nothing; it asks the kernel for the route.
                using var probe = new Socket(SocketType.Dgram, ProtocolType.Udp);
                await probe.ConnectAsync(boot.Host, boot.Port, cancel);
                var address = ((IPEndPoint)probe.LocalEndPoint!).Address;
                return address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
            }
            catch (SocketException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(200), cancel); // the network is not up yet
            }
        }
    }
}
