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

    /// <summary>Makes the names in a directory durable.</summary>
    public static Fault? SyncDirectory(string directory)
    {
        using var handle = OpenDirectory(directory, ReadDirectory);
        return !handle.IsInvalid && Fsync(handle) == 0
            ? null
            : Fault.Of(FaultCodes.DiskIoError, $"the directory {directory} could not be made durable", Marshal.GetLastPInvokeErrorMessage());
    }

    /// <summary>Writes a small file whole or not at all.</summary>
    public static Fault? Replace(string path, string text)
    {
        using (var file = new FileStream(path + ".new", FileMode.Create, FileAccess.Write, FileShare.None))
        {
            file.Write(System.Text.Encoding.UTF8.GetBytes(text));
            if (Sync(file) is { } fault)
                return fault;
        }
        File.Move(path + ".new", path, overwrite: true);
        return SyncDirectory(Path.GetDirectoryName(path)!);
    }

    const int ReadDirectory = 0x10000 | 0x80000; // O_DIRECTORY | O_CLOEXEC

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle OpenDirectory(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(SafeFileHandle file);
}
