using System.IO.Pipes;
using System.Runtime.InteropServices;

namespace Ka.Agent.Machine;

/// <summary>What Linux can do with pipes besides reading and writing: tee(2), pipe(7).</summary>
static partial class Pipes
{
    /// <summary>Size in bytes of a widened pipe: the most that an unprivileged process may ask for.</summary>
    public const int WideBytes = 1 << 20;

    const int SetPipeSize = 1031; // fcntl F_SETPIPE_SZ
    const int Interrupted = 4;

    /// <summary>Lets a pipe hold <see cref="WideBytes"/>, so that the programs at its ends take turns less often. What is no pipe stays as it is.</summary>
    public static void Widen(Stream stream)
    {
        if (stream is PipeStream pipe)
            _ = fcntl(pipe.SafePipeHandle, SetPipeSize, WideBytes);
    }

    /// <summary>
    /// Gives the other pipe what this one holds, without a copy; here it stays to be read. Waits until there is something and room for it.
    /// </summary>
    /// <returns>Bytes given; 0 at the end, when nobody reads the other pipe any more, or when one of them is no pipe.</returns>
    public static int Duplicate(Stream from, Stream to, int most)
    {
        if (from is not PipeStream source || to is not PipeStream target)
            return 0;
        while (true)
        {
            var given = tee(source.SafePipeHandle, target.SafePipeHandle, (nuint)most, 0);
            if (given >= 0)
                return (int)given;
            if (Marshal.GetLastPInvokeError() != Interrupted)
                return 0;
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(SafeHandle descriptor, int command, int argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint tee(SafeHandle from, SafeHandle to, nuint bytes, uint flags);
}
