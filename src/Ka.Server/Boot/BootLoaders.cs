using System.Collections.Immutable;
using Ka.Boot;

namespace Ka.Server.Boot;

/// <summary>
/// The loaders that machines fetch first: iPXE of the distribution, its signed shim and GRUB for nodes with Secure Boot, and the disk loader
/// that the minimal environment brings.
/// </summary>
static class BootLoaders
{
    /// <summary>Starts the system of the disk on UEFI machines; iPXE cannot.</summary>
    public const string UefiDisk = "localdisk.efi";

    /// <summary>Where Debian's packages shim-signed and grub-efi-amd64-signed put what a machine with Secure Boot starts.</summary>
    static readonly ImmutableArray<(string File, string Name)> Signed =
    [
        ("/usr/lib/shim/shimx64.efi.signed", BootSettings.Shim),
        ("/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", BootSettings.SignedGrub),
    ];

    /// <summary>Puts all that are there in one directory and returns it. A site's own signed ones beside its iPXE go before the distribution's.</summary>
    public static string Prepare(string distribution, string minimal, string into)
    {
        Directory.CreateDirectory(into);
        string[] files =
        [
            .. new[] { "undionly.kpxe", "ipxe.pxe", "snponly.efi", "ipxe.efi" }.Select(n => Path.Combine(distribution, n)),
            Path.Combine(minimal, UefiDisk),
        ];
        foreach (var file in files.Where(File.Exists))
            File.Copy(file, Path.Combine(into, Path.GetFileName(file)), overwrite: true);
        foreach (var (_, name) in Signed)
            if (FindSigned(distribution, name) is { } found)
                File.Copy(found, Path.Combine(into, name), overwrite: true);
            else
                File.Delete(Path.Combine(into, name));
        return into;
    }

    /// <summary>The signed loaders that this machine lacks.</summary>
    public static IEnumerable<string> MissingSigned(string distribution) => Signed.Select(s => s.Name).Where(name => FindSigned(distribution, name) is null);

    static string? FindSigned(string distribution, string name) =>
        new[] { Path.Combine(distribution, name), Signed.First(s => s.Name == name).File }.FirstOrDefault(File.Exists);
}
