using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Manifests;

namespace Ka.Server.Environments;

/// <summary>
/// The manifests of stored images. Each is a file of the store under its own digest, so that an agent fetches exactly the one it was told
/// to; beside the image a small file names it.
/// </summary>
public static class FileManifests
{
    /// <summary>Raised when the same image would give another manifest; what is kept of an older version is then made anew.</summary>
    const string Heading = "ka-files 1 ";

    static readonly Lock Making = new();

    /// <summary>Digest of the image's manifest, or null when it has none yet.</summary>
    public static string? Find(FileStore files, string imageSha256)
    {
        var beside = Beside(files, imageSha256);
        if (!File.Exists(beside))
            return null;
        var text = File.ReadAllText(beside).TrimEnd('\n');
        var digest = text.StartsWith(Heading, StringComparison.Ordinal) ? text[Heading.Length..] : "";
        return FileStore.IsDigest(digest) && files.Has(digest) ? digest : null;
    }

    /// <summary>Keeps the manifest of an image that was read just now.</summary>
    public static (string? Sha256, Fault? Fault) Keep(FileStore files, string imageSha256, ArchiveTree tree)
    {
        var manifest = tree.ToManifest(imageSha256);
        var (digest, fault) = files.Add(stream => ManifestText.Write(stream, manifest));
        if (digest is null)
            return (null, fault);
        if (new FileInfo(files.PathOf(digest)).Length > FileManifest.PackedLimit)
        {
            files.Remove(digest);
            return (null, Fault.Of(FaultCodes.ArchiveLimit, $"the list of the archive's files has more than {FileManifest.PackedLimit} bytes"));
        }
        return DurableFile.Replace(Beside(files, imageSha256), $"{Heading}{digest}\n") is { } notKept ? (null, notKept) : (digest, null);
    }

    /// <summary>The manifest of an image that may have been registered before there were any: then it is read now.</summary>
    public static (string? Sha256, Fault? Fault) FindOrMake(FileStore files, Image image, CancellationToken cancel)
    {
        lock (Making)
        {
            if (Find(files, image.Sha256) is { } kept)
                return (kept, null);
            if (!files.Has(image.Sha256))
                return (null, Fault.Of(FaultCodes.ManifestMissing, $"the image {image.Sha256} is no longer in the store"));
            var reading = Registration.ReadArchive(files.PathOf(image.Sha256), image.Compression, cancel);
            return reading.Fault is { } fault
                ? (null, Fault.Of(FaultCodes.ManifestMissing, $"the list of the image's files cannot be made: {fault.Message}", $"{fault.Code}: {fault.Evidence}"))
                : Keep(files, image.Sha256, reading.Tree);
        }
    }

    /// <summary>Removes an image with all that is kept beside it.</summary>
    public static void RemoveImage(FileStore files, string imageSha256)
    {
        if (Find(files, imageSha256) is { } digest)
            files.Remove(digest);
        File.Delete(Beside(files, imageSha256));
        File.Delete(files.PathOf(imageSha256) + ".chunks");
        files.Remove(imageSha256);
    }

    static string Beside(FileStore files, string imageSha256) => files.PathOf(imageSha256) + ".files";
}
