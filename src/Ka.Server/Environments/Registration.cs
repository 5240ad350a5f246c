using System.Collections.Immutable;
using System.Diagnostics;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>What opening an image told.</summary>
public sealed record ImageReading(Fault? Fault, ArchiveTree Tree);

/// <summary>Opens stored files the way their description says they are packed.</summary>
public static class Registration
{
    /// <summary>Reads an archive from beginning to end: that it is whole, and what is in it.</summary>
    public static ImageReading ReadArchive(string path, ImageCompression compression, CancellationToken cancel)
    {
        var tree = new ArchiveTree();
        var fault = Read(path, compression, stream => TarWalk.Walk(stream, tree.Add, cancel), cancel);
        if (fault is null && tree.Escape is { } escape)
            fault = Fault.Of(FaultCodes.ArchiveInvalid, $"the archive has a name that leaves the root: {escape}");
        return new ImageReading(fault, tree);
    }

    /// <summary>Reads a stored file through the decompressor of its description.</summary>
    /// <param name="read">Reads the uncompressed stream to its end.</param>
    public static Fault? Read(string path, ImageCompression compression, Func<Stream, Fault?> read, CancellationToken cancel)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.SequentialScan);
            return compression switch
            {
                ImageCompression.None => read(new BufferedStream(file, 256 * 1024)),
                ImageCompression.Gzip => Through("gzip"),
                ImageCompression.Bzip2 => Through("bzip2"),
                ImageCompression.Xz => Through("xz"),
                ImageCompression.Zstd => Through("zstd"),
                ImageCompression.Lz4 => Through("lz4"),
            };
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            return Fault.Of(FaultCodes.ArchiveInvalid, "the archive cannot be read", e.Message);
        }

        Fault? Through(string program) => Decompressed(program, path, read, cancel);
    }

    static Fault? Decompressed(string program, string path, Func<Stream, Fault?> read, CancellationToken cancel)
    {
        var start = new ProcessStartInfo("/usr/bin/" + program) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (!File.Exists(start.FileName))
            start.FileName = "/bin/" + program;
        foreach (var argument in (string[])["-d", "-c", "-q", "--", path])
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
            var said = errors.GetAwaiter().GetResult().Trim();
            if (process.ExitCode != 0 && (fault is null || fault.Code == FaultCodes.ArchiveTruncated))
                fault = Fault.Of(FaultCodes.ArchiveInvalid, $"{program} ended with status {process.ExitCode}", said);
            if (said.Contains("truncated", StringComparison.OrdinalIgnoreCase) || said.Contains("unexpected end", StringComparison.OrdinalIgnoreCase)
                || said.Contains("premature", StringComparison.OrdinalIgnoreCase) || said.Contains("unfinished stream", StringComparison.OrdinalIgnoreCase))
                return Fault.Of(FaultCodes.ArchiveTruncated, $"the {program} stream ends too early", said);
            return fault is not null && said.Length > 0 ? fault with { Evidence = said } : fault;
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw;
        }
    }
}
