using System.Runtime.InteropServices;

namespace Ka.Cli.Consoles;

/// <summary>
/// Puts a terminal to raw mode (cfmakeraw(3)), so that every key goes to the node, and back when disposed, when a
/// signal ends the program, and when it ends in any other way that lets it run.
/// </summary>
public sealed unsafe partial class RawTerminal : IDisposable
{
    /// <summary>More than <c>struct termios</c> of any Linux.</summary>
    const int Size = 128;

    const int Now = 0;

    readonly int _file;
    readonly byte[] _before;
    readonly PosixSignalRegistration[] _signals;
    int _restored;

    RawTerminal(int file, byte[] before, Action ended)
    {
        (_file, _before) = (file, before);
        AppDomain.CurrentDomain.ProcessExit += OnExit;
        _signals = [.. new[] { PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT }.Select(s => PosixSignalRegistration.Create(s, context =>
        {
            context.Cancel = true;
            Restore();
            ended();
        }))];
    }

    /// <summary>Null when it is no terminal.</summary>
    /// <param name="file">Descriptor; 0 is standard input.</param>
    /// <param name="ended">Told when a signal asks the program to end; the terminal is as it was then.</param>
    public static RawTerminal? Enter(int file, Action ended)
    {
        var before = new byte[Size];
        var raw = new byte[Size];
        fixed (byte* state = before)
            if (TcGetAttr(file, state) != 0)
                return null;
        before.CopyTo(raw, 0);
        var terminal = new RawTerminal(file, before, ended);
        fixed (byte* state = raw)
        {
            CfMakeRaw(state);
            if (TcSetAttr(file, Now, state) == 0)
                return terminal;
        }
        terminal.Dispose();
        return null;
    }

    void OnExit(object? sender, EventArgs e) => Restore();

    void Restore()
    {
        if (Interlocked.Exchange(ref _restored, 1) == 1)
            return;
        fixed (byte* state = _before)
            _ = TcSetAttr(_file, Now, state);
    }

    /// <summary>The terminal is as it was before.</summary>
    public void Dispose()
    {
        Restore();
        AppDomain.CurrentDomain.ProcessExit -= OnExit;
        foreach (var signal in _signals)
            signal.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "tcgetattr")]
    private static partial int TcGetAttr(int file, byte* state);

    [LibraryImport("libc", EntryPoint = "tcsetattr")]
    private static partial int TcSetAttr(int file, int when, byte* state);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    private static partial void CfMakeRaw(byte* state);
}
