using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>Four QEMU machines with disks of different kinds and a layout each, and their server. A lab of its own beside <see cref="RealLab"/>.</summary>
public sealed partial class LayoutLab : IAsyncLifetime
{
    static readonly string Name = Environment.GetEnvironmentVariable("KA_TEST_LAYOUT_LAB") ?? "layouts";
    Process? _server;
    string? _original;

    static string State => Path.Combine(RealLab.Work, "lab-" + Name);

    static string Key => Path.Combine(RealLab.Work, "id");

    /// <summary>Disks: node1 usual, node2 usual, node3 NVMe, node4 two on SATA.</summary>
    static readonly string[] Disks = ["4G", "node3=nvme:4G", "node4=sata:4G", "node4=sata:5G"];

    /// <summary>Patient: two processors may emulate four machines, and each makes an initramfs.</summary>
    const string Steps = """
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 1200s, first-sign: 300s } ]
          install: [ { do: chain, retries: 1, timeout: 3600s } ]
          boot: [ { do: kexec, timeout: 1800s } ]
        limits: { step-timeout: 3600s, gather: 300s }

        """;

    public async ValueTask InitializeAsync()
    {
        Assert.SkipWhen(Environment.UserName != "root", "real machines need root for their network namespace");
        Directory.CreateDirectory(RealLab.Work);
        await RealLab.MustAsync("/bin/bash", [Path.Combine(RealLab.Repository(), "packaging", "build-images.sh"), RealLab.Work, "minimal", "tiny", "debian12-full"]);
        if (!File.Exists(Key))
            await RealLab.MustAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", Key]);
        await LabAsync("down", "--purge");
        await RealLab.MustAsync(Beside("ka-lab"), [
            "up", "4", "--name", Name, "--state", State, "--firmware", "mixed", "--memory", "512", "--minimal", Path.Combine(RealLab.Work, "minimal"), .. Disks.SelectMany(d => (string[])["--disk", d])]);
    }

    public async ValueTask DisposeAsync()
    {
        Stop();
        await LabAsync("down", "--purge");
    }

    /// <summary>Gives each node its layout and starts the server.</summary>
    /// <param name="layouts">The lines below <c>disk:</c>, by node.</param>
    public async Task ServeAsync(IReadOnlyDictionary<string, string> layouts)
    {
        Stop();
        var file = Path.Combine(State, "site", "clusters", "lab.yaml");
        _original ??= await File.ReadAllTextAsync(file);
        var text = NodeLine().Replace(_original, line => layouts.TryGetValue(line.Groups[1].Value, out var layout)
            ? $"  {line.Groups[1].Value}:\n    mac: {line.Groups[2].Value}\n    address: {line.Groups[3].Value}\n    power: {line.Groups[4].Value}\n    disk:\n{Regex.Replace(layout.TrimEnd(), "^", "      ", RegexOptions.Multiline)}\n"
            : line.Value);
        await File.WriteAllTextAsync(file, text + Steps);
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec ip netns exec \"$1\" \"$2\" run --config \"$3\" >>\"$4\" 2>&1", "sh", "ka-" + Name, Beside("kad"), Path.Combine(State, "site", "ka.yaml"), Log]);
        _server = Process.Start(start)!;
        await RealLab.UntilAsync("the server answers", async () => (await KaAsync("ops", "ls")).Status == 0 ? "yes" : null, TimeSpan.FromMinutes(2));
    }

    public static string Log => Path.Combine(State, "kad-test.log");

    public void Stop()
    {
        _server?.Kill(entireProcessTree: true);
        _server?.WaitForExit();
        _server?.Dispose();
        _server = null;
    }

    public static Task<Ended> KaAsync(params string[] arguments) => RealLab.RunAsync("env", ["KA_LAB=" + Name, Beside("ka"), .. arguments]);

    public static async Task<string> MustKaAsync(params string[] arguments)
    {
        var ended = await KaAsync(arguments);
        Assert.True(ended.Status == 0, $"ka {string.Join(' ', arguments)}: {ended}");
        return ended.Output.Trim();
    }

    public static Task<Ended> LabAsync(params string[] arguments) => RealLab.RunAsync(Beside("ka-lab"), [arguments[0], "--name", Name, .. arguments[1..]]);

    /// <summary>udev of an emulated machine under load needs more than systemd's 90 s to show a disk.</summary>
    const string Patient = """

        files:
          /etc/systemd/system.conf.d/patient.conf: "[Manager]\nDefaultDeviceTimeoutSec=900\n"

        """;

    /// <summary>Registers debian12-full with another file system for its root.</summary>
    public static async Task<string> RegisterAsync(string fileSystem)
    {
        var folder = Path.Combine(RealLab.Work, "debian12-full");
        var description = await File.ReadAllTextAsync(Path.Combine(folder, "debian12-full.yaml"));
        var name = "full-" + fileSystem;
        var file = Path.Combine(folder, name + ".yaml");
        await File.WriteAllTextAsync(file, description.Replace("name: debian12-full", "name: " + name, StringComparison.Ordinal).Replace("filesystem: ext4", "filesystem: " + fileSystem, StringComparison.Ordinal) + Patient);
        await MustKaAsync("env", "apply", "-f", file);
        return name;
    }

    public static Task<string> BeginAsync(string environment, string nodes) => MustKaAsync("deploy", environment, "-w", nodes, "-k", Key + ".pub", "--no-wait");

    public static async Task DoneAsync(string id, TimeSpan limit)
    {
        var ended = await EndAsync(id, limit);
        Assert.True(ended.StartsWith($"{id} done", StringComparison.Ordinal), ended);
    }

    /// <summary>Waits for the end of an operation, however it ends, and gives its summary.</summary>
    public static Task<string> EndAsync(string id, TimeSpan limit) => RealLab.UntilAsync(
        $"{id} ends",
        async () => JsonSerializer.Deserialize(await MustKaAsync("ops", "show", id, "-o", "json"), RestJson.Default.OperationReply) is { State: not "running" } ended ? RealLab.Summary(ended) : null,
        limit);

    /// <summary>Waits until the node answers and gives what the command printed.</summary>
    public static Task<string> SshAsync(string node, string command) => RealLab.UntilAsync(
        $"{node} answers by ssh", async () => await LabAsync("ssh", node, "-i", Key, command) is { Status: 0 } ended ? ended.Output.Trim() : null, TimeSpan.FromMinutes(20));

    /// <summary>Switches a machine off and on again, its own disk first.</summary>
    public static async Task BootOwnDiskAsync(string node)
    {
        string[] bmc = ["exec", "--", "ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.1." + node["node".Length..], "-U", "admin", "-f", Path.Combine(State, "bmc.password")];
        foreach (var words in (string[][])[["chassis", "power", "off"], ["chassis", "bootdev", "disk"], ["chassis", "power", "on"]])
        {
            var ended = await LabAsync([.. bmc, .. words]);
            Assert.True(ended.Status == 0, ended.ToString());
        }
    }

    public static long ConsoleLength(string node) => new FileInfo(Path.Combine(State, node, "serial.log")).Length;

    public static Task<string> ConsoleShowsAsync(string node, long from, string what) => RealLab.UntilAsync(
        $"{node} shows '{what}'", async () => (await ConsoleAsync(node, from)).Contains(what, StringComparison.Ordinal) ? "yes" : null, TimeSpan.FromMinutes(30));

    static async Task<string> ConsoleAsync(string node, long from)
    {
        await using var file = new FileStream(Path.Combine(State, node, "serial.log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.Position = Math.Min(from, file.Length);
        using var reader = new StreamReader(file);
        return await reader.ReadToEndAsync();
    }

    /// <summary>Types at the serial console, as a person would.</summary>
    public static async Task TypeAsync(string node, string line)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint($"/run/ka/lab/{Name}/{node}.serial"));
        await socket.SendAsync(Encoding.ASCII.GetBytes(line + "\r"));
        await Task.Delay(TimeSpan.FromSeconds(2)); // the emulated port takes a character at a time
    }

    static string Beside(string program) => Path.Combine(AppContext.BaseDirectory, program);

    [GeneratedRegex("""^  (node\d+): \{ mac: ("[^"]*"), address: ([0-9.]+), power: (\{[^}]*\}) \}\n""", RegexOptions.Multiline)]
    private static partial Regex NodeLine();
}
