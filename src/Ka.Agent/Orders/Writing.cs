using System.ComponentModel;
using System.Diagnostics;
using Ka.Agent.Machine;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Agent.Orders;

/// <summary>The decompressor and a block device, connected by the agent.</summary>
sealed class Writing : IImageSink
{
    readonly BlockDevice _device;
    readonly DeviceFeed _feed;
    readonly Process? _decompressor;
    readonly Task _copying = Task.CompletedTask;
    readonly Task<string> _said = Task.FromResult("");

    Writing(BlockDevice device, long bytes, Process? decompressor)
    {
        _device = device;
        _feed = new DeviceFeed(device, bytes);
        _decompressor = decompressor;
        if (decompressor is null)
        {
            Input = _feed;
            return;
        }
        Input = decompressor.StandardInput.BaseStream;
        _said = Tail.Of(decompressor.StandardError);
        var output = decompressor.StandardOutput.BaseStream;
        _copying = Task.Factory.StartNew(() => Copy(output), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    public Stream Input { get; }

    public long Bytes => _feed.Bytes;

    public bool HasFailed => _feed.Fault is not null || _decompressor is { HasExited: true, ExitCode: not 0 };

    /// <param name="device">Is closed with this.</param>
    /// <exception cref="Win32Exception">The decompressor is not there.</exception>
    public static Writing Start(BlockDevice device, long bytes, ImageCompression compression)
    {
        if (Unpacking.Decompressor(compression) is not { } command)
        {
            return new Writing(device, bytes, null);
        }
        var decompressor = new Process { StartInfo = Tool.Start(command.Program, command.Arguments) };
        decompressor.Start();
        return new Writing(device, bytes, decompressor);
    }

    public async Task<Fault?> Finish(bool complete, CancellationToken cancel)
    {
        await using var killing = cancel.Register(Kill);
        if (_decompressor is not null)
        {
            try
            {
                Input.Dispose();
            }
            catch (IOException)
            {
                // the program has gone; its status tells
            }
            await _copying;
            await _decompressor.WaitForExitAsync(CancellationToken.None);
        }
        cancel.ThrowIfCancellationRequested();
        if (_feed.Fault is { } failed)
        {
            return failed;
        }
        if (_decompressor is { ExitCode: not 0 })
        {
            return Fault.Of(FaultCodes.ImageExtractFailed, "The image could not be decompressed.", $"{_decompressor.StartInfo.FileName} ended with status {_decompressor.ExitCode}: {(await _said).Trim()}");
        }
        return complete ? _feed.End() : null;
    }

    public Fault? Persist()
    {
        var fault = _device.Sync();
        _device.DropCache();
        return fault;
    }

    public void Kill()
    {
        if (_decompressor is not null)
        {
            Tool.Kill(_decompressor, null);
        }
    }

    public void Dispose()
    {
        Kill();
        _copying.Wait();
        _decompressor?.Dispose();
        _feed.Dispose();
        _device.Dispose();
    }

    void Copy(Stream from)
    {
        var buffer = new byte[256 * 1024];
        int count;
        try
        {
            while ((count = from.Read(buffer)) > 0)
            {
                _feed.Write(buffer.AsSpan(0, count));
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            Kill(); // the device failed: nobody reads what the program writes any more
        }
    }
}
