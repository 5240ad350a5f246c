using System.Buffers.Binary;
using System.Security.Cryptography;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Drivers.Programs;

namespace Ka.Server.Environments;

/// <summary>
/// Turns a qcow2 image into a raw one in the store. What its header asks for is judged here, before any other program sees the file:
/// a backing file or an external data file would be any file that the server may read.
/// </summary>
public static class Qcow2
{
    public const string Program = "qemu-img";

    static readonly TimeSpan Deadline = TimeSpan.FromMinutes(30);

    const int HeaderBytes = 104;

    /// <summary>Memory that the converter may map: it parses what a stranger wrote.</summary>
    const long MemoryLimit = 4L << 30;

    /// <summary>Features without which the image cannot be read (qcow2 specification, "incompatible features").</summary>
    const ulong Dirty = 1, CompressionType = 1 << 3, ExtendedEntries = 1 << 4;

    /// <summary>The size of the disk inside, or why the image is not taken.</summary>
    public static (long Bytes, Fault? Fault) Probe(ReadOnlySpan<byte> header)
    {
        var format = ImageFormats.Recognise(header);
        if (header.Length < HeaderBytes || format != "qcow2")
            return Refuse(format is null or "qcow2" ? "it has no whole qcow2 header" : $"its first bytes are those of {format}");
        var version = BinaryPrimitives.ReadUInt32BigEndian(header[4..]);
        if (version is not (2 or 3))
            return Refuse($"version {version} is not known");
        if (BinaryPrimitives.ReadUInt64BigEndian(header[8..]) != 0 || BinaryPrimitives.ReadUInt32BigEndian(header[16..]) != 0)
            return Refuse("it needs a backing file", "flatten it: qemu-img convert -O qcow2 IMAGE WHOLE.qcow2");
        if (BinaryPrimitives.ReadUInt32BigEndian(header[32..]) != 0)
            return Refuse("it is encrypted");
        var features = version == 3 ? BinaryPrimitives.ReadUInt64BigEndian(header[72..]) : 0;
        if ((features & 4) != 0)
            return Refuse("its data lie in another file", "flatten it: qemu-img convert -O qcow2 IMAGE WHOLE.qcow2");
        if ((features & ~(Dirty | CompressionType | ExtendedEntries)) != 0)
            return Refuse($"it is damaged or asks for features that are not known (0x{features:x})", "mend it: qemu-img check -r all IMAGE");
        var bytes = BinaryPrimitives.ReadUInt64BigEndian(header[24..]);
        return bytes is 0 or > BlockHashes.ImageLimit || bytes % 512 != 0 ? Refuse($"a disk of {bytes} bytes is not taken") : ((long)bytes, null);
    }

    /// <summary>Converts and compresses; the digest of the result in the store.</summary>
    public static (string? Sha256, Fault? Fault) Convert(string sha256, FileStore files, CancellationToken cancel)
    {
        var header = new byte[HeaderBytes];
        using (var file = File.OpenRead(files.PathOf(sha256)))
            file.ReadAtLeast(header, header.Length, throwOnEndOfStream: false);
        var (bytes, refused) = Probe(header);
        if (refused is not null)
            return (null, refused);
        var raw = files.Scratch();
        var packed = raw + ".zst";
        try
        {
            // The format is named on both sides: nothing is recognised by content.
            var fault = Run("prlimit", [$"--fsize={bytes}", $"--as={MemoryLimit}", Program, "convert", "-f", "qcow2", "-O", "raw", files.PathOf(sha256), raw], cancel)
                ?? Run("zstd", ["-q", "-f", "--single-thread", "-3", raw, "-o", packed], cancel);
            if (fault is not null)
                return (null, fault);
            string digest;
            using (var stream = File.OpenRead(packed))
                digest = System.Convert.ToHexStringLower(SHA256.HashData(stream));
            using (var stream = File.OpenRead(packed))
                return files.Has(digest) ? (digest, null) : files.PutAsync(digest, stream, cancel).GetAwaiter().GetResult() is { } notKept ? (null, notKept) : (digest, null);
        }
        finally
        {
            File.Delete(raw);
            File.Delete(packed);
        }
    }

    static Fault? Run(string program, string[] arguments, CancellationToken cancel)
    {
        using var late = new CancellationTokenSource(Deadline);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            var ran = ExternalProgram.RunAsync(program, arguments, either.Token).GetAwaiter().GetResult();
            return ran.Ok ? null : Fault.Of(FaultCodes.ArchiveInvalid, $"the image could not be converted: {program} ended with status {ran.ExitCode?.ToString() ?? "none"} (packages qemu-utils, util-linux, zstd)", ran.Evidence);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            return Fault.Of(FaultCodes.ArchiveInvalid, $"the conversion of the image did not end within {Deadline.TotalMinutes:0} minutes");
        }
    }

    static (long, Fault) Refuse(string why, string? advice = null) => (0, Fault.Of(FaultCodes.ArchiveInvalid, $"the qcow2 image is not taken: {why}", advice));
}
