using System.CommandLine;

namespace Ka.Cli.Commands;

/// <summary><c>ka context ls|use|add|rm</c>: the servers that somebody works with.</summary>
static class ContextCommands
{
    public static Command Build()
    {
        var context = new Command("context", "Servers by short names: -C NAME, or NAME:NODES in a node set");
        var list = new Command("ls", "List the contexts; the one in use has a star");
        list.SetAction(parsed => With(parsed, (contexts, _) => List(parsed, contexts)));
        context.Add(list);
        context.Add(Named("use", "Make a context the one that is meant when none is named", (parsed, name, contexts, path) =>
            contexts.Find(name) is null ? Unknown(name, contexts) : Write(contexts with { Current = name }, path, $"{name} is in use")));
        context.Add(Named("add", "Add a context, or put another in its place: its server is --server, with --token-file, --ca, --user and --password-file where it needs them", Add));
        context.Add(Named("rm", "Forget a context", (parsed, name, contexts, path) =>
            contexts.Find(name) is null ? Unknown(name, contexts) : Write(contexts.Without(name), path, $"{name} is forgotten")));
        return context;
    }

    static Command Named(string word, string description, Func<ParseResult, string, Contexts, string, int> run)
    {
        var name = new Argument<string>("NAME") { Description = "Letters, digits, dots, dashes; as in site1" };
        var command = new Command(word, description) { name };
        command.SetAction(parsed => With(parsed, (contexts, path) => run(parsed, parsed.GetValue(name)!, contexts, path)));
        return command;
    }

    static int With(ParseResult parsed, Func<Contexts, string, int> run)
    {
        var path = Common.ContextsPath(parsed);
        var (contexts, wrong) = Contexts.Read(path);
        if (wrong is null)
            return run(contexts, path);
        Console.Error.WriteLine(Terminal.Safe($"ka: {wrong}  (config.invalid)"));
        return ExitCodes.BadConfiguration;
    }

    static int List(ParseResult parsed, Contexts contexts)
    {
        if (Common.IsJson(parsed))
            Terminal.Json(contexts, ContextJson.Default.Contexts);
        else if (parsed.GetValue(Common.Output) == OutputForm.Name)
            foreach (var server in contexts.Servers)
                Console.WriteLine(server.Name);
        else
            Terminal.Table(["", "NAME", "SERVER", "PROOF"], contexts.Servers.Select(s => new[] { s.Name == contexts.Current ? "*" : "", s.Name, s.Server, s.TokenFile ?? s.Certificate ?? s.User ?? "" }));
        return ExitCodes.Done;
    }

    static int Add(ParseResult parsed, string name, Contexts contexts, string path)
    {
        if (!Contexts.IsName(name))
            return Terminal.Misused($"'{name}' is no name of a context: letters, digits, dots and dashes, not more than 63");
        if (parsed.GetValue(Common.Server) is not { } server || !Contexts.IsAddress(server))
            return Terminal.Misused("name the server with --server unix:PATH or --server https://HOST:PORT");
        var added = new ServerContext(name, server, Full(parsed.GetValue(Common.TokenFile)), Full(parsed.GetValue(Common.Authority)), parsed.GetValue(Common.User), Full(parsed.GetValue(Common.PasswordFile)),
            Full(parsed.GetValue(Common.Certificate)), Full(parsed.GetValue(Common.CertificateKey)));
        return Write(contexts.With(added), path, $"{name} is {server}");
    }

    static string? Full(string? path) => path is null ? null : Path.GetFullPath(path);

    static int Write(Contexts contexts, string path, string said)
    {
        try
        {
            contexts.Write(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(Terminal.Safe($"ka: {e.Message}  (config.invalid)"));
            return ExitCodes.BadConfiguration;
        }
        Console.Error.WriteLine(Terminal.Safe(said));
        return ExitCodes.Done;
    }

    internal static int Unknown(string name, Contexts contexts)
    {
        var near = Core.Documents.Suggestion.Nearest(name, contexts.Servers.Select(s => s.Name));
        return Terminal.Misused($"there is no context '{Core.Documents.DocumentError.Cut(name)}'" + (near is null ? "; add it: ka context add NAME --server ADDRESS" : $"; did you mean '{near}'?"));
    }
}
