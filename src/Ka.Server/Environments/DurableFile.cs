using System.Runtime.InteropServices;
using Ka.Core.Faults;
using Microsoft.Win32.SafeHandles;

namespace Ka.Server.Environments;

/// <summary>fsync with its result looked at: FileStream.Flush(true) hides EIO, ENOSPC and EDQUOT.</summary>
static partial class DurableFile
{
    public static Fault? Sync(FileStream file)
    {
        file.Flush();
        return Fsync(file.SafeFileHandle) == 0
            ? null
            : Fault.Of(FaultCodes.DiskIoError, "the file could not be made durable", Marshal.GetLastPInvokeErrorMessage());
    }

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(SafeFileHandle file);
}
