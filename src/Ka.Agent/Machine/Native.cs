using System.Runtime.InteropServices;

namespace Ka.Agent.Machine;

/// <summary>System calls whose errors .NET hides or that it does not have. Each returns 0 or the errno.</summary>
static partial class Native
{
    public const int Busy = 16;
    public const int NoSpace = 28;
    public const int IoError = 5;

    const int ReadOnlyFlag = 1;
    const int RemountFlag = 32;
    const int RestartCommand = 0x01234567;
    const int KillSignal = 9;
    const int OpenDirectory = 0x10000 | 0x80000; // O_DIRECTORY | O_CLOEXEC

    public static int Mount(string source, string directory, string type) => Check(mount(source, directory, type, 0, null));

    public static int RemountReadOnly(string directory) => Check(mount(null, directory, null, RemountFlag | ReadOnlyFlag, null));

    public static int Unmount(string directory) => Check(umount2(directory, 0));

    /// <summary>Detaches a bind mount that something may still look at.</summary>
    public static int UnmountLazily(string directory) => Check(umount2(directory, 2));

    public static int SwapOff(string device) => Check(swapoff(device));

    /// <summary>Writes a whole file system and the directory itself to the disk, and tells what went wrong.</summary>
    public static int SyncFileSystem(string directory)
    {
        var descriptor = open(directory, OpenDirectory);
        if (descriptor < 0)
        {
            return Marshal.GetLastPInvokeError();
        }
        var error = Check(syncfs(descriptor));
        if (error == 0)
        {
            error = Check(fsync(descriptor));
        }
        close(descriptor);
        return error;
    }

    public static void KillGroup(int group) => kill(-group, KillSignal);

    public static void Kill(int process) => kill(process, KillSignal);

    /// <summary>Resets the machine through its firmware at once; returns only on failure.</summary>
    public static int Reboot()
    {
        sync();
        return Check(reboot(RestartCommand));
    }

    public static string Message(int errno) => $"{Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})";

    static int Check(int result) => result == 0 ? 0 : Marshal.GetLastPInvokeError();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount(string? source, string target, string? type, ulong flags, string? data);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int umount2(string target, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int swapoff(string path);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int syncfs(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);

    [LibraryImport("libc")]
    private static partial void sync();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int reboot(int command);
}
