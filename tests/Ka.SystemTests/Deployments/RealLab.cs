using System.Diagnostics;
using System.Text.Json;
using Ka.Protocol.Rest;

namespace Ka.SystemTests.Deployments;

/// <summary>How a command ended.</summary>
public sealed record Ended(int Status, string Output, string Talk)
{
    public override string ToString() => $"status {Status}\n{Output}\n{Talk}";
}

/// <summary>Four QEMU machines (two BIOS, two UEFI) with BMCs, and a server that a test may kill. Shared by all tests that deploy.</summary>
public sealed class RealLab : IAsyncLifetime
{
    /// <summary>Another name lets two runs live side by side.</summary>
    public static string Name { get; } = Environment.GetEnvironmentVariable("KA_TEST_LAB") ?? "systest";

    static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(250);

    /// <summary>For waits of minutes: each look is a program that starts, beside machines that are emulated.</summary>
    static readonly TimeSpan SlowPoll = TimeSpan.FromSeconds(5);
    Process? _server;
    string _clusterFile = "";
    string _originalCluster = "";

    /// <summary>Where images are kept between runs; test.sh builds them before.</summary>
    public static string Work { get; } = Environment.GetEnvironmentVariable("KA_TEST_WORK") ?? Path.Combine(Repository(), "artifacts", "test-work");

    public static string State => Path.Combine(Work, "lab");

    /// <summary>Steps that hold on an emulated machine that has little of a processor.</summary>
    public static string Patient(string boot = "kexec") => $$"""
        steps:
          minimal-env: [ { do: untrusted, level: hard, retries: 1, timeout: 300s, first-sign: 120s } ]
          boot: [ { do: {{boot}}, timeout: 300s }, { do: hard-reboot, timeout: 300s } ]
        """;

    public string Key => Path.Combine(Work, "id");

    public async ValueTask InitializeAsync()
    {
        Assert.SkipWhen(Environment.UserName != "root", "real machines need root for their network namespace");
        Directory.CreateDirectory(Work);
        await MustAsync("/bin/bash", [Path.Combine(Repository(), "packaging", "build-images.sh"), Work, "minimal", "tiny", "debian12"]);
        if (!File.Exists(Key))
            await MustAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", Key]);
        await RunAsync(Beside("ka-lab"), ["down", "--name", Name, "--purge"]);
        await MustAsync(Beside("ka-lab"), ["up", "4", "--name", Name, "--state", State, "--firmware", "mixed", "--minimal", Path.Combine(Work, "minimal")]);
        _clusterFile = Path.Combine(State, "site", "clusters", "lab.yaml");
        _originalCluster = await File.ReadAllTextAsync(_clusterFile);
    }

    public async ValueTask DisposeAsync()
    {
        Kill();
        await RunAsync(Beside("ka-lab"), ["down", "--name", Name, "--purge"]);
    }

    /// <summary>Starts the server, or starts it anew with other timeouts; every node is mended and off.</summary>
    /// <param name="layout">Changes the text of the cluster file.</param>
    public async Task ServeAsync(string steps, string deploySize = "rest", Func<string, string>? layout = null)
    {
        await ConfigureAsync(steps, text => layout?.Invoke(Sized(text)) ?? Sized(text));
        foreach (var node in (string[])["node1", "node2", "node3", "node4"])
        {
            await RunAsync(Beside("ka-lab"), ["mend", node, "--name", Name]);
            await MustAsync(Beside("ka-lab"), ["power", node, "off", "--name", Name]);
        }
        await StartAsync();
        await CleanAsync();

        string Sized(string text) => text.Replace("size: rest", "size: " + deploySize, StringComparison.Ordinal);
    }

    /// <summary>Starts the server anew with another cluster file, while the machines run on.</summary>
    public async Task ServeAnewAsync(string steps, Func<string, string> layout)
    {
        await ConfigureAsync(steps, layout);
        await StartAsync();
    }

    async Task ConfigureAsync(string steps, Func<string, string> layout)
    {
        Kill();
        await File.WriteAllTextAsync(_clusterFile, layout(_originalCluster) + "\n" + steps + "\n");
    }

    async Task CleanAsync()
    {
        foreach (var left in await RunningAsync()) // of a test that failed
        {
            await MustKaAsync("ops", "cancel", left);
            await EndAsync(left, TimeSpan.FromMinutes(2));
        }
        await MustKaAsync("env", "apply", "-f", Path.Combine(Work, "tiny", "tiny.yaml"));
    }

    public async Task StartAsync()
    {
        var log = Path.Combine(State, "kad-test.log");
        _server = Start("/bin/sh", ["-c", "exec ip netns exec \"$1\" \"$2\" run --config \"$3\" >>\"$4\" 2>&1", "sh", "ka-" + Name, Beside("kad"), Path.Combine(State, "site", "ka.yaml"), log]);
        await UntilAsync("the server answers", async () => (await KaAsync("ops", "ls")).Status == 0 ? "yes" : null, TimeSpan.FromSeconds(60));
    }

    /// <summary>SIGKILL: no chance to say goodbye.</summary>
    public void Kill()
    {
        if (_server is null)
            return;
        _server.Kill(entireProcessTree: true);
        _server.WaitForExit();
        _server.Dispose();
        _server = null;
    }

    public Task<Ended> KaAsync(params string[] arguments) => RunAsync(Beside("ka"), arguments);

    /// <summary>Runs ka on the machines' network, as on a site's front end.</summary>
    public Task<Ended> KaInsideAsync(params string[] arguments) => RunAsync("ip", ["netns", "exec", "ka-" + Name, Beside("ka"), .. arguments]);

    public async Task<Ended> MustKaAsync(params string[] arguments) => await MustAsync(Beside("ka"), arguments);

    public Task<Ended> LabAsync(params string[] arguments) => RunAsync(Beside("ka-lab"), [arguments[0], "--name", Name, .. arguments[1..]]);

    public async Task<string> SshAsync(string node, string command)
    {
        var ended = await RunAsync(Beside("ka-lab"), ["ssh", "--name", Name, node, "-i", Key, command]);
        Assert.True(ended.Status == 0, $"ssh {node}: {ended}");
        return ended.Output.Trim();
    }

    /// <summary>Starts a deployment and returns its id at once.</summary>
    public async Task<string> BeginAsync(string environment, string nodes)
    {
        var ended = await MustKaAsync("deploy", environment, "-w", nodes, "-k", Key + ".pub", "--no-wait");
        return ended.Output.Trim();
    }

    /// <summary>Starts <c>ka deploy</c> as a person does, who waits for its end; gives the id as soon as the operation is listed.</summary>
    public async Task<(string Id, Task<Ended> Ended)> BeginWaitingAsync(string environment, string nodes)
    {
        var before = await RunningAsync();
        var ended = KaAsync("deploy", environment, "-w", nodes, "-k", Key + ".pub", "--yes");
        var id = await UntilAsync("the operation is listed", async () => (await RunningAsync()).Except(before).FirstOrDefault(), TimeSpan.FromSeconds(60));
        return (id, ended);
    }

    async Task<string[]> RunningAsync()
    {
        var listed = await MustKaAsync("ops", "ls", "-o", "json");
        return [.. JsonSerializer.Deserialize(listed.Output, RestJson.Default.OperationReplyArray)!.Where(o => o.State == "running").Select(o => o.Id)];
    }

    public async Task<OperationReply> ShowAsync(string id)
    {
        var ended = await KaAsync("ops", "show", id, "-o", "json");
        return ended.Status == 0
            ? JsonSerializer.Deserialize(ended.Output, RestJson.Default.OperationReply)!
            : throw new InvalidOperationException(ended.ToString());
    }

    /// <summary>Waits until something holds of the operation; the time is only a stop for a test that hangs.</summary>
    public async Task<OperationReply> UntilAsync(string id, string what, Func<OperationReply, bool> holds, TimeSpan limit)
    {
        OperationReply? last = null;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < limit)
        {
            last = await ShowAsync(id);
            if (holds(last))
                return last;
            Assert.False(last.State != "running", $"{what}: the operation ended {last.State} before:\n{Summary(last)}");
            await Task.Delay(Poll);
        }
        throw new TimeoutException($"{what}: not within {limit}; {(last is null ? "" : Summary(last))}");
    }

    public async Task<OperationReply> EndAsync(string id, TimeSpan limit)
    {
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < limit)
        {
            var now = await ShowAsync(id);
            if (now.State != "running")
                return now;
            await Task.Delay(SlowPoll);
        }
        throw new TimeoutException($"{id} did not end within {limit}:\n{Summary(await ShowAsync(id))}");
    }

    public static async Task<string> UntilAsync(string what, Func<Task<string?>> look, TimeSpan limit)
    {
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < limit)
        {
            if (await look() is { } seen)
                return seen;
            await Task.Delay(limit > TimeSpan.FromMinutes(10) ? SlowPoll : Poll);
        }
        throw new TimeoutException($"{what}: not within {limit}");
    }

    public static string Summary(OperationReply operation) =>
        $"{operation.Id} {operation.State} ok={operation.Ok} failed={operation.Failed}\n"
        + string.Join('\n', operation.PerNode.Select(n => $"{n.Node} {n.State} {n.MacroName}/{n.Strategy}/{n.Step} try {n.Try} {n.Fault}")) + "\n"
        + string.Join('\n', operation.Failures.Select(f => $"{f.Nodes}: {f.Macro}/{f.Step} {f.Code}: {f.Message}\n{f.Evidence}"));

    internal static string Beside(string program) => Path.Combine(AppContext.BaseDirectory, program);

    internal static string Repository()
    {
        var at = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(at.FullName, "Ka.slnx")))
            at = at.Parent ?? throw new InvalidOperationException("the tests run outside a clone");
        return at.FullName;
    }

    static Process Start(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    public static async Task<Ended> RunAsync(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["KA_LAB"] = Name;
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var talk = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return new Ended(process.ExitCode, await output, await talk);
    }

    public static async Task<Ended> MustAsync(string program, IEnumerable<string> arguments)
    {
        var ended = await RunAsync(program, arguments);
        Assert.True(ended.Status == 0, $"{program} {string.Join(' ', arguments)}: {ended}");
        return ended;
    }
}

[CollectionDefinition("real machines")]
public sealed class RealMachines : ICollectionFixture<RealLab>;
