using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ka.Broadcast;

/// <summary>A pipe of the kernel as a holder of pages (pipe(7)).</summary>
sealed class Pipe : IDisposable
{
    /// <summary>Its size: 256 pieces of at most a page, as a rule. More is not given to everybody (pipe-max-size of proc(5)).</summary>
    public const int Bytes = 1024 * 1024;

    static readonly SafeFileHandle Nowhere = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.Write, FileShare.ReadWrite);

    Pipe(SafeFileHandle output, SafeFileHandle input) => (Output, Input) = (output, input);

    public SafeFileHandle Output { get; }

    public SafeFileHandle Input { get; }

    /// <summary>Null when the machine gives none of this size: too many files are open, or the user has too many pages in pipes.</summary>
    public static Pipe? TryCreate()
    {
        Span<int> ends = stackalloc int[2];
        if (!OperatingSystem.IsLinux() || Kernel.Pipe(ref ends[0], Kernel.CloseOnExec) != 0)
        {
            return null;
        }
        var pipe = new Pipe(new SafeFileHandle(ends[0], ownsHandle: true), new SafeFileHandle(ends[1], ownsHandle: true));
        if (Kernel.Control(pipe.Input, Kernel.SetPipeSize, Bytes) >= Bytes)
        {
            return pipe;
        }
        pipe.Dispose();
        return null;
    }

    /// <summary>Whether the file system of this file gives its pages.</summary>
    public static bool Takes(SafeFileHandle file)
    {
        if (TryCreate() is not { } pipe)
        {
            return false;
        }
        using (pipe)
        {
            return Kernel.Splice(file, 0, pipe.Input, 0, 1, Kernel.DoNotWait) == 1;
        }
    }

    /// <summary>Doubles references to what lies at its start into an empty pipe. Returns how many bytes that were.</summary>
    public int Tee(Pipe into, int count)
    {
        int moved;
        while (!HasEnded(Kernel.Tee(Output, into.Input, count, Kernel.DoNotWait), out moved))
        {
        }
        return moved;
    }

    /// <summary>Forgets so many bytes.</summary>
    public void Drop(int count)
    {
        while (count > 0)
        {
            count -= MoveTo(Nowhere, count);
        }
    }

    /// <summary>Forgets everything.</summary>
    public void Drain()
    {
        while (MoveTo(Nowhere, Bytes * 8) > 0)
        {
        }
    }

    /// <summary>Takes exactly these bytes out.</summary>
    public void Read(Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            var count = Kernel.Read(Output, ref MemoryMarshal.GetReference(into), into.Length);
            if (count <= 0 && Marshal.GetLastPInvokeError() != Kernel.Interrupted)
            {
                throw Broken();
            }
            into = into[(int)Math.Max(0, count)..];
        }
    }

    int MoveTo(SafeHandle target, int count)
    {
        int moved;
        while (!HasEnded(Kernel.Splice(Output, 0, target, 0, count, Kernel.DoNotWait | Kernel.MovePages), out moved))
        {
        }
        return moved;
    }

    /// <summary>Reads a call's result: none was moved where it would have to wait. False when it was interrupted.</summary>
    static bool HasEnded(nint result, out int moved)
    {
        moved = (int)Math.Max(0, result);
        return result >= 0 || Marshal.GetLastPInvokeError() switch
        {
            Kernel.Interrupted => false,
            Kernel.TryAgain => true,
            _ => throw Broken(),
        };
    }

    static IOException Broken() => new("A pipe of the kernel failed: " + new Win32Exception(Marshal.GetLastPInvokeError()).Message);

    public void Dispose()
    {
        Output.Dispose();
        Input.Dispose();
    }
}

/// <summary>Linux's calls that move pages between files and sockets without copying them.</summary>
static partial class Kernel
{
    public const int Interrupted = 4;
    public const int TryAgain = 11;
    public const int NotSupported = 22;
    public const int CloseOnExec = 0x80000;
    public const int SetPipeSize = 1031;
    public const int SetFlags = 4;
    public const int ReadWrite = 2;
    public const int NonBlocking = 0x800;
    public const int MovePages = 1;
    public const int DoNotWait = 2;
    public const int SendNow = 0x40;
    public const int NoSignal = 0x4000;
    public const int MoreComes = 0x8000;

    const int Reset = 104;
    const int BrokenPipe = 32;

    [LibraryImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    public static partial int Pipe(ref int ends, int flags);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int Control(SafeHandle file, int command, nint argument);

    [LibraryImport("libc", EntryPoint = "splice", SetLastError = true)]
    public static partial nint Splice(SafeHandle from, nint fromOffset, SafeHandle to, nint toOffset, nint count, int flags);

    [LibraryImport("libc", EntryPoint = "tee", SetLastError = true)]
    public static partial nint Tee(SafeHandle from, SafeHandle to, nint count, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(SafeHandle from, ref byte first, nint count);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    public static partial nint Receive(SafeHandle from, ref byte first, nint count, int flags);

    [LibraryImport("libc", EntryPoint = "sendfile", SetLastError = true)]
    public static partial nint SendFile(SafeHandle to, SafeHandle from, ref long offset, nint count);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    public static partial nint Send(SafeHandle to, ref byte first, nint count, int flags);

    /// <summary>What the last call on a socket failed of; a call that only took too long is <see cref="SocketError.TimedOut"/>.</summary>
    public static SocketException SocketFailure() => new((int)(Marshal.GetLastPInvokeError() switch
    {
        TryAgain => SocketError.TimedOut,
        Reset or BrokenPipe => SocketError.ConnectionReset,
        _ => SocketError.SocketError,
    }));
}
