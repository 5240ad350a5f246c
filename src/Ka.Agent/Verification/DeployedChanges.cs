namespace Ka.Agent.Verification;

/// <summary>
/// What a deployment itself changes in the unpacked image: identity (host name, hosts, fstab, machine-id, ssh host keys), the
/// network's file, root's keys and the bootloader's files; and what a system writes as soon as it runs: its temporary files, logs and the
/// state of its services (file-hierarchy(7)). A check of a deployed system leaves these out; the check right after unpacking leaves nothing out.
/// </summary>
static class DeployedChanges
{
    static readonly HashSet<string> Files = new(StringComparer.Ordinal)
    {
        "/etc/hostname", "/etc/hosts", "/etc/fstab", "/etc/machine-id", "/var/lib/dbus/machine-id",
        "/root/.ssh", "/root/.ssh/authorized_keys", "/etc/ssh/sshd_config.d/ka.conf",
        "/etc/systemd/network/10-ka.network", "/etc/network/interfaces.d/ka", "/etc/NetworkManager/system-connections/ka.nmconnection",
        "/etc/default/grub.d", "/etc/default/grub.d/ka.cfg", "/etc/.updated", "/var/.updated", "/etc/ld.so.cache", "/etc/adjtime",
    };

    /// <summary>Directories with everything in them, the directories themselves included.</summary>
    static readonly string[] Trees = 
    [
        "/boot/grub", "/boot/grub2", "/boot/efi",
        "/tmp", "/var/tmp", "/run", "/var/log", "/var/cache", "/var/spool", "/var/lib/systemd", "/var/lib/dhcp", "/var/lib/NetworkManager", "/var/lib/cloud",
    ];

    public static bool Contain(string path) =>
        Files.Contains(path) || path.StartsWith("/etc/ssh/ssh_host_", StringComparison.Ordinal) || ContainAllOf(path);

    /// <summary>Not only this itself, but everything in it.</summary>
    public static bool ContainAllOf(string path) =>
        Trees.Any(t => path.StartsWith(t, StringComparison.Ordinal) && (path.Length == t.Length || path[t.Length] == '/'));

    /// <summary>A service of the system may have made this since; what the image itself has there is compared.</summary>
    public static bool MayAdd(string path) => path.StartsWith("/var/lib/", StringComparison.Ordinal);
}
