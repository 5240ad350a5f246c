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
            if (!digests.TryGetValue(file.Path, out var sent) || !FileStore.IsDigest(sent) || !files.Has(sent))
                return Refuse(FaultCodes.ArchiveInvalid, $"the file '{DocumentError.Cut(file.Path)}' was not sent", file.At);
        var sha256 = digests[description.Image.Path];
        if (description.Digest is { } pinned && pinned != sha256)
            return Refuse(FaultCodes.ArchiveDigest, $"{description.Image.Path} has SHA-256 {sha256}, the description pins {pinned}", description.DigestAt);
        var path = files.PathOf(sha256);
        var reading = Registration.ReadArchive(path, description.Compression, cancel);
        if (reading.Fault is { } broken)
            return (null, new RegistrationRefusal(broken, description.Image.At));
        var boot = new BootSpec(description.Kernel ?? "", description.Initrd, description.Params);
        if (description.Kernel is null && reading.Tree.FindKernel() is { } found)
            boot = boot with { Kernel = found.Kernel, Initrd = description.Initrd ?? found.Initrd };
        if (boot.Kernel.Length == 0)
            return Refuse(FaultCodes.ArchiveKernelMissing, "the description names no kernel and none was found in /boot", description.BootAt);
        if (reading.Tree.CheckBoot(boot.Kernel, boot.Initrd) is { } missing)
            return (null, new RegistrationRefusal(missing, description.BootAt));
        foreach (var post in description.Installs)
            if (post.Archive is { } archive && Registration.ReadArchive(files.PathOf(digests[archive.Path]), post.Compression, cancel).Fault is { } fault)
                return (null, new RegistrationRefusal(fault, archive.At));
        if (FileManifests.Keep(files, sha256, reading.Tree).Fault is { } notKept)
            return (null, new RegistrationRefusal(notKept, description.Image.At));
        ImageManifests.Of(path);
        return (Make(description, digests, boot, new Image(sha256, new FileInfo(path).Length, description.Kind, description.Compression, reading.Tree.UnpackedBytes), now), null);

        static (OsEnvironment?, RegistrationRefusal?) Refuse(FaultCode code, string message, Location at) => (null, new RegistrationRefusal(Fault.Of(code, message), at));
    }

    static OsEnvironment Make(Description description, ImmutableDictionary<string, string> digests, BootSpec boot, Image image, DateTimeOffset now) => new(
        description.Name, description.Version, "root", description.Text, description.Author, description.Visibility, description.Destructive,
        description.Os, description.Arch, image, description.FileSystem, boot,
        [.. description.PostInstalls.Select((p, i) => Make(p, $"post-install {i + 1}", digests))],
        now)
    {
        PreInstall = description.PreInstall is { } pre ? Make(pre, "pre-install", digests) : null,
        Variables = description.Variables,
        Files = description.Templates,
    };

    static PostInstall Make(NamedPostInstall install, string name, ImmutableDictionary<string, string> digests) => new(
        name, install.Archive is { } a ? digests[a.Path] : null, install.Compression, install.Script is { } s ? digests[s.Path] : null, install.Command, install.Timeout);

    public static IEnumerable<string> FilesOf(OsEnvironment environment) =>
        environment.PostInstalls.Concat(environment.PreInstall is { } pre ? [pre] : []).SelectMany(p => new[] { p.ArchiveSha256, p.ScriptSha256 }).OfType<string>().Prepend(environment.Image.Sha256);

    /// <summary>Whether registering the second over the first would change nothing.</summary>
    public static bool SameContent(OsEnvironment a, OsEnvironment b) =>
        a.Image == b.Image && a.Description == b.Description && a.Author == b.Author && a.Visibility == b.Visibility && a.Destructive == b.Destructive
        && a.Os == b.Os && a.Arch == b.Arch && a.FileSystem == b.FileSystem
        && a.Boot.Kernel == b.Boot.Kernel && a.Boot.Initrd == b.Boot.Initrd && a.Boot.Params.SequenceEqual(b.Boot.Params)
        && a.Variables.SequenceEqual(b.Variables) && a.Files.SequenceEqual(b.Files)
        && a.PostInstalls.Length == b.PostInstalls.Length
        && a.PostInstalls.Zip(b.PostInstalls).All(p => Same(p.First, p.Second))
        && (a.PreInstall is null ? b.PreInstall is null : b.PreInstall is { } other && Same(a.PreInstall, other));

    static bool Same(PostInstall a, PostInstall b) => a with { Command = [] } == b with { Command = [] } && a.Command.SequenceEqual(b.Command);
}
