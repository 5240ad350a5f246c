using System.CommandLine;
using System.Text;

namespace Ka.Cli;

/// <summary>Manual pages in roff (man(7)) from the command model: <c>ka(1)</c>, and one page for each command.</summary>
static class ManPages
{
    /// <summary>File names and texts of all pages.</summary>
    public static IEnumerable<(string File, string Text)> All(RootCommand root) =>
        root.Subcommands.Where(c => !c.Hidden).Select(c => ($"ka-{c.Name}.1", Of(root, c))).Prepend(("ka.1", Whole(root)));

    static string Whole(RootCommand root)
    {
        var text = Head("ka", root.Description!);
        text.Append(".SH SYNOPSIS\n.B ka\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH COMMANDS\n");
        foreach (var command in root.Subcommands.Where(c => !c.Hidden))
            Item(text, $"\\fBka\\-{Text(command.Name)}\\fR(1)", command.Description!);
        Options(text, "OPTIONS OF EVERY COMMAND", root.Options);
        text.Append(".SH EXIT STATUS\n");
        foreach (var (code, meaning) in ExitCodes.Meanings)
            Item(text, $"\\fB{code}\\fR", meaning);
        text.Append(".SH FILES\n");
        Item(text, "\\fI/run/ka/kad.sock\\fR", "The server of this machine, where no other is named.");
        Item(text, "\\fI$XDG_CONFIG_HOME/ka/contexts.json\\fR", "Servers by short names: see ka-context(1).");
        Item(text, "\\fI$XDG_CONFIG_HOME/ka/token\\fR", "The token for a server that is reached by TLS.");
        return text.ToString();
    }

    /// <summary>The page of one command with all that are below it.</summary>
    public static string Of(RootCommand root, Command command)
    {
        var text = Head("ka-" + command.Name, command.Description!);
        text.Append(".SH SYNOPSIS\n");
        foreach (var leaf in Leaves(command))
            text.Append(".PP\n").Append(Synopsis(leaf, root)).Append('\n');
        if (command.Subcommands.Count == 0)
        {
            Arguments(text, command);
            Options(text, "OPTIONS", command.Options);
        }
        else
        {
            text.Append(".SH COMMANDS\n");
            foreach (var leaf in Leaves(command))
            {
                text.Append(".SS ").Append(Path(leaf, root)).Append('\n').Append(Paragraph(leaf.Description!));
                Items(text, leaf.Arguments.Where(a => !a.Hidden).Select(a => ($"\\fI{Text(a.Name)}\\fR", a.Description!)));
                Items(text, leaf.Options.Where(o => !o.Hidden).Select(o => (Names(o), o.Description!)));
            }
        }
        text.Append(".SH SEE ALSO\n.BR ka (1)\nfor the options of every command and the exit statuses.\n");
        return text.ToString();
    }

    static StringBuilder Head(string name, string description) =>
        new StringBuilder().Append($".TH {Text(name.ToUpperInvariant())} 1 \"\" \"Ka\" \"Ka\"\n.SH NAME\n{Text(name)} \\- {Text(description.Split(':')[0].TrimEnd('.'))}\n.SH DESCRIPTION\n").Append(Paragraph(description));

    static IEnumerable<Command> Leaves(Command command) => command.Hidden ? [] : command.Subcommands.Count == 0 ? [command] : command.Subcommands.SelectMany(Leaves);

    static string Path(Command command, RootCommand root) => (command.Parents.OfType<Command>().First() is var above && above == root ? "ka" : Path(above, root)) + " " + Text(command.Name);

    static string Synopsis(Command command, RootCommand root)
    {
        var words = command.Arguments.Where(a => !a.Hidden).Select(a => a.Arity.MinimumNumberOfValues == 0 ? $"[\\fI{Text(a.Name)}\\fR]" : $"\\fI{Text(a.Name)}\\fR");
        return $"\\fB{Path(command, root)}\\fR {string.Join(' ', command.Options.Where(o => o.Required).Select(Names).Concat(words).Append("[\\fIOPTIONS\\fR]"))}";
    }

    static void Arguments(StringBuilder text, Command command)
    {
        var shown = command.Arguments.Where(a => !a.Hidden).ToArray();
        if (shown.Length == 0)
            return;
        text.Append(".SH ARGUMENTS\n");
        Items(text, shown.Select(a => ($"\\fI{Text(a.Name)}\\fR", a.Description!)));
    }

    static void Options(StringBuilder text, string title, IEnumerable<Option> options)
    {
        var shown = options.Where(o => !o.Hidden).ToArray();
        if (shown.Length == 0)
            return;
        text.Append(".SH ").Append(title).Append('\n');
        Items(text, shown.Select(o => (Names(o), o.Description!)));
    }

    static string Names(Option option) => string.Join(", ", option.Aliases.Where(a => a.StartsWith('-')).OrderBy(a => a.Length).Append(option.Name).Select(n => $"\\fB{Text(n)}\\fR"))
        + (option.ValueType == typeof(bool) || option.ValueType == typeof(void) ? "" : option.Arity.MinimumNumberOfValues == 0 ? " [\\fIVALUE\\fR]" : " \\fIVALUE\\fR");

    static void Items(StringBuilder text, IEnumerable<(string Head, string Description)> items)
    {
        foreach (var (head, description) in items)
            Item(text, head, description);
    }

    static void Item(StringBuilder text, string head, string description) => text.Append(".TP\n").Append(head).Append('\n').Append(Paragraph(description));

    static string Paragraph(string words) => Text(words) + "\n";

    /// <summary>Words that roff prints as they are.</summary>
    internal static string Text(string words)
    {
        var text = words.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal).Replace('\n', ' ');
        return text is ['.' or '\'', ..] ? "\\&" + text : text;
    }
}
