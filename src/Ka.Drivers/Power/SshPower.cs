using System.Net;
using System.Net.Sockets;
using Ka.Core.Clusters;
using Ka.Core.Faults;

namespace Ka.Drivers.Power;

/// <summary>Whether the system of a node answers on its ssh port.</summary>
public delegate Task<bool> ProbeSystem(ClusterNode node, CancellationToken cancel);

/// <summary>
/// Asks the running system by ssh to shut down or to start anew. Its status is whether ssh answers, not the power: a machine that hangs
/// counts as off. It cannot switch on, and not off against the system's will.
/// </summary>
public sealed class SshPower(RunInSystem run, ProbeSystem answers) : IPowerDriver
{
    /// <summary>The session ends before the system goes, so that its status comes back; sysvinit and systemd know both names.</summary>
    static string After(string command) => $"setsid sh -c 'sleep 1; exec {command}' </dev/null >/dev/null 2>&1 &\n";

    public string Kind => "ssh";

    public TimeSpan Patience => Started;

    public TimeSpan AskPeriod => TimeSpan.FromSeconds(1);

    public bool SeesPower => false;

    /// <summary>How long a system may take until ssh answers, or answers no more.</summary>
    internal static readonly TimeSpan Started = TimeSpan.FromSeconds(100);

    public bool Knows(ClusterNode node, PowerVerb verb) => verb is PowerVerb.Status or PowerVerb.SoftOff or PowerVerb.SoftReboot;

    public async Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel) => verb == PowerVerb.Status
        ? new PowerReply(null, await answers(node, cancel))
        : new PowerReply(await run(node, Script(verb), cancel));

    /// <summary>What the running system is told.</summary>
    public static string Script(PowerVerb verb) => verb is PowerVerb.SoftOff or PowerVerb.SoftReboot
        ? After(verb == PowerVerb.SoftOff ? "poweroff" : "reboot")
        : throw new ArgumentOutOfRangeException(nameof(verb), verb, "ssh can only shut down and start anew");
}

/// <summary>Switches on by a magic packet (AMD, "Magic Packet Technology", 1995). Status is whether ssh answers; nothing else is known.</summary>
public sealed class WakeOnLan(Func<IPEndPoint, ReadOnlyMemory<byte>, CancellationToken, Task> send, ProbeSystem answers) : IPowerDriver
{
    /// <summary>Discard; network cards look at the content only.</summary>
    const int Port = 9;

    /// <summary>Datagrams get lost.</summary>
    const int Times = 3;

    public string Kind => "wol";

    public TimeSpan Patience => SshPower.Started;

    public TimeSpan AskPeriod => TimeSpan.FromSeconds(1);

    public bool SeesPower => false;

    public bool Knows(ClusterNode node, PowerVerb verb) => verb is PowerVerb.Status or PowerVerb.On;

    public async Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb, CancellationToken cancel)
    {
        if (verb == PowerVerb.Status)
            return new PowerReply(null, await answers(node, cancel));
        var to = new IPEndPoint(IPAddress.Parse(node.Power.Broadcast ?? ""), Port);
        try
        {
            for (var i = 0; i < Times; i++)
                await send(to, Packet(node.Mac), cancel);
            return new PowerReply(null);
        }
        catch (SocketException e)
        {
            return new PowerReply(Fault.Of(FaultCodes.PowerRefused, $"the magic packet could not be sent to {to.Address}", e.Message));
        }
    }

    /// <summary>Six bytes 255, then the address sixteen times.</summary>
    public static byte[] Packet(string mac)
    {
        var address = Convert.FromHexString(mac.Replace(":", "", StringComparison.Ordinal));
        return [.. Enumerable.Repeat((byte)0xff, 6), .. Enumerable.Repeat(address, 16).SelectMany(a => a)];
    }

    /// <summary>By UDP, to a broadcast address too.</summary>
    public static async Task SendAsync(IPEndPoint to, ReadOnlyMemory<byte> packet, CancellationToken cancel)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { EnableBroadcast = true };
        await socket.SendToAsync(packet, to, cancel);
    }
}
