using Ka.Cli;
using Ka.Cli.Commands;
using Ka.Cli.Kadeploy3;

namespace Ka.Tests.Cli;

/// <summary>What a command line did.</summary>
public sealed record Told(int Status, string Output, string Errors);

/// <summary>The command line <c>ka</c> without a process of its own.</summary>
static class InProcess
{
    public static Task<Told> RunAsync(params string[] words) => RunAsync(new StringWriter(), words);

    public static Task<Told> RunAsync(TextWriter output, params string[] words) => CallAsync(output, () => SeveralServers.InvokeAsync(CommandTree.Build().Parse(words)));

    /// <summary>As if called by an old name.</summary>
    public static Task<Told> OldAsync(string tool, params string[] words) => CallAsync(new StringWriter(), () => OldProgram.RunAsync(tool, words));

    /// <summary>The same with a file of contexts.</summary>
    public static Task<Told> OldOverAsync(string contexts, string tool, params string[] words) => CallAsync(new StringWriter(), () => OldProgram.RunAsync(tool, words, "--contexts", contexts));

    static Task<Told> CallAsync(TextWriter output, Func<Task<int>> call) => Task.Run(async () =>
    {
        var errors = new StringWriter();
        FlowConsole.Redirect(output, errors);
        return new Told(await call(), output.ToString() ?? "", errors.ToString());
    });

    /// <summary>As a shell divides a line into words.</summary>
    public static string[] Words(string line) => [.. System.CommandLine.Parsing.CommandLineParser.SplitCommandLine(line.Replace('\'', '"'))];
}
