using System.Diagnostics;
using System.Globalization;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>What opening an image told.</summary>
public sealed record ImageReading(Fault? Fault, ArchiveTree Tree);

/// <summary>
/// Opens stored files the way their description says they are packed. Nothing is ever unpacked to a disk of the server: the archive is
/// read as a stream.
/// </summary>
public static class Registration
{
    /// <summary>Reads an archive from beginning to end: that it is whole and safe, and what is in it.</summary>
    public static ImageReading ReadArchive(string path, ImageCompression compression, CancellationToken cancel, ArchiveLimits? limits = null)
    {
        limits ??= ArchiveLimits.Default;
        var tree = new ArchiveTree(limits);
        var packedBytes = new FileInfo(path) is { Exists: true } file ? file.Length : 0;
        var fault = Read(path, compression, stream => TarWalk.Walk(stream, packedBytes, limits, tree.Add, cancel), cancel);
        return new ImageReading(fault, tree);
    }

    /// <summary>Reads a stored file through the decompressor of its description.</summary>
    /// <param name="read">Reads the uncompressed stream to its end.</param>
    public static Fault? Read(string path, ImageCompression compression, Func<Stream, Fault?> read, CancellationToken cancel)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.SequentialScan);
            return OtherFormat(file, compression) ?? (Arguments(compression) is { } arguments
                ? Decompressed(Word(compression), [.. arguments, "--", path], read, cancel)
                : read(new BufferedStream(file, 256 * 1024)));
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            return Fault.Of(FaultCodes.ArchiveInvalid, "the archive cannot be read", e.Message);
        }
    }

    /// <summary>Some programs unpack what they were not told to; the file's own first bytes are looked at instead.</summary>
    static Fault? OtherFormat(FileStream file, ImageCompression compression)
    {
        Span<byte> begin = stackalloc byte[8];
        begin = begin[..file.ReadAtLeast(begin, begin.Length, throwOnEndOfStream: false)];
        file.Position = 0;
        var declared = Word(compression);
        return TarFields.Format(begin) is { } found && found != declared
            ? Fault.Of(FaultCodes.ArchiveInvalid, $"the description says compression {declared}, but the file begins like {found}")
            : null;
    }

    static string Word(ImageCompression compression) => compression switch
    {
        ImageCompression.None => "none",
        ImageCompression.Gzip => "gzip",
        ImageCompression.Bzip2 => "bzip2",
        ImageCompression.Xz => "xz",
        ImageCompression.Zstd => "zstd",
        ImageCompression.Lz4 => "lz4",
    };

    /// <summary>The program's arguments, its memory limited; null when no program is needed.</summary>
    static string[]? Arguments(ImageCompression compression)
    {
        var mebibytes = ArchiveLimits.DecoderMebibytes.ToString(CultureInfo.InvariantCulture);
        return compression switch
        {
            ImageCompression.None => null,
            ImageCompression.Gzip or ImageCompression.Bzip2 or ImageCompression.Lz4 => ["-d", "-c", "-q"],
            ImageCompression.Xz => ["-d", "-c", "-q", $"--memlimit-decompress={mebibytes}MiB"],
            ImageCompression.Zstd => ["-d", "-c", "-q", $"--memory={mebibytes}MB"],
        };
    }

    static Fault? Decompressed(string program, string[] arguments, Func<Stream, Fault?> read, CancellationToken cancel)
    {
        var start = new ProcessStartInfo("/usr/bin/" + program) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (!File.Exists(start.FileName))
            start.FileName = "/bin/" + program;
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(cancel);
        try
        {
            var fault = read(new BufferedStream(process.StandardOutput.BaseStream, 256 * 1024));
            // A walk that ended with the stream leaves the program to end by itself and to say why.
            if (fault is not null && fault.Code != FaultCodes.ArchiveTruncated && !process.HasExited)
                process.Kill();
            process.WaitForExit();
            return Judge(program, process.ExitCode, errors.GetAwaiter().GetResult().Trim(), fault);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw;
        }
    }

    static Fault? Judge(string program, int status, string said, Fault? fault)
    {
        var ownEnd = status != 0 && (fault is null || fault.Code == FaultCodes.ArchiveTruncated);
        if (ownEnd && Said("memory", "window size larger"))
            return Fault.Of(FaultCodes.ArchiveLimit, $"{program} needs more than {ArchiveLimits.DecoderMebibytes} MiB of memory to unpack this; pack it with a smaller window or dictionary", said);
        if (ownEnd)
            fault = Fault.Of(FaultCodes.ArchiveInvalid, $"{program} ended with status {status}", said);
        if (Said("truncated", "unexpected end", "premature", "unfinished stream"))
            return Fault.Of(FaultCodes.ArchiveTruncated, $"the {program} stream ends too early", said);
        return fault is not null && said.Length > 0 ? fault with { Evidence = said } : fault;

        bool Said(params ReadOnlySpan<string> words)
        {
            foreach (var word in words)
                if (said.Contains(word, StringComparison.OrdinalIgnoreCase))
                    return true;
            return false;
        }
    }
}
