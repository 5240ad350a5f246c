using System.Collections.Immutable;
using Ka.Core.Documents;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Server.Workflows;

namespace Ka.Server.Environments;

/// <summary>Why a description was not registered, and where in it.</summary>
public sealed record RegistrationRefusal(Fault Fault, Location? At);

/// <summary>Turns a description and the files it names into an environment, after having opened them.</summary>
public static class Registrar
{
    public static (OsEnvironment? Environment, RegistrationRefusal? Refused) Register(
        Description description, ImmutableDictionary<string, string> digests, FileStore files, DateTimeOffset now, CancellationToken cancel)
    {
        foreach (var file in description.Files)
            if (!digests.TryGetValue(file.Path, out var sent) || !FileStore.IsDigest(sent) || !files.Use(sent))
                return Refuse(FaultCodes.ArchiveInvalid, $"the file '{DocumentError.Cut(file.Path)}' was not sent", file.At);
        foreach (var image in description.Images)
            if (image.Digest is { } pinned && pinned != digests[image.File.Path])
                return Refuse(FaultCodes.ArchiveDigest, $"{image.File.Path} has SHA-256 {digests[image.File.Path]}, the description pins {pinned}", image.DigestAt);
        var (images, boot, refused) = Images(description, digests, files, cancel);
        if (refused is not null)
            return (null, refused);
        foreach (var post in description.Installs)
            if (post.Archive is { } archive && Registration.ReadArchive(files.PathOf(digests[archive.Path]), post.Compression, cancel).Fault is { } fault)
                return (null, new RegistrationRefusal(fault, archive.At));
        foreach (var image in images)
            ImageManifests.Of(files.PathOf(image.Sha256));
        return (Make(description, digests, boot, images, now), null);

        static (OsEnvironment?, RegistrationRefusal?) Refuse(FaultCode code, string message, Location at) => (null, new RegistrationRefusal(Fault.Of(code, message), at));
    }

    /// <summary>Opens every image; an archive as the first one must hold the kernel.</summary>
    static (ImmutableArray<Image> Images, BootSpec Boot, RegistrationRefusal? Refused) Images(
        Description description, ImmutableDictionary<string, string> digests, FileStore files, CancellationToken cancel)
    {
        var boot = new BootSpec(description.Kernel ?? "", description.Initrd, description.Params) { Loader = description.Loader };
        var images = ImmutableArray.CreateBuilder<Image>();
        foreach (var named in description.Images)
        {
            var sha256 = digests[named.File.Path];
            if (named.Raw is { } wish)
            {
                var (raw, fault) = RawRegistration.Register(sha256, named.Compression, wish, files, cancel);
                if (raw is null)
                    return ([], boot, new RegistrationRefusal(fault!, named.File.At));
                images.Add(raw);
                continue;
            }
            var reading = Registration.ReadArchive(files.PathOf(sha256), named.Compression, cancel);
            if (reading.Fault is { } broken)
                return ([], boot, new RegistrationRefusal(broken, named.File.At));
            if (FileManifests.Keep(files, sha256, reading.Tree).Fault is { } notKept)
                return ([], boot, new RegistrationRefusal(notKept, named.File.At));
            if (named.Partition is null)
            {
                (boot, var missing) = FindBoot(description, boot, reading.Tree);
                if (missing is not null)
                    return ([], boot, new RegistrationRefusal(missing, description.BootAt));
            }
            images.Add(new Image(sha256, new FileInfo(files.PathOf(sha256)).Length, named.Kind, named.Compression, reading.Tree.UnpackedBytes) { AclsAsText = reading.Tree.AclsAsText });
        }
        return (images.ToImmutable(), boot, null);
    }

    static (BootSpec Boot, Fault? Missing) FindBoot(Description description, BootSpec boot, ArchiveTree tree)
    {
        if (description.Kernel is null && tree.FindKernel() is { } found)
            boot = boot with { Kernel = found.Kernel, Initrd = description.Initrd ?? found.Initrd };
        return boot.Kernel.Length == 0
            ? (boot, Fault.Of(FaultCodes.ArchiveKernelMissing, "the description names no kernel and none was found in /boot"))
            : (boot, tree.CheckBoot(boot.Kernel, boot.Initrd));
    }

    static OsEnvironment Make(Description description, ImmutableDictionary<string, string> digests, BootSpec boot, ImmutableArray<Image> images, DateTimeOffset now) => new(
        description.Name, description.Version, "root", description.Text, description.Author, description.Visibility, description.Destructive,
        description.Os, description.Arch, images[0], images[0].Raw?.FileSystem ?? description.FileSystem, boot,
        [.. description.PostInstalls.Select((p, i) => Make(p, $"post-install {i + 1}", digests))],
        now)
    {
        PreInstall = description.PreInstall is { } pre ? Make(pre, "pre-install", digests) : null,
        Variables = description.Variables,
        Parts = images.Length == 1 ? null : [.. images.Skip(1).Select((image, i) => new ImagePart(description.Images[i + 1].Partition, image))],
        Files = description.Templates,
        Network = description.Network,
        Alias = description.Alias,
        Labels = description.Labels,
    };

    static PostInstall Make(NamedPostInstall install, string name, ImmutableDictionary<string, string> digests) => new(
        name, install.Archive is { } a ? digests[a.Path] : null, install.Compression, install.Script is { } s ? digests[s.Path] : null, install.Command, install.Timeout);

    public static IEnumerable<string> FilesOf(OsEnvironment environment) =>
        environment.PostInstalls.Concat(environment.PreInstall is { } pre ? [pre] : []).SelectMany(p => new[] { p.ArchiveSha256, p.ScriptSha256 }).OfType<string>()
            .Concat(environment.Images().SelectMany(i => new[] { i.Image.Sha256, i.Image.Raw?.BlockHashes, i.Image.Raw?.SourceSha256 }).OfType<string>());

    /// <summary>Whether the second is said to be what the first is: these words may change without another version.</summary>
    public static bool SameTags(OsEnvironment a, OsEnvironment b) =>
        a.Visibility == b.Visibility && a.Destructive == b.Destructive && a.Alias == b.Alias && a.Labels.SequenceEqual(b.Labels);

    /// <summary>What is registered, with the tags that a description names; what it does not name stays.</summary>
    public static OsEnvironment Retagged(OsEnvironment existing, Description described) => existing with
    {
        Visibility = described.Named.HasFlag(EnvironmentTags.Visibility) ? described.Visibility : existing.Visibility,
        Destructive = described.Named.HasFlag(EnvironmentTags.Destructive) ? described.Destructive : existing.Destructive,
        Alias = described.Named.HasFlag(EnvironmentTags.Alias) ? described.Alias : existing.Alias,
        Labels = described.Named.HasFlag(EnvironmentTags.Labels) ? described.Labels : existing.Labels,
    };

    /// <summary>Whether the second would deploy nothing else than the first.</summary>
    public static bool SameContent(OsEnvironment a, OsEnvironment b) =>
        SameImages(a.Images(), b.Images()) && a.Description == b.Description && a.Author == b.Author
        && a.Os == b.Os && a.Network == b.Network && a.Arch == b.Arch && a.FileSystem == b.FileSystem
        && a.Boot.Kernel == b.Boot.Kernel && a.Boot.Initrd == b.Boot.Initrd && a.Boot.Loader == b.Boot.Loader && a.Boot.Params.SequenceEqual(b.Boot.Params)
        && a.Variables.SequenceEqual(b.Variables) && a.Files.SequenceEqual(b.Files)
        && a.PostInstalls.Length == b.PostInstalls.Length
        && a.PostInstalls.Zip(b.PostInstalls).All(p => Same(p.First, p.Second))
        && (a.PreInstall is null ? b.PreInstall is null : b.PreInstall is { } other && Same(a.PreInstall, other));

    static bool Same(PostInstall a, PostInstall b) => a with { Command = [] } == b with { Command = [] } && a.Command.SequenceEqual(b.Command);

    static bool SameImages(ImmutableArray<ImagePart> a, ImmutableArray<ImagePart> b) =>
        a.Length == b.Length && a.Zip(b).All(p =>
            p.First.Partition == p.Second.Partition && p.First.Image with { Raw = null } == p.Second.Image with { Raw = null }
            && (p.First.Image.Raw?.SameAs(p.Second.Image.Raw) ?? p.Second.Image.Raw is null));
}
