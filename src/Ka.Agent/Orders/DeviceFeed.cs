using System.Runtime.InteropServices;
using Ka.Agent.Machine;
using Ka.Broadcast;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>
/// Writes a stream to a block device in large aligned pieces. Pieces of zeros are zeroed by the device, never skipped: what was there before
/// must not shine through.
/// </summary>
/// <param name="total">Bytes that must come; one more is refused before it is written.</param>
sealed unsafe class DeviceFeed(BlockDevice device, long total) : WriteOnlyStream
{
    const int PieceBytes = 1 << 20;

    byte* _piece = (byte*)NativeMemory.AlignedAlloc(PieceBytes, BlockDevice.Alignment);
    int _filled;
    long _offset;
    long _zeroFrom = -1;

    /// <summary>Bytes taken.</summary>
    public long Bytes { get; private set; }

    /// <summary>Bytes that were zeroed instead of written.</summary>
    public long Zeroed { get; private set; }

    public Fault? Fault { get; private set; }

    /// <exception cref="IOException">The device failed, or too much came; <see cref="Fault"/> says which.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (Fault is not null || Bytes + buffer.Length > total)
        {
            Fault ??= Fault.Of(FaultCodes.ImageCorrupt, $"The image unpacks to more than the {total} bytes that were registered.");
            throw new IOException(Fault.Message);
        }
        Bytes += buffer.Length;
        while (!buffer.IsEmpty)
        {
            var taken = Math.Min(buffer.Length, PieceBytes - _filled);
            buffer[..taken].CopyTo(new Span<byte>(_piece + _filled, PieceBytes - _filled));
            buffer = buffer[taken..];
            if ((_filled += taken) == PieceBytes && Put() is { } fault)
            {
                Fault = fault;
                throw new IOException(fault.Message);
            }
        }
    }

    /// <summary>Writes what is left and waits for the disk. Null when exactly the registered number of bytes is on it.</summary>
    public Fault? End() => Fault
        ??= (_filled > 0 ? Put() : null)
        ?? PutZeros()
        ?? (Bytes == total ? null : Fault.Of(FaultCodes.ImageCorrupt, $"The image unpacks to {Bytes} bytes, {total} were registered."));

    protected override void Dispose(bool disposing)
    {
        if (_piece is not null)
        {
            NativeMemory.AlignedFree(_piece);
            _piece = null;
        }
        base.Dispose(disposing);
    }

    Fault? Put()
    {
        var length = _filled;
        _filled = 0;
        if (!new ReadOnlySpan<byte>(_piece, length).ContainsAnyExcept((byte)0))
        {
            _zeroFrom = _zeroFrom < 0 ? _offset : _zeroFrom;
            _offset += length;
            return null;
        }
        var fault = PutZeros() ?? device.Write(_piece, length, _offset);
        _offset += length;
        return fault;
    }

    Fault? PutZeros()
    {
        if (_zeroFrom < 0)
        {
            return null;
        }
        var (from, bytes) = (_zeroFrom, _offset - _zeroFrom);
        _zeroFrom = -1;
        if (device.TryZero(from, bytes))
        {
            Zeroed += bytes;
            return null;
        }
        var zeros = (byte*)NativeMemory.AlignedAlloc(PieceBytes, BlockDevice.Alignment);
        try
        {
            new Span<byte>(zeros, PieceBytes).Clear();
            Fault? fault = null;
            for (; bytes > 0 && fault is null; from += PieceBytes, bytes -= PieceBytes)
            {
                fault = device.Write(zeros, (int)Math.Min(PieceBytes, bytes), from);
            }
            return fault;
        }
        finally
        {
            NativeMemory.AlignedFree(zeros);
        }
    }
}
