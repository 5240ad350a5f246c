using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text.Json;
using Ka.Protocol.Rest;

namespace Ka.Cli;

/// <summary>A container image in a directory of the OCI image layout (OCI image specification 1.1, "image-layout").</summary>
/// <param name="Layers">The lowest first, each with its file.</param>
public sealed record OciImage(ImmutableArray<(string File, ImportLayer Layer)> Layers)
{
    /// <summary>Largest JSON document that is read, bytes.</summary>
    const int DocumentLimit = 4 << 20;

    /// <summary>An index may name indexes; so deep at most.</summary>
    const int IndexDepth = 3;

    /// <summary>Reads index, manifest and configuration, each checked against the digest by which it is named.</summary>
    /// <param name="tag">Null when there is only one image for this kind of machine.</param>
    /// <exception cref="InvalidDataException">It is not such a directory, or no image of it can be deployed; the message says why.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static OciImage Read(string directory, string? tag)
    {
        if (!File.Exists(Path.Combine(directory, "oci-layout")))
            throw new InvalidDataException($"{directory} is no OCI layout: it has no file 'oci-layout'");
        try
        {
            using var index = Parse(ReadSmall(Path.Combine(directory, "index.json")));
            using var manifest = Parse(Manifest(directory, index.RootElement, tag, IndexDepth));
            using var configuration = Parse(Blob(directory, manifest.RootElement.GetProperty("config").GetProperty("digest").GetString()));
            return Of(directory, manifest.RootElement, configuration.RootElement);
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or JsonException or FormatException)
        {
            throw new InvalidDataException($"a document of the image is not of the form that the OCI specification asks for: {e.Message}", e);
        }
    }

    static OciImage Of(string directory, JsonElement manifest, JsonElement configuration)
    {
        if (configuration.GetProperty("os").GetString() != "linux" || configuration.GetProperty("architecture").GetString() != "amd64")
            throw new InvalidDataException($"the image is for {configuration.GetProperty("os")} on {configuration.GetProperty("architecture")}, not for linux on amd64");
        var layers = manifest.GetProperty("layers").EnumerateArray().ToArray();
        var contents = configuration.GetProperty("rootfs").GetProperty("diff_ids").EnumerateArray().Select(d => Hex(d.GetString())).ToArray();
        if (layers.Length != contents.Length)
            throw new InvalidDataException($"the manifest has {layers.Length} layers, the configuration {contents.Length}");
        return new OciImage([.. layers.Select((layer, i) => (PathOf(directory, layer.GetProperty("digest").GetString()),
            new ImportLayer(Hex(layer.GetProperty("digest").GetString()), Compression(layer.GetProperty("mediaType").GetString() ?? ""), contents[i])))]);
    }

    static string Compression(string mediaType) => mediaType switch
    {
        "application/vnd.oci.image.layer.v1.tar" or "application/vnd.docker.image.rootfs.diff.tar" => "none",
        "application/vnd.oci.image.layer.v1.tar+gzip" or "application/vnd.docker.image.rootfs.diff.tar.gzip" => "gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd" => "zstd",
        _ => throw new InvalidDataException($"a layer has the media type '{mediaType}', which is not known"),
    };

    /// <summary>The manifest that is meant, through nested indexes.</summary>
    static byte[] Manifest(string directory, JsonElement index, string? tag, int depth)
    {
        var all = index.GetProperty("manifests").EnumerateArray().ToArray();
        var meant = all.Where(m => tag is null || Name(m) == tag).Where(m => all.Length == 1 || IsOurs(m)).ToArray();
        if (meant.Length != 1)
            throw new InvalidDataException(meant.Length == 0
                ? $"the layout has no image '{tag}' for linux on amd64; it has {string.Join(", ", all.Select(Name).Select(n => n ?? "one without a name"))}"
                : $"the layout has several images: name one of {string.Join(", ", meant.Select(Name))}");
        var content = Blob(directory, meant[0].GetProperty("digest").GetString());
        using var document = Parse(content);
        if (!document.RootElement.TryGetProperty("manifests", out _))
            return content;
        return depth > 0 ? Manifest(directory, document.RootElement, null, depth - 1) : throw new InvalidDataException("the indexes of the layout are nested too deep");
    }

    static string? Name(JsonElement manifest) =>
        manifest.TryGetProperty("annotations", out var notes) && notes.TryGetProperty("org.opencontainers.image.ref.name", out var name) ? name.GetString() : null;

    static bool IsOurs(JsonElement manifest) =>
        !manifest.TryGetProperty("platform", out var platform)
        || (platform.GetProperty("os").GetString() == "linux" && platform.GetProperty("architecture").GetString() == "amd64");

    static byte[] Blob(string directory, string? digest)
    {
        var content = ReadSmall(PathOf(directory, digest));
        var found = Convert.ToHexStringLower(SHA256.HashData(content));
        return found == Hex(digest) ? content : throw new InvalidDataException($"the blob {digest} has SHA-256 {found}");
    }

    static string PathOf(string directory, string? digest) => Path.Combine(directory, "blobs", "sha256", Hex(digest));

    /// <summary>The digest becomes a file name: nothing but hexadecimal digits may be in it.</summary>
    static string Hex(string? digest) =>
        digest?.Split(':') is ["sha256", { Length: 64 } hex] && hex.All(char.IsAsciiHexDigitLower) ? hex : throw new InvalidDataException($"'{digest}' is no SHA-256 digest");

    static byte[] ReadSmall(string path)
    {
        var size = new FileInfo(path).Length;
        return size <= DocumentLimit ? File.ReadAllBytes(path) : throw new InvalidDataException($"{path} has {size} bytes, more than a document of an image has");
    }

    static JsonDocument Parse(byte[] content) => JsonDocument.Parse(content, new JsonDocumentOptions { MaxDepth = 32 });
}
