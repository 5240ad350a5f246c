using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Ka.Core.Disks;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Server.Configuration;
using Ka.Yaml;

namespace Ka.Server.Environments;

/// <summary>A file that a description names.</summary>
public sealed record NamedFile(string Path, Location At);

/// <param name="Command">Program and arguments, empty when the script is <c>none</c>.</param>
public sealed record NamedPostInstall(NamedFile? Archive, ImageCompression Compression, NamedFile? Script, ImmutableArray<string> Command, TimeSpan Timeout, Location At);

/// <summary>What is said of an environment beside what it is; each may stand in a description or not.</summary>
[Flags]
public enum EnvironmentTags
{
    None = 0,
    Visibility = 1,
    Destructive = 2,
    Alias = 4,
    Labels = 8,
}

/// <summary>What a description says, before any file has been opened.</summary>
/// <param name="Digest">SHA-256 in hex that the author pins, or null.</param>
/// <param name="Kernel">Null to find it in the image.</param>
/// <param name="Images">Every image; the first is <paramref name="Image"/>.</param>
public sealed record Description(
    string Name,
    int Version,
    string Text,
    string Author,
    Visibility Visibility,
    bool Destructive,
    string Os,
    string Arch,
    NamedFile Image,
    ImageKind Kind,
    ImageCompression Compression,
    string? Digest,
    FileSystemKind FileSystem,
    string? Kernel,
    string? Initrd,
    ImmutableArray<string> Params,
    ImmutableArray<NamedPostInstall> PostInstalls,
    Location BootAt,
    Location DigestAt,
    ImmutableArray<NamedImage> Images)
{
    /// <summary>The tags that it names; the others stay as they are where the version is registered already.</summary>
    public EnvironmentTags Named { get; init; }

    public NamedPostInstall? PreInstall { get; init; }

    public BootLoader Loader { get; init; }

    public string? Alias { get; init; }

    public ImmutableSortedDictionary<string, string> Labels { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    public ImmutableSortedDictionary<string, string> Variables { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    public ImmutableArray<TemplateFile> Templates { get; init; } = [];

    public NetworkStack Network { get; init; }

    /// <summary>Every script that the environment brings, the pre-install first.</summary>
    public IEnumerable<NamedPostInstall> Installs => PreInstall is { } pre ? PostInstalls.Prepend(pre) : PostInstalls;

    public IEnumerable<NamedFile> Files =>
        Images.Select(i => i.File).Concat(Installs.SelectMany(p => new[] { p.Archive, p.Script }).OfType<NamedFile>());
}

/// <summary>Reads environment descriptions: Ka's own form and Kadeploy3's flat one, which it contains.</summary>
public static partial class DescriptionReader
{
    public const string Code = "environment.invalid";

    static readonly string[] Keys =
    [
        "name", "version", "description", "author", "visibility", "destructive", "os", "arch", "alias", "labels", "files", "image", "images", "filesystem", "boot", "network",
        "postinstall", "postinstalls", "preinstall", "partition_type", "multipart", "options", "custom_variables", "user",
    ];

    public static (Description? Description, ImmutableArray<DocumentError> Errors) Read(string file, string text)
    {
        if (!YamlReader.TryParse(file, text, YamlLimits.Default, out var root, out var errors))
            return (null, errors);
        var binder = new YamlBinder();
        var top = binder.Mapping(root, "the environment", Keys);
        var name = top.RequiredScalar("name");
        if (name is { Text.Length: > 0 } && !Name().IsMatch(name.Text))
            top.Refuse("name", Code, $"'{DocumentError.Cut(name.Text)}' is no environment name", "1 to 64 letters, digits, '.', '_', '+' or '-', beginning with a letter or digit");
        Multipart.Read(top, binder);
        var os = top.Text("os", "linux");
        if (os is not ("linux" or "xen" or "bsd" or "windows" or "other"))
            top.Refuse("os", Code, $"os '{DocumentError.Cut(os)}' is not known", "linux, xen, bsd, windows or other");
        var first = ImageSection.First(top);
        var boot = top.Section("boot", "kernel", "initrd", "params", "kernel_params", "hypervisor", "hypervisor_params", "block_device", "partition", "loader");
        foreach (var key in (string[])["kernel", "initrd"])
            if (boot.OptionalText(key) is { } path && (!path.StartsWith('/') || path.Any(char.IsControl)))
                boot.Refuse(key, Code, $"'{DocumentError.Cut(path)}' is no absolute path inside the image");
        var description = new Description(
            name?.Text ?? "", top.Int("version", 1, int.MaxValue, 1), top.Text("description", ""), top.Text("author", ""),
            top.Choice("visibility", Visibility.Private), top.Bool("destructive", false), os, top.Text("arch", "amd64"),
            first.File, first.Kind, first.Compression, first.Digest, first.Raw is null ? FileSystem(top, binder) : FileSystemKind.None,
            boot.OptionalText("kernel"), boot.OptionalText("initrd"),
            [.. (boot.OptionalText("params") ?? boot.Text("kernel_params", "")).Split(' ', StringSplitOptions.RemoveEmptyEntries)],
            [.. PostInstalls(top, binder)], boot.At, first.DigestAt, [first, .. ImageSection.More(top, binder)])
        {
            Named = NamedTags(top),
            Alias = Alias(top),
            Labels = Labels(binder, top),
            Loader = boot.Choice("loader", BootLoader.Auto),
            PreInstall = top.Node("preinstall") is { } pre ? PostInstall(binder.Mapping(pre, "the pre-install", InstallKeys)) : null,
            Variables = InstallsReader.Variables(binder, top, "custom_variables", Code),
            Templates = [.. TemplateReader.Read(binder, top)],
            Network = Network(top),
        };
        RefuseUnpinned(description, binder);
        return (binder.HasErrors ? null : description, binder.Findings);
    }

    /// <summary>What the server fetches by itself must be known byte for byte before.</summary>
    static void RefuseUnpinned(Description description, YamlBinder binder)
    {
        foreach (var image in description.Images.Where(i => HttpSources.IsAddress(i.File.Path) && i.Digest is null))
            binder.Refuse(image.File.At, Code, "an image that is fetched needs its digest", null, "digest: \"sha256:…\" beside it");
        foreach (var file in description.Installs.SelectMany(p => new[] { p.Archive, p.Script }).OfType<NamedFile>().Where(f => HttpSources.IsAddress(f.Path)))
            binder.Refuse(file.At, Code, $"'{DocumentError.Cut(file.Path)}': only images are fetched", null, "a file beside the description");
    }

    public static bool IsName(string text) => Name().IsMatch(text);

    static EnvironmentTags NamedTags(YamlSection top) =>
        (top.Has("visibility") ? EnvironmentTags.Visibility : 0) | (top.Has("destructive") ? EnvironmentTags.Destructive : 0)
        | (top.Has("alias") ? EnvironmentTags.Alias : 0) | (top.Has("labels") ? EnvironmentTags.Labels : 0);

    static string? Alias(YamlSection top)
    {
        if (top.OptionalText("alias") is not { Length: > 0 } alias)
            return null;
        if (!IsName(alias))
            top.Refuse("alias", Code, $"'{DocumentError.Cut(alias)}' is no environment name", "1 to 64 letters, digits, '.', '_', '+' or '-', beginning with a letter or digit");
        return alias;
    }

    static ImmutableSortedDictionary<string, string> Labels(YamlBinder binder, YamlSection top)
    {
        var labels = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var entry in top.Names("labels"))
            if (binder.Scalar(entry.Value, $"the label {entry.Key}") is { } value)
            {
                if (!EnvironmentLabels.IsKey(entry.Key) || !EnvironmentLabels.IsValue(value.Text))
                    binder.Refuse(entry.KeyAt, Code, $"'{DocumentError.Cut(entry.Key)}' is no label", EnvironmentLabels.Form);
                labels[entry.Key] = value.Text;
            }
        if (labels.Count > EnvironmentLabels.CountLimit)
            top.Refuse("labels", Code, $"{labels.Count} labels", $"at most {EnvironmentLabels.CountLimit}");
        return labels.ToImmutable();
    }

    /// <summary>The compression that a file name tells.</summary>
    public static ImageCompression ByName(string path) => Path.GetExtension(path).ToLowerInvariant() switch
    {
        ".gz" or ".tgz" => ImageCompression.Gzip,
        ".bz2" or ".tbz2" or ".tbz" => ImageCompression.Bzip2,
        ".xz" or ".txz" => ImageCompression.Xz,
        ".zst" or ".tzst" => ImageCompression.Zstd,
        ".lz4" => ImageCompression.Lz4,
        _ => ImageCompression.None,
    };

    static NetworkStack Network(YamlSection top)
    {
        switch (top.OptionalText("network"))
        {
            case null or "none":
                return NetworkStack.None;
            case "systemd-networkd":
                return NetworkStack.SystemdNetworkd;
            case "ifupdown":
                return NetworkStack.Ifupdown;
            case "networkmanager":
                return NetworkStack.NetworkManager;
            case var other:
                top.Refuse(
                    "network", Code, $"'{DocumentError.Cut(other)}' is no network stack", "systemd-networkd, ifupdown, networkmanager or none",
                    Suggestion.DidYouMean(other, ["systemd-networkd", "ifupdown", "networkmanager", "none"]));
                return NetworkStack.None;
        }
    }

    static FileSystemKind FileSystem(YamlSection top, YamlBinder binder)
    {
        var section = top.Node("filesystem") is YamlMapping ? top.Section("filesystem", "type", "options") : top;
        var key = ReferenceEquals(section, top) ? "filesystem" : "type";
        var text = section.OptionalText(key);
        switch (text)
        {
            case null:
                return FileSystemKind.Ext4;
            case "ext4" or "ext3" or "ext2":
                if (text != "ext4")
                    binder.Warn(section.PlaceOf(key), Code, $"filesystem '{text}' is made as ext4");
                return FileSystemKind.Ext4;
            case "xfs":
                return FileSystemKind.Xfs;
            case "btrfs":
                return FileSystemKind.Btrfs;
            default:
                section.Refuse(key, Code, $"filesystem '{DocumentError.Cut(text)}' is not supported", "ext4, xfs or btrfs");
                return FileSystemKind.Ext4;
        }
    }

    static readonly string[] InstallKeys = ["archive", "compression", "script", "run", "timeout"];

    static IEnumerable<NamedPostInstall> PostInstalls(YamlSection top, YamlBinder binder) =>
        top.List("postinstalls").Concat(top.List("postinstall"))
            .Select(item => PostInstall(binder.Mapping(item, "a post-install", InstallKeys))).OfType<NamedPostInstall>();

    static NamedPostInstall? PostInstall(YamlSection entry)
    {
        var archive = entry.OptionalScalar("archive");
        var run = (entry.OptionalText("run") ?? entry.Text("script", "none")).Split(' ', StringSplitOptions.RemoveEmptyEntries).ToImmutableArray();
        var timeout = entry.Duration("timeout", TimeSpan.FromSeconds(120), TimeSpan.FromSeconds(1), TimeSpan.FromHours(1));
        if (archive is not null)
        {
            var compression = entry.OptionalEnum<ImageCompression>("compression") ?? ByName(archive.Text);
            return new NamedPostInstall(new NamedFile(archive.Text, archive.At), compression, null, run is ["none"] ? [] : run, timeout, entry.At);
        }
        if (run is [var program, ..] && program != "none")
            return new NamedPostInstall(null, ImageCompression.None, new NamedFile(program, entry.At), run[1..], timeout, entry.At);
        entry.Refuse("script", Code, "it needs an archive or a script");
        return null;
    }

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
    private static partial Regex Name();

    [GeneratedRegex("^sha256:[0-9a-f]{64}$")]
    internal static partial Regex Digest();
}
