using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ka.Broadcast;

/// <summary>What only a real socket can: to take and to give pages that nobody copies. All of it blocks, and fails as the copying calls do.</summary>
sealed partial class SocketWire
{
    /// <summary>Where the processor could hand on ever smaller pieces, it lets them become this large: each costs it as much as some 100 KiB do.</summary>
    const int Together = 256 * 1024;

    /// <summary>All the time that they get for it, which 256 KiB take at 0.5 Gbit/s.</summary>
    static readonly TimeSpan TogetherTime = TimeSpan.FromMilliseconds(4);

    int _lowWater = 1;

    /// <summary>The first byte that is there, which stays there; -1 at the end.</summary>
    public int Peek()
    {
        Span<byte> first = stackalloc byte[1];
        return ReceiveHere(first, SocketFlags.Peek) == 0 ? -1 : first[0];
    }

    /// <summary>Waits until there is something to receive, or the end; throws when there is nothing for <see cref="Wire.ReceiveTimeout"/>. What comes is given a moment to become as much as wanted.</summary>
    public void WaitReadable(int wanted)
    {
        wanted = Math.Min(wanted, Together);
        var there = _socket.Available;
        if (there == 0)
        {
            if (Peek() < 0)
            {
                return;
            }
            there = _socket.Available;
        }
        if (there < wanted)
        {
            SetLowWater(wanted);
            _socket.Poll(TogetherTime, SelectMode.SelectRead);
        }
    }

    /// <summary>Bytes in a row that wake who waits for them (SO_RCVLOWAT of socket(7)).</summary>
    void SetLowWater(int bytes)
    {
        if (_lowWater != bytes)
        {
            _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReceiveLowWater, _lowWater = bytes);
        }
    }

    /// <summary>What <see cref="System.Net.Sockets.Socket.Receive(Span{byte}, SocketFlags)"/> does, with much less code: in a chain of processes on few processors it is cold each time.</summary>
    int ReceiveHere(Span<byte> into, SocketFlags flags)
    {
        if (!OperatingSystem.IsLinux())
        {
            return _socket.Receive(into, flags);
        }
        SetLowWater(1);
        while (true)
        {
            var count = Kernel.Receive(_socket.SafeHandle, ref MemoryMarshal.GetReference(into), into.Length, (int)flags);
            if (count >= 0)
            {
                return (int)count;
            }
            if (Marshal.GetLastPInvokeError() != Kernel.Interrupted)
            {
                throw Kernel.SocketFailure();
            }
        }
    }

    /// <summary>Moves what is there into a pipe, at most this many bytes. Zero when the pipe takes no more.</summary>
    public int ReceiveInto(Pipe pipe, int count)
    {
        while (true)
        {
            var moved = Kernel.Splice(_socket.SafeHandle, 0, pipe.Input, 0, count, Kernel.DoNotWait | Kernel.MovePages);
            if (moved > 0)
            {
                return (int)moved;
            }
            if (moved == 0)
            {
                throw new SocketException((int)SocketError.ConnectionReset);
            }
            switch (Marshal.GetLastPInvokeError())
            {
                case Kernel.Interrupted:
                    continue;
                case Kernel.TryAgain when _socket.Available > 0:
                    return 0;
                default:
                    throw Kernel.SocketFailure();
            }
        }
    }

    /// <summary>Sends what belongs to the bytes that follow at once.</summary>
    public void SendAhead(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[Sent(Kernel.Send(_socket.SafeHandle, ref MemoryMarshal.GetReference(bytes), bytes.Length, Kernel.NoSignal | Kernel.MoreComes))..];
        }
    }

    /// <summary>As <see cref="SendAhead"/>; false when none of it goes without waiting.</summary>
    public bool TrySendAhead(ReadOnlySpan<byte> bytes)
    {
        var sent = Kernel.Send(_socket.SafeHandle, ref MemoryMarshal.GetReference(bytes), bytes.Length, Kernel.NoSignal | Kernel.MoreComes | Kernel.SendNow);
        if (sent < 0 && Marshal.GetLastPInvokeError() is (Kernel.TryAgain or Kernel.Interrupted))
        {
            return false;
        }
        SendAhead(bytes[Sent(sent)..]);
        return true;
    }

    /// <summary>Sends exactly these bytes out of a pipe.</summary>
    public void SendFrom(Pipe pipe, int count)
    {
        while (count > 0)
        {
            count -= Sent(Kernel.Splice(pipe.Output, 0, _socket.SafeHandle, 0, count, Kernel.MovePages));
        }
    }

    /// <summary>Sends what goes without waiting, and returns how much that was.</summary>
    public int SendAtOnce(Pipe pipe, int count)
    {
        // That splice shall not wait is said of the pipe alone: of the socket its file has to say it. Nobody else uses it at this time.
        Kernel.Control(_socket.SafeHandle, Kernel.SetFlags, Kernel.ReadWrite | Kernel.NonBlocking);
        try
        {
            var sent = Kernel.Splice(pipe.Output, 0, _socket.SafeHandle, 0, count, Kernel.DoNotWait | Kernel.MovePages);
            return sent < 0 && Marshal.GetLastPInvokeError() == Kernel.TryAgain ? 0 : Sent(sent);
        }
        finally
        {
            Kernel.Control(_socket.SafeHandle, Kernel.SetFlags, Kernel.ReadWrite);
        }
    }

    /// <summary>Sends exactly these bytes of a file. Should it have become shorter meanwhile, the connection is of no more use.</summary>
    public void SendFrom(SafeFileHandle file, long offset, int count)
    {
        while (count > 0)
        {
            var sent = Sent(Kernel.SendFile(_socket.SafeHandle, file, ref offset, count));
            count -= sent > 0 || Marshal.GetLastPInvokeError() == Kernel.Interrupted ? sent : throw new IOException("The file was cut short.");
        }
    }

    /// <summary>How many bytes a call has sent; a call that was interrupted none.</summary>
    static int Sent(nint result) =>
        result >= 0 ? (int)result : Marshal.GetLastPInvokeError() == Kernel.Interrupted ? 0 : throw Kernel.SocketFailure();
}
