using System.Collections.Immutable;
using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Ka.Core.Clusters;
using Ka.Core.Faults;
using Ka.Drivers.Power;
using Ka.Drivers.Programs;

namespace Ka.Drivers.Consoles;

/// <summary>
/// A serial line that a child process holds on its standard input and output: the site's own program, else Serial over LAN by ipmitool.
/// No shell, a small environment; the process and its children are killed when the line is closed.
/// </summary>
public sealed class ConsoleProgram : IConsoleLine
{
    /// <summary>ipmitool's own escape character (ipmitool(1), "sol activate"): ASCII unit separator, which nobody types, in place of <c>~</c>.</summary>
    const byte Escape = 0x1f;

    const int EvidenceLimit = 4096;

    static readonly TimeSpan DeactivateLimit = TimeSpan.FromSeconds(10);

    readonly Process _process;
    readonly bool _isSol;
    readonly StringBuilder _errors = new();
    readonly Task _readingErrors;
    bool _atLineStart = true;

    ConsoleProgram(Process process, bool isSol)
    {
        (_process, _isSol) = (process, isSol);
        _readingErrors = ReadErrorsAsync();
    }

    /// <summary>Program and arguments for a node's line; empty when it has none.</summary>
    public static ImmutableArray<string> Arguments(ClusterNode node) => !node.Console.IsEmpty ? [.. NodeWords.In(node.Console, node)]
        : node.Power.Kind == "ipmi" ? [IpmiPower.Program, .. IpmiPower.Session(node.Power), "-e", ((char)Escape).ToString(), "sol", "activate"]
        : [];

    /// <summary>Why a node has no console at all; null when it has one.</summary>
    public static Fault? Missing(ClusterNode node) => Arguments(node).IsEmpty
        ? Fault.Of(FaultCodes.ConsoleNone, $"{node.Name} has no console: its power driver '{node.Power.Kind}' brings none, and the configuration names none")
        : null;

    public static async Task<(IConsoleLine? Line, Fault? Fault)> OpenAsync(ClusterNode node, CancellationToken cancel)
    {
        if (Missing(node) is { } none)
            return (null, none);
        var arguments = Arguments(node);
        var isSol = node.Console.IsEmpty;
        if (isSol)
            await DeactivateAsync(node, cancel);
        var start = new ProcessStartInfo(arguments[0], arguments.Skip(1)) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.Environment.Clear();
        start.Environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin";
        start.Environment["LC_ALL"] = "C";
        try
        {
            return (new ConsoleProgram(Process.Start(start)!, isSol), null);
        }
        catch (Win32Exception missing)
        {
            return (null, Fault.Of(FaultCodes.ConsoleEnded, $"the console program of {node.Name} could not be started", $"{arguments[0]}: {missing.Message}"));
        }
    }

    /// <summary>A BMC gives its line to one session, and one that a server left by a crash would keep it.</summary>
    static async Task DeactivateAsync(ClusterNode node, CancellationToken cancel)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        late.CancelAfter(DeactivateLimit);
        try
        {
            await ExternalProgram.RunAsync(IpmiPower.Program, [.. IpmiPower.Session(node.Power), "sol", "deactivate"], late.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // the activation that follows says what is wrong
        }
    }

    public string Evidence
    {
        get
        {
            lock (_errors)
                return _errors.ToString().Trim();
        }
    }

    public async ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken cancel)
    {
        var count = await _process.StandardOutput.BaseStream.ReadAsync(into, cancel);
        if (count == 0)
            await _readingErrors.WaitAsync(cancel);
        return count;
    }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> keys, CancellationToken cancel)
    {
        var input = _process.StandardInput.BaseStream;
        await input.WriteAsync(_isSol ? Escaped(keys.Span) : keys, cancel);
        await input.FlushAsync(cancel);
    }

    /// <summary>ipmitool takes its escape character at the beginning of a line for itself, and two for one.</summary>
    byte[] Escaped(ReadOnlySpan<byte> keys)
    {
        var escaped = new List<byte>(keys.Length);
        foreach (var key in keys)
        {
            if (_atLineStart && key == Escape)
                escaped.Add(Escape);
            escaped.Add(key);
            _atLineStart = key is (byte)'\r' or (byte)'\n';
        }
        return [.. escaped];
    }

    async Task ReadErrorsAsync()
    {
        var buffer = new char[1024];
        int n;
        while ((n = await _process.StandardError.ReadAsync(buffer)) > 0)
            lock (_errors)
                _errors.Append(buffer, 0, Math.Min(n, EvidenceLimit - _errors.Length));
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // it has ended by itself
        }
        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
