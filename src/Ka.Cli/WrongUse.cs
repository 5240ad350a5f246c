using System.CommandLine;
using Ka.Core.Documents;

namespace Ka.Cli;

/// <summary>Says what a command line is not: each word that is not understood with the nearest that would be. Nothing on standard output.</summary>
static class WrongUse
{
    const int MostErrors = 20;

    public static int Say(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        var path = Path(command);
        var unknown = parsed.UnmatchedTokens.ToHashSet(StringComparer.Ordinal);
        foreach (var word in parsed.UnmatchedTokens.Take(MostErrors))
            Write($"{path} does not know '{DocumentError.Cut(word)}'{(Nearest(word, command) is { } near ? $"; did you mean '{near}'?" : "")}");
        foreach (var error in parsed.Errors.Select(e => e.Message).Where(m => !unknown.Any(u => m.Contains($"'{u}'", StringComparison.Ordinal))).Distinct().Take(MostErrors))
            if (unknown.Count == 0 || !error.StartsWith("Required command", StringComparison.Ordinal))
                Write(error.TrimEnd('.'));
        Console.Error.WriteLine($"  next: {path} --help");
        return ExitCodes.Usage;
    }

    static void Write(string what) => Console.Error.WriteLine(Terminal.Safe("ka: " + what));

    static string? Nearest(string word, Command command)
    {
        var known = Above(command).SelectMany((c, i) => c.Options.Where(o => !o.Hidden && (i == 0 || o.Recursive)).SelectMany(o => o.Aliases.Append(o.Name))).Concat(command.Subcommands.Select(c => c.Name));
        return Suggestion.Nearest(word.Split('=')[0], known.Where(k => k.StartsWith('-') == word.StartsWith('-')));
    }

    static IEnumerable<Command> Above(Command command) => command.Parents.OfType<Command>().SelectMany(Above).Prepend(command);

    static string Path(Command command) => command.Parents.OfType<Command>().FirstOrDefault() is { } above ? $"{Path(above)} {command.Name}" : "ka";
}
