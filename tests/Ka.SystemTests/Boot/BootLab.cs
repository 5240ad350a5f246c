using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using Ka.Boot;
using Ka.Boot.Http;
using Ka.Core.BootProfiles;
using Ka.Core.NodeSets;
using Ka.Tests.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace Ka.SystemTests.Boot;

/// <summary>
/// A network of its own (a namespace with a bridge and one tap) with a running boot server for one node in it. Everything is gone
/// after disposal.
/// </summary>
internal sealed partial class BootLab : IAsyncDisposable, IBootDirectory
{
    public const string Key = "5e1f00d5e1f00d5e1f00d5e1f00d5e1f";
    private static int _count;

    private readonly string _namespace = $"kaboot{Environment.ProcessId}x{Interlocked.Increment(ref _count)}";
    private readonly Channel<BootEvent> _events = Channel.CreateUnbounded<BootEvent>();
    private readonly List<Process> _processes = [];
    private readonly List<string> _namespaces = [];
    private BootServer? _server;
    private WebApplication? _web;

    public string Directory { get; } = System.IO.Directory.CreateTempSubdirectory("ka-boot-").FullName;

    public MacAddress Mac { get; } = MacAddress.Parse("52:54:00:77:00:01");

    public BootProfile Profile { get; set; } = new BootProfile.LocalDisk();

    /// <summary>Paths asked for by HTTP.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    public ChannelReader<BootEvent> Events => _events.Reader;

    public string SerialLog => Path.Combine(Directory, "serial.log");

    public static async Task<BootLab> Start(DhcpMode mode = DhcpMode.Full)
    {
        var lab = new BootLab();
        lab.Run("ip", "netns", "add", lab._namespace);
        lab._namespaces.Add(lab._namespace);
        lab.Ip("link", "set", "lo", "up");
        lab.Ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0");
        lab.Ip("addr", "add", "10.77.0.1/24", "dev", "br0");
        lab.Ip("link", "set", "br0", "up");
        lab.Ip("tuntap", "add", "dev", "tap0", "mode", "tap");
        lab.Ip("link", "set", "tap0", "master", "br0");
        lab.Ip("link", "set", "tap0", "up");
        await lab.Serve(mode);
        return lab;
    }

    /// <summary>Puts a file into the lab's directory.</summary>
    public string File(string name, byte[] content)
    {
        var path = Path.Combine(Directory, name);
        System.IO.File.WriteAllBytes(path, content);
        return path;
    }

    /// <summary>Starts the node; it boots from the network first, then from the disk. With UEFI the card has no iPXE of its own.</summary>
    public Process PowerOn(bool uefi = false)
    {
        var disk = File("disk.img", TinyKernel.Disk());
        List<string> arguments =
        [
            "netns", "exec", _namespace, "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc,graphics=off",
            "-accel", "tcg,thread=multi,tb-size=64", "-cpu", "max", "-smp", "1", "-m", uefi ? "384" : "128",
            "-chardev", $"file,id=ser0,path={SerialLog}", "-serial", "chardev:ser0",
            "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no", "-device", $"virtio-net-pci,netdev=n0,mac={Mac},bootindex=1{(uefi ? ",romfile=" : "")}",
            "-drive", $"file={disk},if=none,id=d0,format=raw,cache=unsafe", "-device", "virtio-blk-pci,drive=d0,bootindex=2",
            "-object", "rng-builtin,id=rng0", "-device", "virtio-rng-pci,rng=rng0",
        ];
        if (uefi)
        {
            var variables = File("vars.fd", System.IO.File.ReadAllBytes("/usr/share/OVMF/OVMF_VARS_4M.fd"));
            arguments.AddRange(["-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"]);
            arguments.AddRange(["-drive", $"if=pflash,format=raw,unit=1,file={variables}"]);
        }

        var machine = Process.Start(new ProcessStartInfo("ip", arguments))!;
        _processes.Add(machine);
        return machine;
    }

    /// <summary>Another DHCP server on the same wire, behind a link of its own, that gives the node its address and nothing else.</summary>
    public void StartOtherDhcp()
    {
        var other = _namespace + "o";
        Run("ip", "netns", "add", other);
        _namespaces.Add(other);
        Ip("link", "add", "dhcp0", "type", "veth", "peer", "name", "eth0", "netns", other);
        Ip("link", "set", "dhcp0", "master", "br0");
        Ip("link", "set", "dhcp0", "up");
        Run("ip", "-n", other, "addr", "add", "10.77.0.2/24", "dev", "eth0");
        Run("ip", "-n", other, "link", "set", "eth0", "up");
        _processes.Add(Process.Start("ip", [
            "netns", "exec", other, "dnsmasq", "-k", "-C", "/dev/null", "--port=0", "--user=root", "--pid-file=", "--log-facility=/dev/null",
            "--interface=eth0", "--bind-interfaces", "--no-ping", "--dhcp-authoritative", "--leasefile-ro", "--dhcp-range=10.77.0.0,static,255.255.255.0",
            $"--dhcp-host={Mac},10.77.0.101"]));
    }

    /// <summary>Runs a program inside the network and gives its standard output.</summary>
    public byte[] RunInside(params string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo("ip", ["netns", "exec", _namespace, .. command]) { RedirectStandardOutput = true })!;
        using var output = new MemoryStream();
        process.StandardOutput.BaseStream.CopyTo(output);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return output.ToArray();
    }

    /// <summary>Reads events until one of the kind wanted comes.</summary>
    public async Task<BootEvent> Event(BootEventKind kind, CancellationToken cancel)
    {
        while (true)
        {
            var seen = await _events.Reader.ReadAsync(cancel);
            if (seen.Kind == kind)
            {
                return seen;
            }
        }
    }

    /// <summary>Waits until the node wrote a character to its serial line, and gives everything it wrote.</summary>
    public async Task<string> Serial(char until, CancellationToken cancel)
    {
        while (true)
        {
            using var stream = new FileStream(SerialLog, FileMode.OpenOrCreate, FileAccess.Read, FileShare.ReadWrite);
            using var reader = new StreamReader(stream, System.Text.Encoding.Latin1);
            var text = await reader.ReadToEndAsync(cancel);
            if (text.Contains(until))
            {
                return text;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(200), cancel);
        }
    }

    public bool TryFindByMac(MacAddress mac, out BootNode node)
    {
        node = new(NodeName.Parse("gris-1"), Mac, IPAddress.Parse("10.77.0.101"), Key, Profile);
        return mac == Mac;
    }

    public bool TryFindByKey(string key, out BootNode node) => TryFindByMac(Mac, out node) && key == Key;

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _processes)
        {
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }

        if (_server is not null)
        {
            await _server.DisposeAsync();
        }

        if (_web is not null)
        {
            await _web.DisposeAsync();
        }

        foreach (var name in _namespaces)
        {
            Run("ip", "netns", "del", name);
        }

        System.IO.Directory.Delete(Directory, recursive: true);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setns(int descriptor, int kind);

    private async Task Serve(DhcpMode mode)
    {
        var address = IPAddress.Parse("10.77.0.1");
        var settings = new BootSettings("br0", address, new("http://10.77.0.1:8080/"), [new(IPNetwork.Parse("10.77.0.0/24"), null, [], null)]) { Mode = mode };
        _server = new(settings, this, _events.Writer, TimeProvider.System);
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        InNamespace(() =>
        {
            _server.Start();
            listener.Dispose();
            listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(address, 8080));
            listener.Listen();
        });
        var builder = QuietSite.Builder();
        builder.WebHost.ConfigureKestrel(options => options.ListenHandle((ulong)listener.SafeHandle.DangerousGetHandle()));
        _web = builder.Build();
        _web.Use((context, next) =>
        {
            Requests.Enqueue(context.Request.Path);
            return next(context);
        });
        _web.MapBoot(_server);
        await _web.StartAsync();
        listener.SafeHandle.SetHandleAsInvalid();
    }

    /// <summary>Sockets belong to the network of the thread that opens them.</summary>
    private void InNamespace(Action action)
    {
        ExceptionDispatchInfo? broken = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var handle = System.IO.File.OpenHandle($"/run/netns/{_namespace}");
                Assert.Equal(0, setns((int)handle.DangerousGetHandle(), 0x40000000));
                action();
            }
            catch (Exception exception)
            {
                broken = ExceptionDispatchInfo.Capture(exception);
            }
        });
        thread.Start();
        thread.Join();
        broken?.Throw();
    }

    private void Ip(params string[] arguments) => Run("ip", ["-n", _namespace, .. arguments]);

    private void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}");
    }
}
