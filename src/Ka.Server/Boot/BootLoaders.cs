namespace Ka.Server.Boot;

/// <summary>The loaders that machines fetch first: iPXE of the distribution, and the disk loader that the minimal environment brings.</summary>
static class BootLoaders
{
    /// <summary>Starts the system of the disk on UEFI machines; iPXE cannot.</summary>
    public const string UefiDisk = "localdisk.efi";

    /// <summary>Puts both in one directory and returns it.</summary>
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
        return into;
    }
}
