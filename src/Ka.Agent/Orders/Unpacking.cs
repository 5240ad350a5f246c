using System.ComponentModel;
using System.Diagnostics;
using Ka.Agent.Machine;
using Ka.Broadcast;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>
/// The decompressor and GNU tar, connected by the agent so that both exit states and the end of the stream are seen. GNU tar exits 0 on
/// some truncated archives: the end marker (two blocks of zeros) and nothing but zeros behind it decide. Tar runs where it can write to its
/// directory only, so that an archive which deceives server and tar still leaves nothing elsewhere.
/// </summary>
sealed class Unpacking : IImageSink
{
    readonly Process? _decompressor;
    readonly Process _tar;
    readonly TarFeed _feed;
    readonly Task _copying;
    readonly Task<string> _tarSaid;
    readonly Task<string> _decompressorSaid;

    readonly string _target;

    Unpacking(Process? decompressor, Process tar, string target)
    {
        _target = target;
        _decompressor = decompressor;
        _tar = tar;
        _feed = new TarFeed(tar.StandardInput.BaseStream);
        _tarSaid = Tail.Of(tar.StandardError);
        _ = Tail.Of(tar.StandardOutput);
        _decompressorSaid = decompressor is null ? Task.FromResult("") : Tail.Of(decompressor.StandardError);
        Input = decompressor is null ? _feed : decompressor.StandardInput.BaseStream;
        Pipes.Widen(Input);
        _copying = decompressor is null ? Task.CompletedTask : Task.Factory.StartNew(
            () => Pass(decompressor.StandardOutput.BaseStream, tar.StandardInput.BaseStream, _feed), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Takes the image as it arrives.</summary>
    public Stream Input { get; }

    /// <summary>Bytes of the unpacked archive so far.</summary>
    public long Bytes => _feed.Bytes;

    /// <summary>A program ended with an error before its input did.</summary>
    public bool HasFailed => _tar is { HasExited: true, ExitCode: not 0 } || _decompressor is { HasExited: true, ExitCode: not 0 };

    /// <param name="aclsAsText">See <see cref="ReceiveImage.AclsAsText"/>.</param>
    /// <exception cref="Win32Exception">A program is not there.</exception>
    public static Unpacking Start(ImageCompression compression, AgentPaths paths, string target, bool aclsAsText = false)
    {
        var tar = new Process { StartInfo = Enclosure.OnlyTarget(paths, target, "tar", aclsAsText ? ["--acls", .. TarArguments] : TarArguments) };
        tar.Start();
        if (Decompressor(compression) is not { } command)
        {
            return new Unpacking(null, tar, target);
        }
        var decompressor = new Process { StartInfo = Tool.Start(command.Program, command.Arguments) };
        try
        {
            decompressor.Start();
        }
        catch (Win32Exception)
        {
            Tool.Kill(tar, null);
            tar.Dispose();
            throw;
        }
        return new Unpacking(decompressor, tar, target);
    }

    /// <summary>Everything an operating system's files carry: owners by number, modes, extended attributes (capabilities and ACLs among them), holes.</summary>
    static readonly string[] TarArguments =
        ["-x", "-p", "--numeric-owner", "--same-owner", "--xattrs", "--xattrs-include=*", "--sparse", "--warning=no-timestamp", "-C", Enclosure.TargetInside, "-f", "-"];

    /// <summary>The program with its memory limited as at registration; what needs more was refused there.</summary>
    internal static (string Program, string[] Arguments)? Decompressor(ImageCompression compression) => compression switch
    {
        ImageCompression.None => null,
        ImageCompression.Gzip => ("gzip", ["-d", "-c"]),
        ImageCompression.Bzip2 => ("bzip2", ["-d", "-c"]),
        ImageCompression.Xz => ("xz", ["-d", "-c", "--memlimit-decompress=128MiB"]),
        ImageCompression.Zstd => ("zstd", ["-d", "-c", "--memory=128MB"]),
        ImageCompression.Lz4 => ("lz4", ["-d", "-c"]),
    };

    /// <summary>Ends the input and judges what came of it. Null when every program succeeded and the archive has its end.</summary>
    /// <param name="complete">False when the input broke off: then the programs say why.</param>
    public async Task<Fault?> Finish(bool complete, CancellationToken cancel)
    {
        await using var killing = cancel.Register(Kill);
        Close(Input);
        await _copying;
        Close(_feed);
        if (_decompressor is not null)
        {
            await _decompressor.WaitForExitAsync(CancellationToken.None);
        }
        await _tar.WaitForExitAsync(CancellationToken.None);
        cancel.ThrowIfCancellationRequested();
        var (tarSaid, decompressorSaid) = (await _tarSaid, await _decompressorSaid);
        if (_tar.ExitCode != 0)
        {
            return TarFault(_tar.ExitCode, tarSaid, decompressorSaid);
        }
        if (_decompressor is { ExitCode: not 0 })
        {
            return Fault.Of(FaultCodes.ImageExtractFailed, "The image could not be decompressed.", $"{_decompressor.StartInfo.FileName} ended with status {_decompressor.ExitCode}: {decompressorSaid.Trim()}");
        }
        if (!complete)
        {
            return null; // the broken input's own fault stands
        }
        return _feed.Verdict() is { } verdict ? Fault.Of(FaultCodes.ImageExtractFailed, verdict, $"{_feed.Bytes} bytes of archive; {tarSaid.Trim()}") : null;
    }

    public Fault? Persist()
    {
        var error = Native.SyncFileSystem(_target);
        return error == 0 ? null : Mounts.NotWritten(error, "The unpacked image", Native.Message(error));
    }

    public void Kill()
    {
        Tool.Kill(_tar, null);
        if (_decompressor is not null)
        {
            Tool.Kill(_decompressor, null);
        }
    }

    public void Dispose()
    {
        Kill();
        _tar.Dispose();
        _decompressor?.Dispose();
    }

    static Fault TarFault(int status, string said, string decompressorSaid)
    {
        // A write that the disk takes in part only is told by tar without the reason; there is no other in practice.
        var full = said.Contains("No space left on device", StringComparison.Ordinal) || said.Contains("Wrote only", StringComparison.Ordinal);
        var code = full ? FaultCodes.DiskFull
            : said.Contains("Input/output error", StringComparison.Ordinal) ? FaultCodes.DiskIoError
            : FaultCodes.ImageExtractFailed;
        return Fault.Of(code, "The archive could not be unpacked.", $"tar ended with status {status}: {said.Trim()} {decompressorSaid.Trim()}".Trim());
    }

    static void Close(Stream stream)
    {
        try
        {
            stream.Dispose();
        }
        catch (IOException)
        {
            // the program has gone; its status tells
        }
    }

    /// <summary>Passes everything on to tar, by the kernel where it can (<see cref="Pipes.Duplicate"/>); what is read here is only looked at.</summary>
    static void Pass(Stream from, Stream tar, TarFeed feed)
    {
        Pipes.Widen(from);
        Pipes.Widen(tar);
        var buffer = new byte[Pipes.WideBytes];
        try
        {
            while (Pipes.Duplicate(from, tar, buffer.Length) is var ready and > 0)
            {
                from.ReadExactly(buffer, 0, ready);
                feed.Passed(buffer.AsSpan(0, ready));
            }
            int count;
            while ((count = from.Read(buffer)) > 0)
            {
                feed.Write(buffer.AsSpan(0, count));
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // a program was killed; its status tells
        }
    }
}

/// <summary>
/// Tar's standard input. Tar stops reading at the end marker: what comes after is not written any more but looked at. Remembers how many
/// zero bytes the stream ends with.
/// </summary>
sealed class TarFeed(Stream tar) : WriteOnlyStream
{
    const int EndMarkerBytes = 1024;

    bool _tarStopped;
    bool _garbage;
    long _zeros;

    public long Bytes { get; private set; }

    /// <summary>Null when the archive ended as archives end.</summary>
    public string? Verdict() =>
        _garbage ? "There is something behind the end of the archive."
        : _zeros < EndMarkerBytes ? "The archive has no end marker: it was cut off."
        : null;

    /// <summary>Looks at what tar has been given by another way.</summary>
    public void Passed(ReadOnlySpan<byte> buffer) => Look(buffer);

    bool Look(ReadOnlySpan<byte> buffer)
    {
        Bytes += buffer.Length;
        var last = buffer.LastIndexOfAnyExcept((byte)0);
        _zeros = last < 0 ? _zeros + buffer.Length : buffer.Length - 1 - last;
        return last >= 0;
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        var holdsSomething = Look(buffer);
        if (!_tarStopped)
        {
            try
            {
                tar.Write(buffer);
                return;
            }
            catch (IOException)
            {
                // It read to the end marker, which may lie in this very buffer: what it had not taken is judged by its tail.
                _tarStopped = true;
                return;
            }
        }
        _garbage |= holdsSomething;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            tar.Dispose();
        }
        base.Dispose(disposing);
    }
}
