using System.Collections.Immutable;
using Ka.Core.Disks;
using Ka.Core.Environments;

namespace Ka.Engine.Planning;

/// <summary>What the images of an environment need of a deployment; the rest of its steps is left out, and the plan says why.</summary>
/// <param name="WholeDisk">The image brings its own partition table.</param>
/// <param name="RawParts">Places in the environment's list of images that are written as they are.</param>
/// <param name="Mounted">The root of the deployed system can be mounted: identity, scripts and keys work.</param>
/// <param name="Bootloader">Ka installs it; a whole-disk image brings its own.</param>
/// <param name="Kexec">The kernel is known by name and can be read.</param>
/// <param name="Seed">cloud-init gets its data.</param>
public sealed record ImageNeeds(
    bool WholeDisk, ImmutableArray<int> RawParts, ImmutableArray<int> TarParts, bool Mounted, bool Bootloader, bool Kexec, bool Grow, bool Seed, ImmutableArray<string> LeftOut)
{
    public static ImageNeeds Of(OsEnvironment environment)
    {
        var images = environment.Images();
        var raw = environment.Image.Raw;
        var wholeDisk = raw?.Target == RawTarget.Disk;
        var isUnix = environment.Os is "linux" or "xen";
        var mounted = raw is null || (isUnix && raw.FileSystem is FileSystemKind.Ext4 or FileSystemKind.Xfs or FileSystemKind.Btrfs);
        var named = environment.Boot.Kernel.Length > 0;
        return new ImageNeeds(
            wholeDisk, Places(ImageKind.Raw), Places(ImageKind.Tar), mounted, mounted && !wholeDisk && named, mounted && named && environment.Os == "linux", raw?.Grow == true, raw?.CloudInit == true,
            [.. LeftOutOf(wholeDisk, raw is not null, mounted, named, environment.Os)]);

        ImmutableArray<int> Places(ImageKind kind) => [.. Enumerable.Range(0, images.Length).Where(i => images[i].Image.Kind == kind)];
    }

    static IEnumerable<string> LeftOutOf(bool wholeDisk, bool raw, bool mounted, bool named, string os)
    {
        if (wholeDisk)
            yield return "partition, format: the image brings its own partition table and file systems";
        if (!mounted)
            yield return $"identity, scripts, keys: {(os is "linux" or "xen" ? "no partition of the image holds an ext4, XFS or btrfs root" : $"os '{os}' is written as it is")}; "
                + "whatever answers on port 22 after the boot is taken for the deployed system";
        if (wholeDisk)
            yield return "bootloader: the image brings its own";
        else if (raw && (!mounted || !named))
            yield return $"bootloader: {(mounted ? "the description names no kernel" : "the root cannot be mounted")}";
        if (raw && (!mounted || !named))
            yield return $"kexec: {(mounted ? "the description names no kernel" : "the root cannot be mounted")}";
    }
}
