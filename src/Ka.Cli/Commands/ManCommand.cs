using System.CommandLine;

namespace Ka.Cli.Commands;

/// <summary><c>ka man</c>: the manual pages, and the files that a package brings.</summary>
static class ManCommand
{
    public static Command Build(RootCommand root)
    {
        var page = new Argument<string?>("COMMAND") { Arity = ArgumentArity.ZeroOrOne, Description = "As in deploy; none is ka itself" };
        var all = new Option<string?>("--all") { Description = "Write all pages into man1/ and the completions into completions/ of this directory" };
        var command = new Command("man", "Print a manual page in roff: ka man deploy | man -l -") { page, all };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(all) is { } directory)
                return Write(root, directory);
            var name = parsed.GetValue(page) is { } word ? $"ka-{word}.1" : "ka.1";
            foreach (var (_, text) in ManPages.All(root).Where(p => p.File == name))
            {
                Console.Write(text);
                return ExitCodes.Done;
            }
            return Terminal.Misused($"there is no command '{Core.Documents.DocumentError.Cut(parsed.GetValue(page)!)}'");
        });
        return command;
    }

    static int Write(RootCommand root, string directory)
    {
        try
        {
            foreach (var (part, files) in ((string, IEnumerable<(string File, string Text)>)[])
                [("man1", ManPages.All(root)), ("completions", MetaCommands.Completions.Select(c => (c.File, c.Script + "\n")))])
            {
                Directory.CreateDirectory(Path.Combine(directory, part));
                foreach (var (file, text) in files)
                    File.WriteAllText(Path.Combine(directory, part, file), text);
            }
            return ExitCodes.Done;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: {e.Message}"));
            return ExitCodes.BadData;
        }
    }
}
