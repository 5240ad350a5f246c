using System.Diagnostics;
using Ka.Core.Documents;
using Ka.Core.Nodes;
using Ka.Server.Configuration;
using Ka.Server.Configuration.Conversion;
using Ka.Simulation;

namespace Ka.Server.Hosting;

/// <summary>What <c>kad</c> does: <c>run</c>, <c>check</c>, <c>convert</c>, <c>sim</c>. People reach them as <c>ka server run</c>, <c>ka config check</c>, <c>ka config convert</c>, <c>ka sim</c>.</summary>
public static class ServerCommands
{
    /// <summary>Where the configuration is when nobody says.</summary>
    public const string DefaultConfiguration = "/etc/ka/ka.yaml";

    public const int Usage = 2, BadData = 65, Internal = 70, BadConfiguration = 78;

    public static async Task<int> RunAsync(string[] args)
    {
        try
        {
            return args switch
            {
                ["run"] => await ServeAsync(DefaultConfiguration),
                ["run", "--config", var path] => await ServeAsync(path),
                ["check"] => Check(DefaultConfiguration),
                ["check", "--config", var path] => Check(path),
                ["convert", var from, "--out", var to] => Convert(from, to),
                ["sim", "broadcast", .. var words] => BroadcastSimulation.Run(words, Console.Out, Console.Error),
                ["sim", .. var options] => Simulate(options),
                _ => Misused("usage: kad run [--config FILE] | kad check [--config FILE] | kad convert DIRECTORY --out DIRECTORY | kad sim --nodes N [--seed S] [--loss P] [--fault TEXT] | kad sim broadcast --nodes N [--bytes S] [--link R] [--latency T] [--way W] [--deaths N]"),
            };
        }
        catch (Exception bug)
        {
            await Console.Error.WriteLineAsync($"kad: {bug.Message}");
            if (bug is not IOException)
                await Console.Error.WriteLineAsync(bug.ToString());
            return Internal;
        }
    }

    static async Task<int> ServeAsync(string path)
    {
        var reading = SiteReader.Read(path);
        foreach (var finding in reading.Findings)
            await Console.Error.WriteLineAsync(finding.ToString());
        if (reading.Site is null)
            return BadConfiguration;
        await using var app = ServerApp.Build(reading.Site);
        app.Lifetime.ApplicationStarted.Register(() => Task.Run(() => Api.FirstAnswer.PrepareAsync(reading.Site, app.Lifetime.ApplicationStopping)));
        await app.RunAsync();
        return 0;
    }

    static int Check(string path)
    {
        var reading = SiteReader.Read(path);
        foreach (var finding in reading.Findings)
            Console.WriteLine(finding);
        var errors = reading.Findings.Count(f => f.Error.Severity == Severity.Error);
        Console.WriteLine(reading.Site is null
            ? $"{errors} error(s), {reading.Findings.Length - errors} warning(s)"
            : $"{path}: good; {reading.Site.Clusters.Length} cluster(s), {reading.Site.AllNodes.Count()} node(s)");
        return reading.Site is null ? BadConfiguration : 0;
    }

    /// <summary>Makes Ka's configuration of Kadeploy3's in a directory that is new or empty.</summary>
    static int Convert(string from, string to)
    {
        if (Directory.Exists(to) && Directory.EnumerateFileSystemEntries(to).Any())
            return Misused($"kad convert: {to} is not empty");
        var converted = SiteConversion.Convert(from);
        foreach (var note in converted.Notes)
            Console.Error.WriteLine(note);
        if (converted.Failed)
            return BadData;
        foreach (var (path, text) in converted.Files)
        {
            var file = Path.Combine(to, path);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, text);
            if (path.EndsWith(".sh", StringComparison.Ordinal))
                File.SetUnixFileMode(file, File.GetUnixFileMode(file) | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
            Console.WriteLine(file);
        }
        return 0;
    }

    static int Simulate(string[] options)
    {
        var (nodes, seed, loss) = (10_000, 1UL, 0.01);
        var faults = new List<string>();
        for (var i = 0; i < options.Length; i += 2)
        {
            var value = i + 1 < options.Length ? options[i + 1] : "";
            var good = options[i] switch
            {
                "--nodes" => int.TryParse(value, out nodes) && nodes is > 0 and <= 100_000,
                "--seed" => ulong.TryParse(value, out seed),
                "--loss" => double.TryParse(value, out loss) && loss is >= 0 and <= 1,
                "--fault" => Add(value),
                _ => false,
            };
            if (!good)
                return Misused($"kad sim: '{options[i]} {value}' is not understood; --nodes 1-100000, --seed N, --loss 0-1, --fault 'NODES BEHAVIOUR'");
        }
        var roster = new Roster([.. Enumerable.Range(1, nodes).Select(i => $"node{i}")]);
        if (!FaultPlan.TryParse(faults, roster, out var plan, out var error))
            return Misused($"kad sim: {error}");
        var clock = Stopwatch.StartNew();
        var outcome = SimulatedDeployment.Run(roster, seed, SimulatedHardware.Sound with { Loss = loss }, plan);
        Console.WriteLine($"nodes     {nodes}");
        Console.WriteLine($"seed      {seed}");
        Console.WriteLine($"ok        {outcome.Ok.Count}");
        Console.WriteLine($"failed    {outcome.Ko.Count}");
        foreach (var (code, count) in outcome.Causes)
            Console.WriteLine($"  {count,6}  {code}");
        Console.WriteLine($"virtual   {outcome.Elapsed:hh\\:mm\\:ss}");
        Console.WriteLine($"journal   {outcome.Journal.Length} entries, sha256 {outcome.JournalHash}");
        Console.Error.WriteLine($"took {clock.Elapsed.TotalSeconds:0.0} s");
        return outcome.Ok.Count == nodes ? 0 : outcome.Ok.Count == 0 ? 1 : 3;

        bool Add(string text)
        {
            faults.Add(text);
            return true;
        }
    }

    static int Misused(string message)
    {
        Console.Error.WriteLine(message);
        return Usage;
    }
}
