using System.Runtime.InteropServices;
using Ka.Core.Faults;

namespace Ka.Agent.Machine;

/// <summary>A disk or partition read and written past the page cache. Every error is seen.</summary>
sealed unsafe partial class BlockDevice : IDisposable
{
    /// <summary>Offsets, lengths and buffers are multiples of this: no disk has larger sectors.</summary>
    public const int Alignment = 4096;

    const int Exclusive = 0x80, Direct = 0x4000, CloseOnExec = 0x80000, ReadWrite = 2;
    const int SetFlags = 4; // fcntl F_SETFL
    const ulong GetBytes = 0x80081272, GetSectorBytes = 0x1268, ZeroOut = 0x127F, RereadPartitions = 0x125F, FlushBuffers = 0x1261;
    const int InvalidArgument = 22, NotSupported = 95, NoDevice = 25;

    int _descriptor;
    bool _zeroOutFails;

    BlockDevice(string path, int descriptor, long bytes, int sectorBytes) =>
        (Path, _descriptor, Bytes, SectorBytes) = (path, descriptor, bytes, sectorBytes);

    public string Path { get; }

    public long Bytes { get; }

    /// <summary>Size of a logical sector.</summary>
    public int SectorBytes { get; }

    /// <summary>Opens it; for writing exclusively, so that nothing mounted or otherwise in use is written over.</summary>
    public static (BlockDevice? Device, Fault? Fault) Open(string path, bool write)
    {
        var descriptor = open(path, (write ? ReadWrite | Exclusive : 0) | Direct | CloseOnExec);
        if (descriptor < 0)
        {
            return (null, FaultOf(Marshal.GetLastPInvokeError(), $"{path} could not be opened."));
        }
        long bytes = 0;
        var sector = 0;
        if (ioctl(descriptor, GetBytes, &bytes) != 0 || ioctl(descriptor, GetSectorBytes, &sector) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            close(descriptor);
            return (null, FaultOf(error, $"{path} is no block device."));
        }
        return (new BlockDevice(path, descriptor, bytes, sector), null);
    }

    /// <summary>Writes all of an aligned buffer; a length that is no multiple of a sector goes through the page cache.</summary>
    public Fault? Write(byte* buffer, int length, long offset)
    {
        if (length % SectorBytes != 0)
        {
            fcntl(_descriptor, SetFlags, 0);
        }
        while (length > 0)
        {
            var written = pwrite(_descriptor, buffer, length, offset);
            if (written <= 0)
            {
                return FaultOf(written == 0 ? Native.NoSpace : Marshal.GetLastPInvokeError(), $"{Path} could not be written at byte {offset}.");
            }
            buffer += written;
            (length, offset) = (length - (int)written, offset + written);
        }
        return null;
    }

    /// <summary>Reads into an aligned buffer; the length is rounded up to whole sectors.</summary>
    public Fault? Read(byte* buffer, int length, long offset)
    {
        length = (length + SectorBytes - 1) / SectorBytes * SectorBytes;
        while (length > 0)
        {
            var read = pread(_descriptor, buffer, length, offset);
            if (read <= 0)
            {
                return FaultOf(read == 0 ? Native.IoError : Marshal.GetLastPInvokeError(), $"{Path} could not be read at byte {offset}.");
            }
            buffer += read;
            (length, offset) = (length - (int)read, offset + read);
        }
        return null;
    }

    /// <summary>Makes a range read as zeros: the disk does it by itself where it can, else the kernel writes them. False when neither goes: write them.</summary>
    public bool TryZero(long offset, long bytes)
    {
        if (_zeroOutFails || offset % SectorBytes != 0 || bytes % SectorBytes != 0)
        {
            return false;
        }
        var range = stackalloc ulong[2] { (ulong)offset, (ulong)bytes };
        _zeroOutFails = ioctl(_descriptor, ZeroOut, range) != 0;
        return !_zeroOutFails;
    }

    public Fault? Sync() => fsync(_descriptor) == 0 ? null : FaultOf(Marshal.GetLastPInvokeError(), $"What was written to {Path} did not reach the disk.");

    /// <summary>Drops what the page cache holds of it, so that readers that do not go past the cache see the disk.</summary>
    public void DropCache() => ioctl(_descriptor, FlushBuffers, null);

    /// <summary>Makes the kernel read the partition table anew. Returns 0 or the errno.</summary>
    public int RereadTable() => ioctl(_descriptor, RereadPartitions, null) == 0 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary>The kernel does not read tables of such a device by itself (a loop device).</summary>
    public static bool ReadsNoTables(int errno) => errno is InvalidArgument or NotSupported or NoDevice;

    public void Dispose()
    {
        if (_descriptor >= 0)
        {
            close(_descriptor);
            _descriptor = -1;
        }
    }

    static Fault FaultOf(int errno, string message) => Fault.Of(
        errno == Native.NoSpace ? FaultCodes.DiskTooSmall : FaultCodes.DiskIoError, message, Native.Message(errno));

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int descriptor, int command, int argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int descriptor, ulong request, void* argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwrite(int descriptor, byte* buffer, nint length, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pread(int descriptor, byte* buffer, nint length, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int descriptor);
}
