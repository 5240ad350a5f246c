using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Ka.Broadcast;
using Ka.Core.Faults;
using Microsoft.Win32.SafeHandles;

namespace Ka.Cli.Commands;

/// <summary>Where a receiver puts what comes: nowhere, files, block devices, a program, or several of them at once.</summary>
sealed class ReceivingSink : IDisposable
{
    readonly List<DiskSink> _disks = [];
    readonly Process? _program;

    /// <param name="places">Files, which are made anew, block devices, or <c>null</c>.</param>
    /// <param name="words">A program with its arguments that gets it as its input; empty for none.</param>
    /// <exception cref="IOException">One of them cannot be opened, or the program cannot be started.</exception>
    public ReceivingSink(IReadOnlyList<string> places, string[] words)
    {
        try
        {
            _disks.AddRange(places.Where(p => p is not ("null" or "/dev/null")).Select(p => new DiskSink(p)));
            _program = words.Length == 0 ? null : Process.Start(new ProcessStartInfo(words[0], words[1..]) { RedirectStandardInput = true })!;
        }
        catch (Exception e) when (e is Win32Exception or IOException or UnauthorizedAccessException)
        {
            _disks.ForEach(d => d.Dispose());
            throw new IOException(e.Message, e);
        }
        Stream[] streams = [.. _disks, .. _program is null ? (Stream[])[] : [_program.StandardInput.BaseStream]];
        Stream = streams.Length switch { 0 => Stream.Null, 1 => streams[0], _ => new ManifoldStream(streams) };
    }

    public Stream Stream { get; }

    /// <summary>Waits until everything is on the disks and the program has ended well.</summary>
    public async Task<Fault?> Finish(CancellationToken cancel)
    {
        try
        {
            foreach (var disk in _disks)
            {
                disk.Finish();
            }
            if (_program is null)
            {
                return null;
            }
            _program.StandardInput.Close();
            await _program.WaitForExitAsync(cancel);
            return _program.ExitCode == 0 ? null : Fault.Of(FaultCodes.ImageExtractFailed, $"The program ended with status {_program.ExitCode}.");
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.DiskIoError, "What came could not be written.", e.Message);
        }
    }

    public void Dispose()
    {
        _disks.ForEach(d => d.Dispose());
        _program?.Dispose();
    }
}

/// <summary>Gives everything to several streams; the first that fails ends it.</summary>
sealed class ManifoldStream(Stream[] streams) : WriteOnlyStream
{
    public override void Write(ReadOnlySpan<byte> bytes)
    {
        foreach (var stream in streams)
        {
            stream.Write(bytes);
        }
    }

    public override void Flush() => Array.ForEach(streams, s => s.Flush());
}

/// <summary>
/// A regular file, whose blocks of zeros become holes, or a block device.
/// </summary>
sealed partial class DiskSink : WriteOnlyStream
{
    const int TypeBits = 0xF000, Regular = 0x8000, BlockDevice = 0x6000;
    const int CurrentDirectory = -100;
    const int WriteOnly = 1;
    const int CloseOnExec = 0x80000;

    /// <summary>Size of what is looked at for zeros.</summary>
    const int Block = 64 * 1024;

    /// <summary>Size of writes to a device.</summary>
    const int Batch = 1024 * 1024;

    readonly SafeFileHandle _file;
    readonly bool _isDevice;
    readonly bool _isRegular;
    unsafe byte* _batch;
    int _batched;
    long _position;

    /// <exception cref="IOException">It cannot be opened.</exception>
    public DiskSink(string path)
    {
        var type = TypeOf(path);
        _isDevice = type == BlockDevice;
        _isRegular = type is Regular or 0;
        if (_isDevice)
        {
            _file = Open(path, WriteOnly | CloseOnExec);
            if (_file.IsInvalid)
            {
                throw new IOException($"{path}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
            }
            unsafe
            {
                _batch = (byte*)NativeMemory.AlignedAlloc(Batch, Block);
            }
            return;
        }
        _file = File.OpenHandle(path, _isRegular ? FileMode.Create : FileMode.Open, FileAccess.Write, FileShare.Read);
    }

    public override void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var count = _isDevice ? Collect(bytes) : Put(bytes);
            bytes = bytes[count..];
        }
    }

    /// <summary>Writes up to the next border of a block, or leaves a hole there.</summary>
    int Put(ReadOnlySpan<byte> bytes)
    {
        var count = (int)Math.Min(bytes.Length, Block - (_position % Block));
        if (!_isRegular || bytes[..count].ContainsAnyExcept((byte)0))
        {
            // as much as is no hole at once
            while (count < bytes.Length && (!_isRegular || bytes[count..Math.Min(bytes.Length, count + Block)].ContainsAnyExcept((byte)0)))
            {
                count = Math.Min(bytes.Length, count + Block);
            }
            RandomAccess.Write(_file, bytes[..count], _position);
        }
        _position += count;
        return count;
    }

    unsafe int Collect(ReadOnlySpan<byte> bytes)
    {
        var count = Math.Min(bytes.Length, Batch - _batched);
        bytes[..count].CopyTo(new Span<byte>(_batch + _batched, count));
        _batched += count;
        if (_batched == Batch)
        {
            Spill();
        }
        return count;
    }

    unsafe void Spill()
    {
        RandomAccess.Write(_file, new ReadOnlySpan<byte>(_batch, _batched), _position);
        _position += _batched;
        _batched = 0;
    }

    /// <summary>Writes what is left and makes sure that all of it is on the disk; the kernel's answer counts.</summary>
    /// <exception cref="IOException">It is not.</exception>
    public void Finish()
    {
        if (_batched > 0)
        {
            Spill();
        }
        if (_isRegular)
        {
            RandomAccess.SetLength(_file, _position); // the end may be a hole
        }
        if ((_isRegular || _isDevice) && Sync(_file) != 0)
        {
            throw Failed("it did not reach the disk");
        }
    }

    static IOException Failed(string what) => new($"{what}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");

    /// <summary>The type bits of inode(7), links followed; 0 when there is nothing.</summary>
    static unsafe int TypeOf(string path)
    {
        var state = stackalloc byte[256]; // struct statx of linux/stat.h
        return statx(CurrentDirectory, path, 0, 1, state) == 0 ? *(ushort*)(state + 28) & TypeBits : 0;
    }

    protected override unsafe void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        _file?.Dispose();
        NativeMemory.AlignedFree(_batch);
        _batch = null;
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle Open(string path, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int statx(int directory, string path, int flags, uint mask, byte* state);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(SafeFileHandle file);
}
