using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Yaml;

namespace Ka.Server.Environments;

/// <summary>An image as a description names it.</summary>
/// <param name="Digest">SHA-256 in hex that the author pins, or null.</param>
/// <param name="Raw">What is wanted of a disk image; null for an archive.</param>
/// <param name="Partition">Name of the partition it goes to; null for the first image.</param>
public sealed record NamedImage(NamedFile File, ImageKind Kind, ImageCompression Compression, string? Digest, Location DigestAt, RawWish? Raw, string? Partition);

/// <summary>Reads <c>image</c> and each item of <c>images</c>.</summary>
static class ImageSection
{
    const string Code = DescriptionReader.Code;

    public static readonly string[] Keys = ["file", "source", "kind", "compression", "digest", "target", "grow", "root"];

    /// <summary>The first image, under the key <c>image</c>.</summary>
    public static NamedImage First(YamlSection top)
    {
        if (!top.Has("image"))
            top.RequiredText("image");
        return Read(top.Section("image", Keys), null);
    }

    /// <summary>Further images, each for a partition of its own.</summary>
    public static IEnumerable<NamedImage> More(YamlSection top, YamlBinder binder)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in top.List("images"))
        {
            var image = binder.Mapping(item, "an image", [.. Keys, "partition"]);
            var partition = image.RequiredText("partition");
            if (partition.Length > 0 && !seen.Add(partition))
                image.Refuse("partition", Code, $"two images go to the partition '{DocumentError.Cut(partition)}'");
            yield return Read(image, partition);
        }
    }

    static NamedImage Read(YamlSection image, string? partition)
    {
        var key = image.Has("source") ? "source" : "file";
        var path = image.RequiredText(key);
        var kind = image.Text("kind", "tar");
        if (kind == "fsa")
            image.Refuse("kind", Code, "archives of fsarchiver are not deployed: they cannot be unpacked as they arrive", "tar, raw, dd or qcow2",
                "restore it once (fsarchiver restfs) and make a tar of the tree, or an image of each partition");
        else if (kind is not ("tar" or "raw" or "dd" or "qcow2"))
            image.Refuse("kind", Code, $"image kind '{DocumentError.Cut(kind)}' is not known", "tar, raw, dd or qcow2");
        var digest = image.OptionalText("digest");
        if (digest is not null && !DescriptionReader.Digest().IsMatch(digest))
        {
            image.Refuse("digest", Code, $"'{DocumentError.Cut(digest)}' is no digest", "sha256: and 64 hexadecimal digits, lower case");
            digest = null;
        }
        var compression = image.OptionalEnum<ImageCompression>("compression") ?? DescriptionReader.ByName(path);
        if (kind == "qcow2" && compression != ImageCompression.None)
            image.Refuse(image.Has("compression") ? "compression" : key, Code, "a qcow2 image is compressed in itself; unpack the file first");
        var raw = kind is "raw" or "dd" or "qcow2" ? Wish(image, kind, partition) : null;
        if (raw is null)
            foreach (var only in (string[])["target", "grow", "root"])
                if (image.Has(only))
                    image.Refuse(only, Code, $"'{only}' is for disk images", "kind: raw or qcow2");
        return new NamedImage(
            new NamedFile(path, image.PlaceOf(key)), raw is null ? ImageKind.Tar : ImageKind.Raw, compression, digest?["sha256:".Length..], image.PlaceOf("digest"), raw, partition);
    }

    static RawWish Wish(YamlSection image, string kind, string? partition)
    {
        var usual = partition is not null || kind == "dd" ? RawTarget.Partition : RawTarget.Disk;
        var target = image.Choice("target", usual);
        if (target == RawTarget.Disk && partition is not null)
            image.Refuse("target", Code, $"the image for the partition '{DocumentError.Cut(partition)}' cannot be for the whole disk", "partition");
        if (target == RawTarget.Partition && kind == "qcow2")
            image.Refuse("target", Code, "a qcow2 image is one of a whole disk", "disk");
        var root = image.OptionalText("root");
        if (root is not null && (root.Split(' ', 2) is not [("partition" or "label" or "uuid"), { Length: > 0 and <= 64 }] || root.Any(char.IsControl)))
            image.Refuse("root", Code, $"'{DocumentError.Cut(root)}' names no partition", "partition N, label NAME or uuid UUID");
        if (root is not null && target == RawTarget.Partition)
            image.Refuse("root", Code, "'root' is for images of whole disks");
        return new RawWish(target, Truth(image, "grow"), root, kind == "qcow2");
    }

    /// <summary>Also <c>yes</c> and <c>no</c>, as people write it.</summary>
    static bool Truth(YamlSection image, string key)
    {
        switch (image.OptionalText(key))
        {
            case null or "no" or "false":
                return false;
            case "yes" or "true":
                return true;
            case var other:
                image.Refuse(key, Code, $"'{DocumentError.Cut(other)}' is neither yes nor no", "yes or no");
                return false;
        }
    }
}

/// <summary>Kadeploy3's form of environments for several partitions.</summary>
static class Multipart
{
    /// <summary>
    /// There it is a list of the parts of one fsarchiver archive and their devices. It is read, so that its own errors are told, and then
    /// refused with the form that Ka has for the same.
    /// </summary>
    public static void Read(YamlSection top, YamlBinder binder)
    {
        var wanted = top.Bool("multipart", false);
        if (!top.Has("options"))
        {
            if (wanted)
                Refuse(top, "multipart");
            return;
        }
        var options = top.Section("options", "partitions", "kexec", "trust_previous_env", "block_device", "partition");
        var (ids, devices) = (new HashSet<int>(), new HashSet<string>(StringComparer.Ordinal));
        foreach (var item in options.List("partitions"))
        {
            var partition = binder.Mapping(item, "a partition", "id", "device");
            if (!ids.Add(partition.RequiredInt("id", 0, 1000)))
                partition.Refuse("id", DescriptionReader.Code, "two partitions have the same id");
            if (partition.RequiredText("device") is { Length: > 0 } device && !devices.Add(device))
                partition.Refuse("device", DescriptionReader.Code, $"two partitions go to '{DocumentError.Cut(device)}'");
        }
        if (wanted)
            Refuse(top, "multipart");
        else
            binder.Warn(top.PlaceOf("options"), DescriptionReader.Code, "'options' has no meaning without 'multipart' and is not used");
    }

    static void Refuse(YamlSection top, string key) => top.Refuse(
        key, DescriptionReader.Code, "'multipart' tells the parts of an fsarchiver archive, which is not deployed", "images: one for each partition",
        "write 'image' for the deploy partition and 'images: [{ file: data.img, kind: raw, partition: data }]' for the others");
}
