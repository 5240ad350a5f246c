using System.CommandLine;

namespace Ka.Cli.Commands;

/// <summary>A node set; where it is of several servers, the command is carried out on each of them with its part.</summary>
sealed class NodesOption() : Option<string?>("--nodes", "-w")
{
    public string? Read(ParseResult parsed) => SiteRun.Current?.Nodes ?? parsed.GetValue(this);
}

/// <summary>How every command that works on nodes is told which.</summary>
sealed class Selection
{
    public readonly NodesOption Nodes = new() { Description = "Node set, as in node[1-4,7]; of several servers: site1:node[1-4],site2:node[1-4]" };
    public readonly Option<string?> Without = new("--exclude", "-x") { Description = "But not these nodes" };
    public readonly Option<string?> File = new("--nodes-file") { Description = "File with node sets, one a line; - is standard input" };

    readonly Func<string, string?> _variable;

    /// <param name="variable">Of the environment, where a batch job's nodes are.</param>
    public Selection(Command command, Func<string, string?>? variable = null)
    {
        _variable = variable ?? Environment.GetEnvironmentVariable;
        command.Add(Nodes);
        command.Add(Without);
        command.Add(File);
    }

    /// <summary>The parts of a node set between commas: each is taken away by itself, because operators are read from left to right.</summary>
    internal static IEnumerable<string> Terms(string set)
    {
        var (depth, begin) = (0, 0);
        for (var i = 0; i < set.Length; i++)
        {
            depth += set[i] switch { '[' => 1, ']' => -1, _ => 0 };
            if (depth != 0 || set[i] != ',')
                continue;
            yield return set[begin..i];
            begin = i + 1;
        }
        yield return set[begin..];
    }

    /// <summary>What a command line says of nodes, before it is known whose they are; null when it says nothing, or its file cannot be read.</summary>
    public static (string Nodes, string? Without)? Written(ParseResult parsed, NodesOption option)
    {
        var (nodes, file, without) = (parsed.GetValue(option), Value("--nodes-file"), Value("--exclude"));
        try
        {
            if (file is not null)
                nodes = string.Join(',', nodes is null ? Lines(file) : Lines(file).Prepend(nodes));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
        return nodes is null ? null : (nodes, without);

        string? Value(string name) => parsed.CommandResult.Command.Options.FirstOrDefault(o => o.Name == name) is Option<string?> found ? parsed.GetValue(found) : null;
    }

    /// <summary>Most characters of a file with node sets.</summary>
    const int LongestFile = 16 << 20;

    static string[]? _input;

    /// <exception cref="IOException">The file cannot be read, or is too long.</exception>
    static string[] Lines(string file)
    {
        if (file != "-")
        {
            if (Directory.Exists(file))
                throw new IOException("it is a directory");
            using var reader = new StreamReader(file);
            return Split(reader);
        }
        // Standard input can be read once, and is asked for by each server.
        return _input ??= Split(Console.In);
    }

    static string[] Split(TextReader reader)
    {
        var (buffer, n) = (new char[LongestFile + 1], 0);
        for (int got; n < buffer.Length && (got = reader.Read(buffer, n, buffer.Length - n)) > 0;)
            n += got;
        if (n > LongestFile)
            throw new IOException($"it has more than {LongestFile} characters");
        return [.. new string(buffer, 0, n).Split('\n').Select(l => l.Split('#')[0].Trim()).Where(l => l.Length > 0)];
    }

    /// <summary>The node set as text; null when none is named. False, with the reason said, when it cannot be read.</summary>
    public bool TryRead(ParseResult parsed, out string? nodes, out int status)
    {
        (nodes, status) = (null, ExitCodes.Done);
        if (parsed.GetValue(Nodes) is null && parsed.GetValue(File) is null)
            return true;
        nodes = Read(parsed, out status);
        return nodes is not null;
    }

    /// <summary>The node set as text; null, with the reason said and its exit status, when there is none. Inside a batch job the default is the
    /// job's nodes; an empty selection never means all.</summary>
    public string? Read(ParseResult parsed, out int status)
    {
        var (nodes, file) = (parsed.GetValue(Nodes), parsed.GetValue(File));
        status = ExitCodes.Usage;
        if (SiteRun.Current?.Nodes is { } mine)
            return mine;
        if (nodes is null && file is null && JobNodes.Find(_variable) is { } job)
        {
            (nodes, file) = (job.Nodes, job.File);
            if (!Console.IsErrorRedirected)
                Console.Error.WriteLine(Terminal.Safe($"ka: the nodes of {job.Job}: {nodes ?? file}"));
        }
        if (nodes is null && file is null)
        {
            Console.Error.WriteLine("ka: name the nodes with -w or --nodes-file; an empty selection never means all  (nodes.empty)");
            return null;
        }
        if (file is not null)
            try
            {
                nodes = string.Join(',', nodes is null ? Lines(file) : Lines(file).Prepend(nodes));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Console.Error.WriteLine($"ka: {file} cannot be read: {e.Message}  (nodes.invalid)");
                status = ExitCodes.BadData;
                return null;
            }
        return parsed.GetValue(Without) is { Length: > 0 } without ? string.Join('!', Terms(without).Prepend(nodes)) : nodes;
    }
}
