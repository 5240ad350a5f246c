namespace Ka.Core.BootProfiles;

/// <summary>What a node boots next. A node that no workflow owns boots from its <see cref="LocalDisk"/>.</summary>
public abstract record BootProfile
{
    private BootProfile()
    {
    }

    /// <summary>A kernel that comes from the network.</summary>
    /// <param name="KernelPath">File on the server.</param>
    /// <param name="InitrdPath">File on the server, or null.</param>
    public abstract record FromNetwork(string KernelPath, string? InitrdPath, KernelParameters Parameters) : BootProfile;

    /// <summary>The trusted system in memory that runs the agent.</summary>
    /// <param name="KernelPath">File on the server.</param>
    /// <param name="InitrdPath">File on the server.</param>
    public sealed record MinimalEnvironment(string KernelPath, string InitrdPath, KernelParameters Parameters) : FromNetwork(KernelPath, InitrdPath, Parameters);

    /// <summary>What is installed on the disk: BIOS drive 0x80, or the next entry of the UEFI boot order.</summary>
    public sealed record LocalDisk : BootProfile;

    /// <summary>A kernel of the user's own, with or without an initial RAM disk.</summary>
    /// <param name="KernelPath">File on the server.</param>
    /// <param name="InitrdPath">File on the server, or null.</param>
    public sealed record Custom(string KernelPath, string? InitrdPath, KernelParameters Parameters) : FromNetwork(KernelPath, InitrdPath, Parameters);
}
