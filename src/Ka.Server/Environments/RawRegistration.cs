using System.Security.Cryptography;
using Ka.Core.Disks;
using Ka.Core.Environments;
using Ka.Core.Faults;

namespace Ka.Server.Environments;

/// <summary>Registers a disk image: reads it once from beginning to end and keeps its block hashes in the store.</summary>
static class RawRegistration
{
    /// <param name="given">The author's file in the store.</param>
    public static (Image? Image, Fault? Fault) Register(string given, ImageCompression compression, RawWish wish, FileStore files, CancellationToken cancel)
    {
        var (sha256, source) = (given, (string?)null);
        if (wish.Qcow2)
        {
            var (converted, refused) = Qcow2.Convert(given, files, cancel);
            if (converted is null)
                return (null, refused);
            (sha256, source, compression) = (converted, given, ImageCompression.Zstd);
        }
        var path = files.PathOf(sha256);
        using var reading = new RawReading();
        if (Registration.Read(path, compression, stream => reading.Read(stream, cancel), cancel) is { } broken)
            return (null, broken);
        var hashes = reading.Hashes!;
        var (root, layout, fault) = Root(reading, wish);
        if (fault is not null)
            return (null, fault);
        var document = Convert.ToHexStringLower(SHA256.HashData(hashes.Packed.Span));
        if (!files.Has(document) && files.PutAsync(document, new MemoryStream(hashes.Packed.ToArray()), cancel).GetAwaiter().GetResult() is { } notKept)
            return (null, notKept);
        var raw = new RawImage(
            wish.Target, document, root?.FileSystem?.Kind ?? FileSystemKind.None, wish.Grow, layout, reading.Table?.SectorBytes ?? 0, source, CloudInit: wish.Qcow2);
        return (new Image(sha256, new FileInfo(path).Length, ImageKind.Raw, compression, hashes.Bytes, raw), null);
    }

    static (ProbedPartition? Root, DiskLayout? Layout, Fault? Fault) Root(RawReading reading, RawWish wish)
    {
        var partitions = reading.Partitions();
        if (wish.Target == RawTarget.Partition)
        {
            if (reading.Table is { Partitions: { IsEmpty: false } inner })
                return (null, null, Fault.Of(
                    FaultCodes.ArchiveInvalid, $"the image is for a partition, but it has a partition table with {inner.Length} partition(s)", "say 'target: disk', or take one partition out of it"));
            return (partitions.FirstOrDefault(p => p.FileSystem is not null), null, null);
        }
        var root = reading.Table is null ? null : ImageRoot.Find(partitions, wish.Root);
        if (root is null && wish.Root is { } named)
            return (null, null, Fault.Of(
                FaultCodes.ArchiveInvalid, $"the image has no ext4, XFS or btrfs root '{named}'",
                string.Join(", ", partitions.Select(p => $"partition {p.Partition.Number}: {p.FileSystem?.Kind.ToString() ?? "unknown"} label '{p.FileSystem?.Label}' uuid {p.FileSystem?.Uuid}"))));
        return (root, root is null ? null : ImageRoot.Layout(reading.Table!.Kind, partitions, root), null);
    }
}
