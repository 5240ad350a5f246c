using System.CommandLine;
using System.Net.Sockets;

namespace Ka.Lab;

/// <summary>The commands about one node, and those that run something inside the lab's network.</summary>
public static partial class Commands
{
    private static Command Power()
    {
        var node = NodeArgument();
        var what = new Argument<string>("WHAT") { Description = "on, off or reset" };
        what.AcceptOnlyFromAmong("on", "off", "reset");
        var command = new Command("power", "Press a node's buttons directly, not through its BMC") { node, what };
        command.SetAction(async (parsed, cancel) =>
        {
            NeedRoot();
            var machine = new Lab(Places(parsed)).Node(parsed.GetValue(node)!);
            await (parsed.GetValue(what) switch
            {
                "on" => machine.PowerOn(cancel),
                "off" => machine.PowerOff(cancel),
                _ => machine.Reset(cancel),
            });
            return 0;
        });
        return command;
    }

    private static Option<string?> HowOption(string description)
    {
        var how = new Option<string?>("--how") { Description = description };
        how.AcceptOnlyFromAmong([.. Enum.GetValues<Breakage>().Select(Spelling.Of)]);
        return how;
    }

    private static Command Break()
    {
        var node = NodeArgument();
        var how = HowOption("cable: network out; hang: processor stands still; off: no power; disk-full: a 64 MiB disk from the next power-on; slow: 10 Mbit/s and 2 MB/s");
        how.Required = true;
        var command = new Command("break", "Damage a node until it is mended") { node, how };
        command.SetAction(async (parsed, cancel) =>
        {
            NeedRoot();
            Spelling.TryBreakage(parsed.GetValue(how)!, out var breakage);
            await new Lab(Places(parsed)).Node(parsed.GetValue(node)!).Break(breakage, cancel);
            return 0;
        });
        return command;
    }

    private static Command Mend()
    {
        var node = NodeArgument();
        var how = HowOption("What to mend (default: everything)");
        var command = new Command("mend", "Undo what 'break' did; power stays as it is") { node, how };
        command.SetAction(async (parsed, cancel) =>
        {
            NeedRoot();
            var given = parsed.GetValue(how);
            Breakage? breakage = given is not null && Spelling.TryBreakage(given, out var known) ? known : null;
            await new Lab(Places(parsed)).Node(parsed.GetValue(node)!).Mend(breakage, cancel);
            return 0;
        });
        return command;
    }

    private static Command ConsoleCommand()
    {
        var node = NodeArgument();
        var command = new Command("console", "Attach this terminal to a node's serial line; Ctrl-] leaves") { node };
        command.SetAction(async (parsed, cancel) =>
        {
            var places = Places(parsed);
            var machine = new Lab(places).Facts.Find(parsed.GetValue(node)!);
            try
            {
                return await Terminal.Attach(places.SerialSocket(machine), cancel);
            }
            catch (SocketException)
            {
                throw new LabException($"{machine.Name} has no serial line now: it is off, or another console is attached. Its log is {places.SerialLog(machine)}.", 69);
            }
        });
        return command;
    }

    private static Command Ssh()
    {
        var node = NodeArgument();
        var key = new Option<string?>("-i", "--identity") { Description = "Private key file" };
        var hosts = new Option<string?>("--known-hosts") { Description = "Check the node's host key against this file (default: not checked)" };
        var words = new Argument<string[]>("COMMAND") { Arity = ArgumentArity.ZeroOrMore, Description = "What to run; an interactive session without it" };
        var command = new Command("ssh", "Log in to a node as root, or run a command there; the status is ssh's") { node, key, hosts, words };
        command.SetAction(async (parsed, _) =>
        {
            NeedRoot();
            Programs.Need(["ssh"]);
            var places = Places(parsed);
            var machine = new Lab(places).Facts.Find(parsed.GetValue(node)!);
            return await Programs.Attached("ip", Switch.Inside(places,
                SshCommand.Build(machine, parsed.GetValue(key), parsed.GetValue(hosts), parsed.GetValue(words) ?? [])));
        });
        return command;
    }

    private static Command Exec()
    {
        var words = new Argument<string[]>("COMMAND") { Arity = ArgumentArity.OneOrMore, Description = "Program and arguments" };
        var command = new Command("exec", "Run a program inside the lab's network: ka-lab exec -- COMMAND…; the status is its own") { words };
        command.SetAction(async (parsed, _) =>
        {
            NeedRoot();
            var places = Places(parsed);
            if (!Switch.Exists(places))
                throw new LabException($"The lab '{places.Name}' has no network now; make it with 'ka-lab up'.", 69);
            return await Programs.Attached("ip", Switch.Inside(places, parsed.GetValue(words)!));
        });
        return command;
    }

    private static Command ChassisCommand()
    {
        var node = NodeArgument();
        var words = new Argument<string[]>("WORDS") { Arity = ArgumentArity.OneOrMore };
        var command = new Command("chassis", "What a BMC does to its node") { node, words };
        command.Hidden = true;
        command.SetAction((parsed, cancel) => Chassis.Do(new Lab(Places(parsed)).Node(parsed.GetValue(node)!), parsed.GetValue(words)!, cancel));
        return command;
    }

    private static Command RouterCommand()
    {
        var command = new Command("router", "Answer router solicitations inside the lab's network") { Hidden = true };
        command.SetAction((_, cancel) => Router.Run(cancel));
        return command;
    }
}

/// <summary>ssh's argument list for a node. Pure.</summary>
public static class SshCommand
{
    public static IReadOnlyList<string> Build(Machine machine, string? key, string? knownHosts, IReadOnlyList<string> command)
    {
        List<string> arguments =
        [
            "ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR",
            "-o", $"StrictHostKeyChecking={(knownHosts is null ? "no" : "yes")}",
            "-o", $"UserKnownHostsFile={knownHosts ?? "/dev/null"}",
        ];
        if (key is not null)
            arguments.AddRange(["-i", key, "-o", "IdentitiesOnly=yes"]);
        return [.. arguments, $"root@{machine.Address}", .. command];
    }
}
