using System.Runtime.InteropServices;
using System.Text;

namespace Ka.Agent.Machine;

/// <summary>What statx(2) says of a name, the link itself and not what it points to.</summary>
readonly record struct FileState(uint Links, uint Uid, uint Gid, int TypeAndMode, ulong Inode, long Bytes, uint Major, uint Minor, ulong Device)
{
    public int Mode => TypeAndMode & 0xFFF;

    /// <summary>The type bits: <see cref="NativeFiles.Directory"/> and others.</summary>
    public int Type => TypeAndMode & 0xF000;
}

/// <summary>
/// Walking a file system by names as bytes and from directory to directory, so that no symbolic link is ever followed; .NET's own
/// enumeration takes names for UTF-8 and paths for whole. Functions that return int give 0 or the errno.
/// </summary>
static unsafe partial class NativeFiles
{
    public const int Fifo = 0x1000, CharacterDevice = 0x2000, Directory = 0x4000, BlockDevice = 0x6000, Regular = 0x8000, SymbolicLink = 0xA000;
    public const int NoEntry = 2, NotSupported = 95;

    const int NoFollow = 0x100, NoAutomount = 0x800, EmptyPath = 0x1000; // AT_…
    const int BasicStats = 0x7FF;
    const int OpenCloseOnExec = 0x80000, OpenDirectory = 0x10000, OpenNoFollow = 0x20000, OpenNonBlocking = 0x800, OpenNoTerminal = 0x100;
    const int CurrentDirectory = -100;
    const int DontNeed = 4;
    const int ListBytes = 64 * 1024; // the kernel's XATTR_LIST_MAX and XATTR_SIZE_MAX

    static readonly IReadOnlyDictionary<string, byte[]> NoAttributes = new Dictionary<string, byte[]>();

    /// <summary>Opens a directory by its path; the last part may not be a link.</summary>
    public static int OpenRoot(string path, out int descriptor) => Open(CurrentDirectory, Encoding.UTF8.GetBytes(path + '\0'), OpenDirectory, out descriptor);

    /// <param name="name">With its NUL.</param>
    public static int OpenSubdirectory(int directory, byte[] name, out int descriptor) => Open(directory, name, OpenDirectory | OpenNoFollow, out descriptor);

    public static int OpenFile(int directory, byte[] name, out int descriptor) => Open(directory, name, OpenNoFollow | OpenNonBlocking | OpenNoTerminal, out descriptor);

    static int Open(int directory, byte[] name, int flags, out int descriptor)
    {
        fixed (byte* path = name)
            descriptor = openat(directory, path, flags | OpenCloseOnExec);
        return descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    public static void Close(int descriptor) => _ = close(descriptor);

    /// <param name="name">With its NUL; only the NUL for the directory itself.</param>
    public static int State(int directory, byte[] name, out FileState state)
    {
        var raw = stackalloc byte[256];
        int result;
        fixed (byte* path = name)
            result = statx(directory, path, NoFollow | NoAutomount | (name.Length == 1 ? EmptyPath : 0), BasicStats, raw);
        if (result != 0)
        {
            state = default;
            return Marshal.GetLastPInvokeError();
        }
        // struct statx of linux/stat.h
        state = new FileState(
            *(uint*)(raw + 16), *(uint*)(raw + 20), *(uint*)(raw + 24), *(ushort*)(raw + 28), *(ulong*)(raw + 32), *(long*)(raw + 40),
            *(uint*)(raw + 128), *(uint*)(raw + 132), ((ulong)*(uint*)(raw + 136) << 32) | *(uint*)(raw + 140));
        return 0;
    }

    /// <summary>Names in an open directory, each with its NUL, in the order of their inodes: about that of their blocks.</summary>
    public static int Names(int directory, out List<byte[]> names)
    {
        var found = new List<(ulong Inode, byte[] Name)>();
        var buffer = new byte[64 * 1024];
        names = [];
        while (true)
        {
            nint count;
            fixed (byte* start = buffer)
                count = getdents64(directory, start, buffer.Length);
            if (count < 0)
                return Marshal.GetLastPInvokeError();
            if (count == 0)
                break;
            for (var at = 0; at < count;)
            {
                // struct linux_dirent64: inode 8, offset 8, length 2, type 1, name
                var length = BitConverter.ToUInt16(buffer, at + 16);
                var text = buffer.AsSpan(at + 19, length - 19);
                var name = text[..(text.IndexOf((byte)0) + 1)];
                if (!name.SequenceEqual(".\0"u8) && !name.SequenceEqual("..\0"u8))
                    found.Add((BitConverter.ToUInt64(buffer, at), name.ToArray()));
                at += length;
            }
        }
        found.Sort(static (a, b) => a.Inode.CompareTo(b.Inode));
        names = found.ConvertAll(static f => f.Name);
        return 0;
    }

    public static int LinkTarget(int directory, byte[] name, out byte[] target)
    {
        var buffer = new byte[4096];
        nint length;
        fixed (byte* path = name, start = buffer)
            length = readlinkat(directory, path, start, (nuint)buffer.Length);
        target = length < 0 ? [] : buffer[..(int)length];
        return length < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>Extended attributes of a name, the link itself. The way through /proc keeps it relative to the open directory.</summary>
    public static int Attributes(int directory, byte[] name, out IReadOnlyDictionary<string, byte[]> attributes)
    {
        attributes = NoAttributes;
        var path = (byte[])[.. Encoding.ASCII.GetBytes($"/proc/self/fd/{directory}/"), .. name.Length == 1 ? ".\0"u8 : name];
        nint length;
        var probe = stackalloc byte[1];
        fixed (byte* at = path)
        {
            length = llistxattr(at, probe, 0);
            if (length == 0)
                return 0;
            var found = new Dictionary<string, byte[]>(StringComparer.Ordinal);
            attributes = found;
            var list = new byte[ListBytes];
            fixed (byte* start = list)
                length = length < 0 ? length : llistxattr(at, start, (nuint)list.Length);
            if (length < 0)
                return Marshal.GetLastPInvokeError() is NotSupported ? 0 : Marshal.GetLastPInvokeError();
            var value = new byte[ListBytes];
            foreach (var key in Encoding.UTF8.GetString(list, 0, (int)length).Split('\0', StringSplitOptions.RemoveEmptyEntries))
            {
                nint bytes;
                fixed (byte* keyAt = Encoding.UTF8.GetBytes(key + '\0'), valueAt = value)
                    bytes = lgetxattr(at, keyAt, valueAt, (nuint)value.Length);
                if (bytes < 0)
                    return Marshal.GetLastPInvokeError();
                found[key] = value[..(int)bytes];
            }
        }
        return 0;
    }

    public static int Read(int descriptor, Span<byte> buffer, out int count)
    {
        nint got;
        fixed (byte* start = buffer)
            got = read(descriptor, start, (nuint)buffer.Length);
        count = (int)Math.Max(got, 0);
        return got < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>Asks the kernel to forget the clean pages of an open file, so that the next read is one of the disk.</summary>
    public static void Forget(int descriptor) => _ = posix_fadvise(descriptor, 0, 0, DontNeed);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int openat(int directory, byte* path, int flags);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int statx(int directory, byte* path, int flags, uint mask, byte* state);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint getdents64(int descriptor, byte* buffer, nint bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint readlinkat(int directory, byte* path, byte* buffer, nuint bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint llistxattr(byte* path, byte* list, nuint bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint lgetxattr(byte* path, byte* name, byte* value, nuint bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int descriptor, byte* buffer, nuint bytes);

    [LibraryImport("libc")]
    private static partial int posix_fadvise(int descriptor, long offset, long length, int advice);
}
