using System.ComponentModel;
using System.Diagnostics;

namespace Ka.Lab;

/// <summary>How a program ended.</summary>
public sealed record Finished(int Status, string Output, string Errors);

/// <summary>Runs other programs, always by argument list.</summary>
public static class Programs
{
    private static readonly Dictionary<string, string> Packages = new()
    {
        ["ip"] = "iproute2",
        ["tc"] = "iproute2",
        [QemuCommandLine.Program] = "qemu-system-x86",
        [BmcFiles.Program] = "openipmi",
        ["ipmitool"] = "ipmitool",
        ["ssh"] = "openssh-client",
        ["setsid"] = "util-linux",
        ["stty"] = "coreutils",
        [QemuCommandLine.UefiCode(Firmware.Uefi)] = "ovmf",
        [QemuCommandLine.UefiCode(Firmware.UefiSecure)] = "ovmf",
    };

    /// <summary>Refuses when a program (or a file with a full path) is missing, naming every package to install at once.</summary>
    public static void Need(IEnumerable<string> programs)
    {
        var missing = programs.Where(program => Find(program) is null).ToList();
        if (missing.Count == 0)
            return;
        var packages = missing.Select(program => Packages.GetValueOrDefault(program, program)).Distinct();
        throw new LabException($"Missing: {string.Join(", ", missing)}. Install with: apt-get install {string.Join(' ', packages)}", 69);
    }

    /// <summary>The full path of a program in PATH or the system directories, or null.</summary>
    public static string? Find(string program)
    {
        if (program.Contains('/'))
            return File.Exists(program) ? program : null;
        var path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return path.Concat(["/usr/sbin", "/usr/bin", "/sbin", "/bin"])
            .Select(directory => Path.Combine(directory, program)).FirstOrDefault(File.Exists);
    }

    /// <summary>Runs to the end and keeps both outputs; ends the program when <paramref name="deadline"/> is over (status -1).</summary>
    public static async Task<Finished> Run(string program, IEnumerable<string> arguments, TimeSpan deadline, CancellationToken cancel)
    {
        using var process = Start(new ProcessStartInfo(Find(program) ?? program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        });
        process.StandardInput.Close();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(deadline);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(limit.Token);
            var errors = process.StandardError.ReadToEndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            return new Finished(process.ExitCode, await output, await errors);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            cancel.ThrowIfCancellationRequested();
            return new Finished(-1, "", $"no end within {deadline.TotalSeconds:0} s");
        }
    }

    /// <summary>Runs a program that must succeed.</summary>
    public static async Task<string> Must(string program, IEnumerable<string> arguments, CancellationToken cancel)
    {
        var list = arguments.ToList();
        var finished = await Run(program, list, TimeSpan.FromSeconds(30), cancel);
        if (finished.Status == 0)
            return finished.Output;
        var errors = finished.Errors.Trim();
        throw new LabException($"{program} {string.Join(' ', list.Take(8))} ended with {finished.Status}: {(errors.Length > 400 ? errors[..400] : errors)}");
    }

    /// <summary>Runs a program on this terminal; its exit status is the result. Ctrl-C is the program's business.</summary>
    public static async Task<int> Attached(string program, IEnumerable<string> arguments)
    {
        ConsoleCancelEventHandler ignore = (_, pressed) => pressed.Cancel = true;
        Console.CancelKeyPress += ignore;
        try
        {
            using var process = Start(new ProcessStartInfo(Find(program) ?? program, arguments));
            await process.WaitForExitAsync(CancellationToken.None);
            return process.ExitCode;
        }
        finally
        {
            Console.CancelKeyPress -= ignore;
        }
    }

    private const string Detach = "echo $$ >\"$1.new\" && mv \"$1.new\" \"$1\"; log=$2; shift 2; exec \"$@\" >>\"$log\" 2>&1 </dev/null";

    /// <summary>Starts a program that outlives ka-lab: own session, output to a log, its process id in a file.</summary>
    /// <remarks>Returns once the file names a process that has become the program, or has ended.</remarks>
    public static async Task StartDetached(string pidFile, string log, IEnumerable<string> command, CancellationToken cancel)
    {
        File.Delete(pidFile);
        await Must("setsid", ["--fork", "/bin/sh", "-c", Detach, "sh", pidFile, log, .. command], cancel);
        for (var turn = 0; turn < 500 && !Started(pidFile); turn++)
            await Task.Delay(10, cancel);
    }

    private static bool Started(string pidFile) =>
        File.Exists(pidFile) && int.TryParse(File.ReadAllText(pidFile), out var id)
        && (!File.Exists($"/proc/{id}/cmdline") || !File.ReadAllText($"/proc/{id}/cmdline").Contains(Detach, StringComparison.Ordinal));

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start) ?? throw new LabException($"{start.FileName} did not start.");
        }
        catch (Win32Exception refused)
        {
            throw new LabException($"{start.FileName} cannot be started: {refused.Message}", 69);
        }
    }
}
