using System.Diagnostics;
using System.Runtime.InteropServices;
using Ka.SystemTests.Deployments;

namespace Ka.SystemTests.Broadcast;

/// <summary>A switch and machines on it, each a network namespace with one shaped link: host 0 is 10.78.0.1, and so on.</summary>
sealed class NamespaceNet : IAsyncDisposable
{
    static int _count;

    readonly string _name = $"kabc{Environment.ProcessId % 100000}x{Interlocked.Increment(ref _count)}";
    readonly List<Process> _processes = [];

    NamespaceNet(int hosts) => Hosts = hosts;

    public int Hosts { get; }

    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("ka-bcast-").FullName;

    /// <param name="rate">Of every link in both directions, as tc writes it: <c>200mbit</c>.</param>
    public static async Task<NamespaceNet> CreateAsync(int hosts, string rate)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root for network namespaces");
        var net = new NamespaceNet(hosts);
        var lines = new List<string> { $"netns add {net._name}", $"-n {net._name} link add br0 type bridge stp_state 0 forward_delay 0", $"-n {net._name} link set br0 up" };
        for (var i = 0; i < hosts; i++)
        {
            var own = net.Of(i);
            lines.Add($"netns add {own}");
            lines.Add($"-n {net._name} link add p{i} type veth peer name eth0 netns {own}");
            lines.Add($"-n {net._name} link set p{i} master br0 up");
            lines.Add($"-n {own} link set lo up");
            lines.Add($"-n {own} addr add {Address(i)}/16 dev eth0");
            lines.Add($"-n {own} link set eth0 up");
        }
        foreach (var line in lines)
            await RealLab.MustAsync("ip", line.Split(' '));
        for (var i = 0; i < hosts; i++)
        {
            await net.ShapeAsync(i, rate, first: true);
        }
        return net;
    }

    public static string Address(int host) => $"10.78.{(host + 1) / 250}.{((host + 1) % 250) + (host + 1 < 250 ? 0 : 1)}";

    string Of(int host) => $"{_name}h{host}";

    /// <summary>Limits what a host sends and what it gets.</summary>
    public async Task ShapeAsync(int host, string rate, bool first = false)
    {
        foreach (var (space, device) in ((string, string)[])[(Of(host), "eth0"), (_name, $"p{host}")])
            await RealLab.MustAsync("tc", ["-n", space, "qdisc", first ? "add" : "replace", "dev", device, "root", "tbf", "rate", rate, "burst", "128k", "latency", "50ms"]);
    }

    /// <summary>Runs something of this process on a host: its sockets, and those of threads that it starts, are there (setns(2)).</summary>
    public T On<T>(int host, Func<T> make)
    {
        T? made = default;
        Exception? broken = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var space = File.OpenHandle($"/run/netns/{Of(host)}");
                if (setns((int)space.DangerousGetHandle(), 0x40000000) != 0) // CLONE_NEWNET
                    throw new IOException($"setns: {Marshal.GetLastPInvokeError()}");
                made = make();
            }
            catch (Exception e)
            {
                broken = e;
            }
        });
        thread.Start();
        thread.Join();
        return broken is null ? made! : throw new InvalidOperationException($"on host {host}: {broken.Message}", broken);
    }

    [DllImport("libc", SetLastError = true)]
#pragma warning disable IDE1006 // the C library's name
    static extern int setns(int fd, int kind);
#pragma warning restore IDE1006

    public Task CutAsync(int host) => RealLab.MustAsync("ip", ["-n", _name, "link", "set", $"p{host}", "down"]);

    /// <summary>Starts a program on a host; its process is the program itself.</summary>
    public Process Start(int host, string program, params string[] arguments)
    {
        var process = Process.Start(new ProcessStartInfo("ip", ["netns", "exec", Of(host), program, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        _processes.Add(process);
        return process;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes)
        {
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }
        foreach (var space in Enumerable.Range(0, Hosts).Select(Of).Append(_name))
            await RealLab.RunAsync("ip", ["netns", "del", space]);
        System.IO.Directory.Delete(Directory, recursive: true);
    }
}
