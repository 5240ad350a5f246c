using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace Ka.Drivers.Programs;

/// <summary>How a program ended.</summary>
/// <param name="ExitCode">Null when it could not be started.</param>
public sealed record ProgramResult(int? ExitCode, string Output, string Errors)
{
    public bool Ok => ExitCode == 0;

    public string Evidence => string.Join('\n', new[] { Errors.Trim(), Output.Trim() }.Where(t => t.Length > 0));
}

/// <summary>Runs a program with an argument list: no shell, a small environment, capped output, killed with its children when cancelled.</summary>
public static class ExternalProgram
{
    public const int OutputLimit = 64 * 1024;

    /// <exception cref="OperationCanceledException">After the program has been killed.</exception>
    public static Task<ProgramResult> RunAsync(string program, IEnumerable<string> arguments, CancellationToken cancel) =>
        RunAsync(program, arguments, null, cancel);

    /// <param name="feed">Writes the program's standard input; null for none. A program that does not read it to the end ends it early.</param>
    /// <exception cref="OperationCanceledException">After the program has been killed.</exception>
    public static async Task<ProgramResult> RunAsync(string program, IEnumerable<string> arguments, Func<Stream, CancellationToken, Task>? feed, CancellationToken cancel)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            UseShellExecute = false,
        };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment.Clear();
        start.Environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin";
        start.Environment["LC_ALL"] = "C";
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception missing)
        {
            return new ProgramResult(null, "", $"{program}: {missing.Message}");
        }
        using (process)
        {
            var feeding = FeedAsync(process.StandardInput.BaseStream, feed, cancel);
            var output = ReadAsync(process.StandardOutput);
            var errors = ReadAsync(process.StandardError);
            try
            {
                await process.WaitForExitAsync(cancel);
                await feeding;
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                throw;
            }
            return new ProgramResult(process.ExitCode, await output, await errors);
        }
    }

    static async Task FeedAsync(Stream input, Func<Stream, CancellationToken, Task>? feed, CancellationToken cancel)
    {
        try
        {
            await using (input)
                if (feed is not null)
                    await feed(input, cancel);
        }
        catch (IOException)
        {
            // the program has gone or wants no more; its status tells
        }
    }

    static async Task<string> ReadAsync(StreamReader reader)
    {
        var text = new StringBuilder();
        var buffer = new char[4096];
        int n;
        while ((n = await reader.ReadAsync(buffer)) > 0)
            if (text.Length < OutputLimit)
                text.Append(buffer, 0, Math.Min(n, OutputLimit - text.Length));
        return text.ToString();
    }
}
