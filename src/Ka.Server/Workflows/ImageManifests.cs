using Ka.Broadcast;

namespace Ka.Server.Workflows;

/// <summary>Chunk hashes of stored images, computed once and kept beside the image.</summary>
static class ImageManifests
{
    public static ImageManifest Of(string path)
    {
        var kept = path + ".chunks";
        if (File.Exists(kept) && Read(kept) is { } manifest)
            return manifest;
        manifest = ImageManifest.OfFile(path, ImageManifest.DefaultChunkBytes, CancellationToken.None);
        File.WriteAllLines(kept + ".new", [$"{manifest.Bytes} {manifest.Sha256} {manifest.ChunkBytes}", .. manifest.ChunkHashes]);
        File.Move(kept + ".new", kept, overwrite: true);
        return manifest;
    }

    static ImageManifest? Read(string kept)
    {
        var lines = File.ReadAllLines(kept);
        if (lines.Length == 0 || lines[0].Split(' ') is not [var bytes, var sha256, var chunk])
            return null;
        var manifest = new ImageManifest(long.Parse(bytes), sha256, int.Parse(chunk), [.. lines.Skip(1)]);
        return manifest.IsSound ? manifest : null;
    }
}
