using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>One machine whose firmware enforces Secure Boot with Microsoft's keys, from the network to its own disk.</summary>
[Trait("scope", "wide")]
public sealed class SecureBoot : IAsyncLifetime
{
    static readonly string Name = Environment.GetEnvironmentVariable("KA_TEST_SECURE_LAB") ?? "secure";
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(40);

    /// <summary>Only kexec at the end: a locked kernel takes nothing but a signed one.</summary>
    const string Steps = """
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 1200s, first-sign: 300s } ]
          install: [ { do: chain, retries: 1, timeout: 3600s } ]
          boot: [ { do: kexec, timeout: 1800s } ]
        limits: { step-timeout: 3600s, gather: 300s }

        """;

    Process? _server;
    string _cluster = "";

    static string State => Path.Combine(RealLab.Work, "lab-" + Name);

    static string Key => Path.Combine(RealLab.Work, "id");

    static string Log => Path.Combine(State, "kad-test.log");

    static string Console => Path.Combine(State, "node1", "serial.log");

    public async ValueTask InitializeAsync()
    {
        Assert.SkipWhen(Environment.UserName != "root", "real machines need root for their network namespace");
        Directory.CreateDirectory(RealLab.Work);
        await RealLab.MustAsync("/bin/bash", [Path.Combine(RealLab.Repository(), "packaging", "build-images.sh"), RealLab.Work, "minimal", "debian12-full"]);
        if (!File.Exists(Key))
            await RealLab.MustAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", Key]);
        await LabAsync("down", "--purge");
        await RealLab.MustAsync(Beside("ka-lab"), [
            "up", "1", "--name", Name, "--state", State, "--firmware", "uefi-secure", "--memory", "768", "--disk", "4G", "--minimal", Path.Combine(RealLab.Work, "minimal")]);
        _cluster = await File.ReadAllTextAsync(Path.Combine(State, "site", "clusters", "lab.yaml"));
    }

    public async ValueTask DisposeAsync()
    {
        Stop();
        await LabAsync("down", "--purge");
    }

    [Fact]
    public async Task Debian_is_deployed_and_boots_from_its_disk_with_secure_boot_enforced_and_unsigned_loaders_are_refused()
    {
        await ServeAsync(_cluster);
        await MustKaAsync("env", "apply", "-f", Path.Combine(RealLab.Work, "debian12-full", "debian12-full.yaml"));
        var id = await MustKaAsync("deploy", "debian12-full", "-w", "node1", "-k", Key + ".pub", "--no-wait");
        var ended = await RealLab.UntilAsync($"{id} ends", async () =>
            JsonSerializer.Deserialize(await MustKaAsync("ops", "show", id, "-o", "json"), RestJson.Default.OperationReply) is { State: not "running" } reply ? RealLab.Summary(reply) : null, Patience);
        Assert.True(ended.StartsWith($"{id} done", StringComparison.Ordinal), ended);
        foreach (var stage in (string[])["ScriptFetched node1 grub.cfg", "KernelFetched node1 kernel", "InitrdFetched node1 initrd"])
            Assert.Contains(stage, await File.ReadAllTextAsync(Log), StringComparison.Ordinal);
        var first = await EnforcedAsync();

        // Its own disk, without any server: shim, GRUB and kernel of the image. Only ssh needs the server again, for an address.
        Stop();
        await PowerAsync("off");
        var from = new FileInfo(Console).Length;
        await MustLabAsync("exec", "--", "ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.1.1", "-U", "admin", "-f", Path.Combine(State, "bmc.password"), "chassis", "bootdev", "disk");
        await PowerAsync("on");
        await ShowsAsync(from, "login:");
        Assert.Contains("Secure boot enabled", await ConsoleAsync(from), StringComparison.Ordinal);
        Assert.DoesNotContain("Netboot", await ConsoleAsync(from), StringComparison.Ordinal);
        await ServeAsync(_cluster);
        var second = await EnforcedAsync(first);

        // Network first, as nodes usually stand: GRUB of the network hands over to the disk.
        await PowerAsync("off");
        await PowerAsync("on");
        await EnforcedAsync(first, second);

        // iPXE is not signed: this firmware must refuse it, or nothing above was proven.
        await ServeAsync(_cluster.Replace("secureBoot: true", "secureBoot: false", StringComparison.Ordinal));
        await PowerAsync("off");
        from = new FileInfo(Console).Length;
        await PowerAsync("on");
        await ShowsAsync(from, "Access Denied|Security Violation");
        Assert.Contains("snponly.efi", await ConsoleAsync(from), StringComparison.Ordinal);
    }

    /// <summary>Waits for a system that has not been seen yet and asks it for the state of Secure Boot; gives its boot.</summary>
    static async Task<string> EnforcedAsync(params string[] earlier)
    {
        var boot = await RealLab.UntilAsync("another system of node1 answers by ssh", async () =>
            await LabAsync("ssh", "node1", "-i", Key, "cat /proc/sys/kernel/random/boot_id") is { Status: 0, Output: var seen } && !earlier.Contains(seen.Trim()) ? seen.Trim() : null, Patience);
        var state = await MustLabAsync("ssh", "node1", "-i", Key, "od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-*; mokutil --sb-state; cat /sys/kernel/security/lockdown; cat /etc/os-release");
        Assert.Matches(@"\A\s*1\n", state);
        Assert.Contains("SecureBoot enabled", state, StringComparison.Ordinal);
        Assert.Contains("[integrity]", state, StringComparison.Ordinal);
        Assert.Contains("ID=debian", state, StringComparison.Ordinal);
        return boot;
    }

    static Task<string> ShowsAsync(long from, string pattern) => RealLab.UntilAsync(
        $"the console shows '{pattern}'", async () => Regex.IsMatch(await ConsoleAsync(from), pattern) ? "yes" : null, Patience);

    async Task ServeAsync(string cluster)
    {
        Stop();
        await File.WriteAllTextAsync(Path.Combine(State, "site", "clusters", "lab.yaml"), cluster + Steps);
        _server = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec ip netns exec \"$1\" \"$2\" run --config \"$3\" >>\"$4\" 2>&1", "sh", "ka-" + Name, Beside("kad"), Path.Combine(State, "site", "ka.yaml"), Log]))!;
        await RealLab.UntilAsync("the server answers", async () => (await KaAsync("ops", "ls")).Status == 0 ? "yes" : null, TimeSpan.FromMinutes(2));
    }

    void Stop()
    {
        _server?.Kill(entireProcessTree: true);
        _server?.WaitForExit();
        _server?.Dispose();
        _server = null;
    }

    static async Task<string> ConsoleAsync(long from)
    {
        await using var file = new FileStream(Console, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.Position = Math.Min(from, file.Length);
        using var reader = new StreamReader(file);
        return await reader.ReadToEndAsync();
    }

    static Task<string> PowerAsync(string verb) => MustLabAsync("power", "node1", verb);

    static Task<Ended> KaAsync(params string[] arguments) => RealLab.RunAsync("env", ["KA_LAB=" + Name, Beside("ka"), .. arguments]);

    static Task<Ended> LabAsync(params string[] arguments) => RealLab.RunAsync(Beside("ka-lab"), [arguments[0], "--name", Name, .. arguments[1..]]);

    static async Task<string> MustKaAsync(params string[] arguments) => Good(await KaAsync(arguments));

    static async Task<string> MustLabAsync(params string[] arguments) => Good(await LabAsync(arguments));

    static string Good(Ended ended)
    {
        Assert.True(ended.Status == 0, ended.ToString());
        return ended.Output.Trim('\n', '\r');
    }

    static string Beside(string program) => Path.Combine(AppContext.BaseDirectory, program);
}
