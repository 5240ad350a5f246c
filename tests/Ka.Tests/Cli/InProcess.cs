using Ka.Cli;
using Ka.Cli.Commands;

namespace Ka.Tests.Cli;

/// <summary>What a command line did.</summary>
public sealed record Told(int Status, string Output, string Errors);

/// <summary>The command line <c>ka</c> without a process of its own.</summary>
static class InProcess
{
    public static Task<Told> RunAsync(params string[] words) => RunAsync(new StringWriter(), words);

    public static Task<Told> RunAsync(TextWriter output, params string[] words) => Task.Run(async () =>
    {
        var errors = new StringWriter();
        FlowConsole.Redirect(output, errors);
        var status = await SeveralServers.InvokeAsync(CommandTree.Build().Parse(words));
        return new Told(status, output.ToString() ?? "", errors.ToString());
    });

    /// <summary>As a shell divides a line into words.</summary>
    public static string[] Words(string line) => [.. System.CommandLine.Parsing.CommandLineParser.SplitCommandLine(line.Replace('\'', '"'))];
}
