using System.CommandLine;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Protocol.Rest;

namespace Ka.Cli.Commands;

/// <summary><c>ka explain</c>, <c>ka version</c>, <c>ka completion</c>.</summary>
static class MetaCommands
{
    public static Command Explain()
    {
        var code = new Argument<string?>("CODE") { Arity = ArgumentArity.ZeroOrOne, Description = "As in boot.no_dhcp; none lists all" };
        var command = new Command("explain", "What a fault code means and what to do") { code };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(code) is not { } text)
            {
                Terminal.Table(["CODE", "MEANING"], FaultCodes.All.OrderBy(f => f.Code.Text, StringComparer.Ordinal).Select(f => new[] { f.Code.Text, f.Meaning }));
                return ExitCodes.Done;
            }
            if (FaultCodes.Explain(text) is not { } explained)
            {
                var near = Suggestion.Nearest(text, FaultCodes.All.Select(f => f.Code.Text));
                Console.Error.WriteLine($"ka: there is no code '{DocumentError.Cut(text)}'" + (near is null ? "" : $"; did you mean '{near}'?"));
                return ExitCodes.BadData;
            }
            Console.WriteLine($"{explained.Code}\n  {explained.Meaning}\n  next: {explained.Next}");
            return ExitCodes.Done;
        });
        return command;
    }

    public static Command Version()
    {
        var command = new Command("version", "Versions of this program and of the server");
        command.SetAction(async (parsed, cancel) =>
        {
            var mine = typeof(MetaCommands).Assembly.GetName().Version?.ToString(3);
            using var server = Common.Connect(parsed);
            var reply = await server.GetAsync("api/v1/version", RestJson.Default.VersionReply, cancel);
            if (Common.IsJson(parsed))
                Terminal.Json(new VersionReply("ka", mine ?? "0", reply.Value is { } v ? v.Version : ""), RestJson.Default.VersionReply);
            else
                Console.WriteLine($"ka {mine}\nserver {(reply.Value is { } s ? s.Version : "does not answer")}");
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>Each asks <c>ka</c> itself what may come next, so that it never lags behind the command model.</summary>
    public static readonly (string Shell, string File, string Script)[] Completions =
    [
        ("bash", "ka", "_ka() { local IFS=$'\\n'; COMPREPLY=($(ka \"[suggest:${COMP_POINT}]\" \"${COMP_LINE}\" 2>/dev/null)); }\ncomplete -F _ka ka"),
        ("zsh", "_ka", "#compdef ka\n_ka() { local -a found; found=(\"${(@f)$(ka \"[suggest:${CURSOR}]\" \"${BUFFER}\" 2>/dev/null)}\"); compadd -- $found; }\ncompdef _ka ka"),
        ("fish", "ka.fish", "complete -c ka -f -a '(ka \"[suggest:\"(commandline -C)\"]\" (commandline -cp) 2>/dev/null)'"),
    ];

    public static Command Completion()
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong([.. Completions.Select(c => c.Shell)]);
        var command = new Command("completion", "Print a completion script: source <(ka completion bash)") { shell };
        command.SetAction(parsed => Console.WriteLine(Completions.First(c => c.Shell == parsed.GetValue(shell)).Script));
        return command;
    }
}
