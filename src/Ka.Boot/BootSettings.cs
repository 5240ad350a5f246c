using System.Collections.Immutable;
using System.Net;
using Ka.Boot.Dhcp;
using Ka.Core.BootProfiles;
using Ka.Core.NodeSets;

namespace Ka.Boot;

/// <summary>How Ka takes part in DHCP.</summary>
public enum DhcpMode
{
    /// <summary>Gives known nodes their fixed address and their boot file.</summary>
    Full,

    /// <summary>Another server gives addresses; Ka adds the boot file (PXE 2.1 proxyDHCP, ports 67 and 4011).</summary>
    Proxy,

    /// <summary>No DHCP; TFTP and HTTP only.</summary>
    Off,
}

/// <summary>A network with nodes in it.</summary>
/// <param name="Network">Prefix; its mask goes to the nodes.</param>
/// <param name="Router">Default router, or null for none.</param>
public sealed record BootNetwork(IPNetwork Network, IPAddress? Router, ImmutableArray<IPAddress> DnsServers, string? Domain);

/// <summary>Everything the boot server needs to know of its surroundings. Checked by <see cref="Check"/> before a start.</summary>
/// <param name="Interface">The one network interface it listens on, as in <c>ip link</c>.</param>
/// <param name="Address">The server's own address there.</param>
/// <param name="HttpBase">Where nodes reach the routes of <c>MapBoot</c>, such as <c>http://10.0.0.1:8080/</c>; plain HTTP, because firmware has no certificates.</param>
/// <param name="Networks">The networks served; requests from other addresses are refused.</param>
public sealed record BootSettings(string Interface, IPAddress Address, Uri HttpBase, ImmutableArray<BootNetwork> Networks)
{
    /// <summary>Longest interface name (IFNAMSIZ less the end).</summary>
    private const int MaxInterface = 15;

    /// <summary>Part taken in DHCP.</summary>
    public DhcpMode Mode { get; init; } = DhcpMode.Full;

    /// <summary>Lease of a fixed address: 1 hour by default; short, so that a changed address is taken up soon.</summary>
    public TimeSpan LeaseTime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Relays whose requests are answered; the answer goes to the relay (RFC 2131 section 4.1). None by default.</summary>
    public ImmutableArray<IPAddress> Relays { get; init; } = [];

    /// <summary>Where the loader files are.</summary>
    public string LoaderDirectory { get; init; } = "/usr/lib/ipxe";

    /// <summary>First loader for BIOS machines.</summary>
    public string BiosLoader { get; init; } = "undionly.kpxe";

    /// <summary>First loader for UEFI machines with x86-64; it uses the firmware's own network driver.</summary>
    public string UefiLoader { get; init; } = "snponly.efi";

    /// <summary>First loader for UEFI HTTP boot.</summary>
    public string UefiHttpLoader { get; init; } = "ipxe.efi";

    /// <summary>
    /// An EFI program in the loader directory that starts the system on the disk, such as GRUB made by grub-mkimage; null to go on in
    /// the firmware's boot order.
    /// </summary>
    public string? UefiDiskLoader { get; init; }

    /// <summary>The loader that Microsoft signed and every firmware with Secure Boot starts; it starts what its distribution signed.</summary>
    public const string Shim = "shimx64.efi";

    /// <summary>The distribution's signed GRUB for the network, under the name that shim asks for.</summary>
    public const string SignedGrub = "grubx64.efi";

    /// <summary>Whether any node has Secure Boot, so that the signed loaders are needed.</summary>
    public bool SecureBoot { get; init; }

    /// <summary>Files that nodes with Secure Boot read below their key.</summary>
    public ImmutableArray<string> SignedLoaders => SecureBoot ? [Shim, SignedGrub] : [];

    /// <summary>Files that may be read by TFTP and under <c>/boot/loader/</c>, by exact name.</summary>
    public ImmutableArray<string> Loaders => [.. new[] { BiosLoader, UefiLoader, UefiHttpLoader, UefiDiskLoader }.OfType<string>().Distinct()];

    /// <summary>The node's script, kernel and initial RAM disk.</summary>
    public BootUrls UrlsOf(BootNode node) => new(
        Url(node, "script.ipxe"), Url(node, "kernel"), Url(node, "initrd"), UefiDiskLoader is null ? null : new(HttpBase, $"boot/loader/{UefiDiskLoader}"));

    /// <summary>The same for GRUB, which speaks TFTP only where it is signed.</summary>
    public BootUrls TftpUrlsOf(BootNode node)
    {
        var below = new Uri($"tftp://{Address}/{node.Key}/");
        return new(new(below, "grub.cfg"), new(below, "kernel"), new(below, "initrd"));
    }

    /// <summary>The network an address belongs to, or null.</summary>
    public BootNetwork? NetworkOf(IPAddress address) => Networks.FirstOrDefault(network => network.Network.Contains(address));

    /// <summary>Every reason not to start, one sentence each; empty when all is well.</summary>
    public IEnumerable<string> Check()
    {
        if (Interface.Length is 0 or > MaxInterface || Interface.AsSpan().ContainsAny("/ \t\n"))
        {
            yield return $"'{Interface}' is not the name of a network interface";
        }

        if (!File.Exists($"/sys/class/net/{Interface}/operstate") && Interface.Length > 0)
        {
            yield return $"there is no network interface '{Interface}'";
        }

        if (Address.Equals(IPAddress.Any) || NetworkOf(Address) is null)
        {
            yield return $"the boot address {Address} is in none of the boot networks";
        }

        if (HttpBase.Scheme != Uri.UriSchemeHttp || !HttpBase.AbsolutePath.EndsWith('/'))
        {
            yield return $"the boot address for HTTP, {HttpBase}, must begin with http:// and end with '/'";
        }

        if (LeaseTime < TimeSpan.FromMinutes(1) || LeaseTime > TimeSpan.FromDays(30))
        {
            yield return $"the lease time {LeaseTime} is not between 1 minute and 30 days";
        }

        foreach (var missing in MissingLoaders())
        {
            yield return missing;
        }
    }

    /// <summary>The loaders that are not there, one sentence each with the package that brings them.</summary>
    public IEnumerable<string> MissingLoaders() =>
        from loader in Loaders.Concat(SignedLoaders)
        where Path.GetFileName(loader) != loader || !File.Exists(Path.Combine(LoaderDirectory, loader))
        select $"the loader '{loader}' is not in {LoaderDirectory}; install the package {PackageOf(loader)}";

    /// <summary>The Debian package that brings a loader.</summary>
    public static string PackageOf(string loader) => loader switch
    {
        Shim => "shim-signed",
        SignedGrub => "grub-efi-amd64-signed",
        _ => "ipxe",
    };

    private Uri Url(BootNode node, string file) => new(HttpBase, $"boot/{node.Key}/{file}");
}

/// <summary>What the boot server must know of a node, read anew at each request.</summary>
/// <param name="Address">The node's fixed IPv4 address.</param>
/// <param name="Key">The unguessable part of its URLs: letters and digits, 16 to 64; changes with each boot order.</param>
/// <param name="Profile">What it boots now.</param>
public sealed record BootNode(NodeName Name, MacAddress Mac, IPAddress Address, string Key, BootProfile Profile)
{
    /// <summary>Whether its firmware starts only signed loaders.</summary>
    public bool SecureBoot { get; init; }
}

/// <summary>Looks up nodes; answers at once from memory and may be asked from any thread.</summary>
public interface IBootDirectory
{
    /// <summary>The node with this network card.</summary>
    bool TryFindByMac(MacAddress mac, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BootNode? node);

    /// <summary>The node with this key now; a key that was withdrawn finds nothing.</summary>
    bool TryFindByKey(string key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BootNode? node);
}

/// <summary>What was seen of a machine that boots.</summary>
public enum BootEventKind
{
    DhcpDiscover,
    DhcpRequest,
    DhcpAck,
    TftpRequest,
    ScriptFetched,
    KernelFetched,
    InitrdFetched,
    LoaderFetched,
    UnknownMachine,
    Refused,
}

/// <summary>One observation. A fetch is noted when the last byte was handed to the network.</summary>
/// <param name="Node">The node, when it is known.</param>
/// <param name="Mac">The machine, when it is known.</param>
/// <param name="From">Its address, when it has one.</param>
/// <param name="Detail">One sentence or a file name, harmless to print.</param>
public sealed record BootEvent(BootEventKind Kind, NodeName? Node, MacAddress? Mac, IPAddress? From, string Detail, DateTimeOffset At)
{
    /// <summary>Of an unknown machine that boots.</summary>
    public MachineTraits? Traits { get; init; }
}
