using System.Diagnostics;
using System.Text;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Machine;

/// <summary>What an external program came to. Outputs are cut to <see cref="AgentProtocol.OutputLimit"/> characters from the end.</summary>
sealed record ToolOutcome(string Program, int ExitCode, string Output, string Errors)
{
    public bool Ok => ExitCode == 0;

    /// <summary>Null when the program succeeded; else the fault with what it said. A read or write error of the disk is told apart.</summary>
    public Fault? Or(FaultCode code, string message)
    {
        if (Ok)
        {
            return null;
        }
        var said = string.IsNullOrWhiteSpace(Errors) ? Output : Errors;
        return Fault.Of(said.Contains("Input/output error", StringComparison.Ordinal) ? FaultCodes.DiskIoError : code, message,
            $"{Program} ended with status {ExitCode}: {said.Trim()}");
    }
}

/// <summary>Runs external programs by argument list, never through a shell.</summary>
static class Tool
{
    public const int NotFound = 127;

    /// <summary>Runs a program to its end. On cancellation it and all it started are killed.</summary>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public static Task<ToolOutcome> Run(string program, IEnumerable<string> arguments, CancellationToken cancel) =>
        Run(Start(program, arguments), null, ownGroup: false, cancel);

    /// <param name="input">Text for its standard input, or null for none.</param>
    /// <param name="ownGroup">The program leads a process group of its own (it was started by setsid), which is killed as a whole.</param>
    public static async Task<ToolOutcome> Run(ProcessStartInfo start, string? input, bool ownGroup, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        using var process = new Process { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return new ToolOutcome(start.FileName, NotFound, "", e.Message);
        }
        var group = process.Id;
        var output = Tail.Of(process.StandardOutput);
        var errors = Tail.Of(process.StandardError);
        await using (cancel.Register(() => Kill(process, ownGroup ? group : null)))
        {
            try
            {
                await process.StandardInput.WriteAsync(input.AsMemory(), CancellationToken.None);
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // it did not want its input; its exit status tells
            }
            await process.WaitForExitAsync(CancellationToken.None);
            if (ownGroup)
            {
                Native.KillGroup(group); // whatever a script left behind must not hold the target
            }
        }
        var outcome = new ToolOutcome(Path.GetFileName(start.FileName), process.ExitCode, await output, await errors);
        cancel.ThrowIfCancellationRequested();
        return outcome;
    }

    public static ProcessStartInfo Start(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
        };
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }
        start.Environment["LC_ALL"] = "C"; // messages are evidence and are looked at
        return start;
    }

    /// <summary>The first of these programs that the search path has, or null.</summary>
    public static string? Find(params ReadOnlySpan<string> programs)
    {
        var directories = (Environment.GetEnvironmentVariable("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin").Split(':', StringSplitOptions.RemoveEmptyEntries);
        foreach (var program in programs)
        {
            foreach (var directory in directories)
            {
                var path = Path.Combine(directory, program);
                if (File.Exists(path))
                {
                    return path;
                }
            }
        }
        return null;
    }

    public static void Kill(Process process, int? group)
    {
        try
        {
            if (group is { } id)
            {
                Native.KillGroup(id);
            }
            process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception or AggregateException)
        {
            // it has ended already
        }
    }
}

/// <summary>Reads an output to its end and keeps its last characters only.</summary>
static class Tail
{
    public static async Task<string> Of(StreamReader reader)
    {
        var kept = new StringBuilder();
        var buffer = new char[4096];
        try
        {
            int count;
            while ((count = await reader.ReadAsync(buffer)) > 0)
            {
                kept.Append(buffer, 0, count);
                if (kept.Length > AgentProtocol.OutputLimit * 2)
                {
                    kept.Remove(0, kept.Length - AgentProtocol.OutputLimit);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // what was read so far is what there is
        }
        return kept.Length > AgentProtocol.OutputLimit ? kept.ToString(kept.Length - AgentProtocol.OutputLimit, AgentProtocol.OutputLimit) : kept.ToString();
    }
}
