using System.CommandLine;
using System.Diagnostics;

namespace Ka.Cli.Commands;

/// <summary>Commands that another program of the suite carries out: the server, the lab, the image scripts. Arguments pass through unchanged.</summary>
static class Neighbours
{
    public static Command Lab() => Through("lab", "A virtual cluster of real machines (QEMU, BMCs, a switch)", () => Program("Ka.Lab", "ka-lab"), []);

    public static Command ServerRun()
    {
        var server = new Command("server", "The server");
        server.Add(Through("run", "Run the server: ka server run --config FILE", () => Program("Ka.Server", "kad"), ["run"]));
        return server;
    }

    public static Command Config()
    {
        var config = new Command("config", "The site's configuration");
        config.Add(Through("check", "Say every error: ka config check --config FILE", () => Program("Ka.Server", "kad"), ["check"]));
        config.Add(Through("convert", "Make a configuration of Kadeploy3's: ka config convert /etc/kadeploy3 --out DIR", () => Program("Ka.Server", "kad"), ["convert"]));
        return config;
    }

    public static Command Sim() => Through("sim", "Deploy a cluster that does not exist: ka sim --nodes 10000 --seed 1", () => Program("Ka.Server", "kad"), ["sim"]);

    public static Command Minimal()
    {
        var minimal = new Command("minimal", "The minimal environment");
        minimal.Add(Through("build", "Build kernel and initramfs from Debian's packages: ka minimal build --out DIR [--kernel cloud|generic]", () => Script("minimal.sh"), [], AgentArguments));
        return minimal;
    }

    public static Command EnvBuild()
    {
        var build = new Command("build", "Build an environment from Debian's packages");
        build.Add(Through("tiny", "busybox and ssh, boots in seconds: ka env build tiny --out DIR", () => Script("tiny.sh"), []));
        build.Add(Through("debian12", "Debian 12 with systemd, ssh and GRUB: ka env build debian12 --out DIR", () => Script("debian12.sh"), []));
        return build;
    }

    static Command Through(string name, string description, Func<string?> find, string[] before, Func<string[], string[]>? more = null)
    {
        var rest = new Argument<string[]>("ARGUMENTS") { Arity = ArgumentArity.ZeroOrMore, Description = "Passed on unchanged" };
        var command = new Command(name, description) { rest };
        command.TreatUnmatchedTokensAsErrors = false;
        command.SetAction(parsed =>
        {
            // Everything after the command word, in its order, whatever this parser made of it.
            var words = Environment.GetCommandLineArgs().Skip(1).ToArray();
            var after = words.AsSpan()[(Array.IndexOf(words, name) + 1)..].ToArray();
            return Run(find(), name, [.. before, .. more?.Invoke(after) ?? [], .. after]);
        });
        return command;
    }

    static int Run(string? program, string name, string[] arguments)
    {
        if (program is null)
        {
            Console.Error.WriteLine($"ka: the program behind '{name}' is not installed beside ka");
            return ExitCodes.Unreachable;
        }
        var start = new ProcessStartInfo(program);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        // Ctrl-C reaches the whole foreground group; the neighbour decides what it means.
        Console.CancelKeyPress += (_, pressed) => pressed.Cancel = true;
        using var process = Process.Start(start)!;
        process.WaitForExit();
        return process.ExitCode;
    }

    static string[] AgentArguments(string[] given) =>
        given.Contains("--agent") || given.Contains("--help") || given.Contains("-h") || Find("ka-agent", "artifacts/publish/agent/ka-agent") is not { } agent ? [] : ["--agent", agent];

    static string? Program(string project, string name)
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Name;
        return Find(name, $"artifacts/bin/{project}/{configuration}/{name}");
    }

    static string? Script(string name) => Find(Path.Combine("images", name), Path.Combine("images", name)) ?? Existing(Path.Combine("/usr/share/ka/images", name));

    /// <summary>Beside this program, or in the clone it was built in.</summary>
    static string? Find(string beside, string inClone)
    {
        if (Existing(Path.Combine(AppContext.BaseDirectory, beside)) is { } found)
            return found;
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Ka.slnx")))
                return Existing(Path.Combine(at.FullName, inClone));
        return null;
    }

    static string? Existing(string path) => File.Exists(path) ? path : null;
}
