using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Ka.Core.Disks;
using Ka.Core.Environments;

namespace Ka.Server.Environments;

/// <summary>Everything that makes an environment, as words under keys: what two of them are compared by. Files stand there by their digests.</summary>
public static class EnvironmentFacts
{
    public static ImmutableSortedDictionary<string, string> Of(OsEnvironment e)
    {
        var facts = Common(e.Description, e.Author, e.Visibility, e.Destructive, e.Os, e.Arch, e.Alias, e.Labels, e.Variables, e.Files, e.Network, e.Boot);
        facts["kernel"] = e.Boot.Kernel;
        facts["initrd"] = e.Boot.Initrd ?? "";
        facts["filesystem"] = Word(e.FileSystem);
        foreach (var (part, i) in e.Images().Select((p, i) => (p, i)))
        {
            var raw = part.Image.Raw;
            Image(facts, i, part.Partition, raw?.SourceSha256 ?? part.Image.Sha256, raw?.SourceSha256 is null ? part.Image.Compression : ImageCompression.None, raw is null ? null : (raw.Target, raw.Grow, raw.SourceSha256 is not null));
        }
        if (e.PreInstall is { } pre)
            Install(facts, "preinstall", pre.ArchiveSha256, pre.ScriptSha256, pre.Command, pre.Timeout);
        foreach (var (post, i) in e.PostInstalls.Select((p, i) => (p, i)))
            Install(facts, $"postinstalls[{i}]", post.ArchiveSha256, post.ScriptSha256, post.Command, post.Timeout);
        return facts.ToImmutable();
    }

    /// <summary>The same of a description that is not registered. Tags that it does not name are those of the other side, which would stay; what is only found by opening an image is taken from there, when the image is the same.</summary>
    /// <param name="digests">Path as written in the description → SHA-256.</param>
    public static ImmutableSortedDictionary<string, string> Of(Description d, ImmutableDictionary<string, string> digests, OsEnvironment other)
    {
        var boot = new BootSpec("", null, d.Params) { Loader = d.Loader };
        var tagged = Registrar.Retagged(other, d);
        var facts = Common(d.Text, d.Author, tagged.Visibility, tagged.Destructive, d.Os, d.Arch, tagged.Alias, tagged.Labels, d.Variables, d.Templates, d.Network, boot);
        foreach (var (image, i) in d.Images.Select((p, i) => (p, i)))
            Image(facts, i, image.Partition, HttpSources.IsAddress(image.File.Path) ? image.Digest : Digest(image.File), image.Compression, image.Raw is { } raw ? (raw.Target, raw.Grow, raw.Qcow2) : null);
        var same = facts["image"] == Of(other)["image"];
        facts["kernel"] = d.Kernel ?? (same ? other.Boot.Kernel : "found in the image");
        facts["initrd"] = d.Initrd ?? (same ? other.Boot.Initrd ?? "" : "found in the image");
        facts["filesystem"] = d.Images[0].Raw is null ? Word(d.FileSystem) : same ? Word(other.FileSystem) : "found in the image";
        if (d.PreInstall is { } pre)
            Install(facts, "preinstall", Digest(pre.Archive), Digest(pre.Script), pre.Command, pre.Timeout);
        foreach (var (post, i) in d.PostInstalls.Select((p, i) => (p, i)))
            Install(facts, $"postinstalls[{i}]", Digest(post.Archive), Digest(post.Script), post.Command, post.Timeout);
        return facts.ToImmutable();

        string? Digest(NamedFile? file) => file is null ? null : digests.GetValueOrDefault(file.Path, "not there");
    }

    /// <summary>Keys with other words, in order; an absent one is empty.</summary>
    public static IEnumerable<(string Key, string Left, string Right)> Differences(ImmutableSortedDictionary<string, string> left, ImmutableSortedDictionary<string, string> right) =>
        from key in left.Keys.Union(right.Keys).Order(StringComparer.Ordinal)
        let pair = (key, left.GetValueOrDefault(key, ""), right.GetValueOrDefault(key, ""))
        where pair.Item2 != pair.Item3
        select pair;

    static ImmutableSortedDictionary<string, string>.Builder Common(
        string description, string author, Visibility visibility, bool destructive, string os, string arch, string? alias, ImmutableSortedDictionary<string, string> labels,
        ImmutableSortedDictionary<string, string> variables, ImmutableArray<TemplateFile> files, NetworkStack network, BootSpec boot)
    {
        var facts = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        facts["description"] = description;
        facts["author"] = author;
        facts["visibility"] = visibility.ToString().ToLowerInvariant();
        facts["destructive"] = destructive ? "true" : "false";
        facts["os"] = os;
        facts["arch"] = arch;
        facts["alias"] = alias ?? "";
        facts["network"] = DescriptionWriter.Network(network) ?? "";
        facts["params"] = string.Join(' ', boot.Params);
        facts["loader"] = DescriptionWriter.Loader(boot.Loader) ?? "";
        foreach (var (key, value) in labels)
            facts["labels." + key] = value;
        foreach (var (key, value) in variables)
            facts["custom_variables." + key] = value;
        foreach (var file in files)
            facts["files." + file.Path] =
                $"sha256:{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(file.Text)))} {DescriptionWriter.Escape(file.Target)} {Convert.ToString(file.Mode, 8).PadLeft(4, '0')}";
        return facts;
    }

    static void Image(
        ImmutableSortedDictionary<string, string>.Builder facts, int index, string? partition, string? digest, ImageCompression compression, (RawTarget Target, bool Grow, bool Qcow2)? raw)
    {
        var key = index == 0 ? "image" : $"images[{index - 1}]";
        facts[key] = "sha256:" + digest;
        facts[key + ".kind"] = raw is null ? "tar" : raw.Value.Qcow2 ? "qcow2" : "raw";
        facts[key + ".compression"] = compression.ToString().ToLowerInvariant();
        if (partition is not null)
            facts[key + ".partition"] = partition;
        if (raw is { } wish)
            (facts[key + ".target"], facts[key + ".grow"]) = (wish.Target.ToString().ToLowerInvariant(), wish.Grow ? "yes" : "no");
    }

    static void Install(ImmutableSortedDictionary<string, string>.Builder facts, string key, string? archive, string? script, ImmutableArray<string> command, TimeSpan timeout)
    {
        if (archive is not null)
            facts[key + ".archive"] = "sha256:" + archive;
        if (script is not null)
            facts[key + ".script"] = "sha256:" + script;
        facts[key + ".run"] = string.Join(' ', command);
        facts[key + ".timeout"] = timeout.TotalSeconds.ToString(CultureInfo.InvariantCulture) + "s";
    }

    static string Word(FileSystemKind kind) => kind.ToString().ToLowerInvariant();
}
