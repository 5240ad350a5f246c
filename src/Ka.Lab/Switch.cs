namespace Ka.Lab;

/// <summary>The lab's network: a namespace with a bridge and one tap per node. Deleting the namespace removes all of it.</summary>
public static class Switch
{
    public const string Bridge = "br0";
    public const string ServerAddress = "10.77.0.1/24";

    /// <summary>Towards a slow node: 10 Mbit/s.</summary>
    private static readonly string[] SlowRate = ["rate", "10mbit", "burst", "64k", "latency", "400ms"];

    /// <summary>The `ip` calls that make the network, in order. Pure.</summary>
    public static IEnumerable<IReadOnlyList<string>> Plan(LabPlaces places, IReadOnlyList<Machine> machines)
    {
        var space = places.Namespace;
        yield return ["netns", "add", space];
        yield return ["-n", space, "link", "set", "lo", "up"];
        yield return ["-n", space, "link", "add", Bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"];
        yield return ["-n", space, "address", "add", ServerAddress, "dev", Bridge];
        yield return ["-n", space, "address", "add", "fe80::1/64", "dev", Bridge, "nodad"];
        yield return ["-n", space, "link", "set", Bridge, "up"];
        foreach (var machine in machines)
        {
            yield return ["-n", space, "tuntap", "add", "dev", machine.Tap, "mode", "tap"];
            yield return ["-n", space, "link", "set", machine.Tap, "master", Bridge];
            yield return ["-n", space, "link", "set", machine.Tap, "up"];
        }
    }

    public static bool Exists(LabPlaces places) => File.Exists($"/run/netns/{places.Namespace}");

    public static async Task Build(LabPlaces places, IReadOnlyList<Machine> machines, CancellationToken cancel)
    {
        foreach (var arguments in Plan(places, machines))
            await Programs.Must("ip", arguments, cancel);
    }

    /// <summary>Ends what still lives in the namespace, then deletes it; nothing to do when there is none.</summary>
    public static async Task Remove(LabPlaces places, CancellationToken cancel)
    {
        if (!Exists(places))
            return;
        var found = await Programs.Run("ip", ["netns", "pids", places.Namespace], TimeSpan.FromSeconds(10), cancel);
        var strays = found.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse).Where(id => id != Environment.ProcessId).ToList();
        await Recorded.EndStrays(strays, cancel);
        await Programs.Must("ip", ["netns", "delete", places.Namespace], cancel);
    }

    /// <summary>The command line that runs <paramref name="command"/> inside the lab's network.</summary>
    public static IReadOnlyList<string> Inside(LabPlaces places, IEnumerable<string> command) =>
        ["netns", "exec", places.Namespace, .. command];

    public static Task SetCable(LabPlaces places, Machine machine, bool plugged, CancellationToken cancel) =>
        Programs.Must("ip", ["-n", places.Namespace, "link", "set", machine.Tap, plugged ? "up" : "down"], cancel);

    public static async Task SetSlow(LabPlaces places, Machine machine, bool slow, CancellationToken cancel)
    {
        await Programs.Run("tc", ["-n", places.Namespace, "qdisc", "delete", "dev", machine.Tap, "root"], TimeSpan.FromSeconds(10), cancel);
        if (slow)
            await Programs.Must("tc", ["-n", places.Namespace, "qdisc", "add", "dev", machine.Tap, "root", "tbf", .. SlowRate], cancel);
    }
}
