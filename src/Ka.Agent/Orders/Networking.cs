using System.IO.Enumeration;
using Ka.Agent.Machine;
using Ka.Core.BootProfiles;
using Ka.Core.Environments;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="ConfigureNetwork"/>: one file for the stack that the description names, if the image has it and uses it.</summary>
static class Networking
{
    const string Interfaces = "/etc/network/interfaces";
    static readonly string[] Units = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

    public static OrderOutcome Run(ConfigureNetwork order, OrderContext context)
    {
        var target = context.Paths.Target;
        if (!MacAddress.TryParse(order.Mac, out var mac))
        {
            return Fault.Of(FaultCodes.AgentProtocol, "This is not a MAC address.", order.Mac);
        }
        if (NetworkFile.Of(order.Stack, mac) is not { } file)
        {
            return OrderOutcome.Done;
        }
        try
        {
            return (Lacking(order.Stack, target) ?? Unused(order.Stack, file, target)) is { } refused
                ? refused
                : OrderOutcome.Found(("files", TargetPath.Write(target, file.Path, file.Text, file.Mode, force: true)));
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.DiskIoError, "The network could not be configured in the target.", e.Message);
        }
    }

    /// <summary>The package that the image lacks, as a fault; null when it has all.</summary>
    static Fault? Lacking(NetworkStack stack, string target)
    {
        var package = stack switch
        {
            NetworkStack.SystemdNetworkd => Has("/usr/lib/systemd/systemd-networkd") || Has("/lib/systemd/systemd-networkd") ? null : "systemd-networkd",
            // Programs of the same name (ifupdown2, busybox) know no patterns by address; dpkg tells whose it is.
            NetworkStack.Ifupdown => Bootloader.OfImage(target, "ifup") is null || !Has("/var/lib/dpkg/info/ifupdown.list") ? "ifupdown"
                : Bootloader.OfImage(target, "dhclient", "udhcpc", "dhcpcd") is null ? "isc-dhcp-client" : null,
            NetworkStack.NetworkManager => Bootloader.OfImage(target, "NetworkManager") is null ? "network-manager" : null,
            NetworkStack.None => null,
        };
        return package is null
            ? null
            : Fault.Of(FaultCodes.ImageLacksPackage, $"The network is to be configured by {Word(stack)}; the image lacks the package '{package}'.");

        bool Has(string path) => TargetPath.Exists(target, path);
    }

    /// <summary>Why the stack would never read the file, or null.</summary>
    static Fault? Unused(NetworkStack stack, NetworkFile file, string target)
    {
        if (stack == NetworkStack.Ifupdown && !TakesIn(TargetPath.Read(target, Interfaces) ?? "", file.Path))
        {
            return Fault.Of(FaultCodes.ImageNetworkUnused, $"{Interfaces} of the image takes in no file {file.Path}.", "looked for: source /etc/network/interfaces.d/*");
        }
        var unit = stack switch
        {
            NetworkStack.SystemdNetworkd => "systemd-networkd.service",
            NetworkStack.Ifupdown => "networking.service",
            NetworkStack.NetworkManager or NetworkStack.None => "NetworkManager.service",
        };
        // Without systemd the image starts it by a way of its own.
        return Bootloader.OfImage(target, "systemctl") is null || Starts(unit, target)
            ? null
            : Fault.Of(FaultCodes.ImageNetworkUnused, $"The image has {Word(stack)} but does not start it: {unit} is not enabled.", $"looked for {unit} in {string.Join(", ", Units)}");
    }

    /// <summary>Whether interfaces(5) includes the file by <c>source</c> or <c>source-directory</c>.</summary>
    internal static bool TakesIn(string interfaces, string file) => interfaces.Split('\n').Any(line =>
        line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries) is [var word, .. var patterns] && patterns.Any(p =>
        {
            var pattern = (p.StartsWith('/') ? p : "/etc/network/" + p).TrimEnd('/');
            return word switch
            {
                "source" => FileSystemName.MatchesSimpleExpression(pattern, file, ignoreCase: false),
                "source-directory" => FileSystemName.MatchesSimpleExpression(pattern, Path.GetDirectoryName(file), ignoreCase: false),
                _ => false,
            };
        }));

    /// <summary>Whether some target of systemd wants the unit, which nobody has masked.</summary>
    static bool Starts(string unit, string target)
    {
        if (TargetPath.Resolve(target, $"{Units[0]}/{unit}", followLast: false) is { } own && new FileInfo(own).LinkTarget == "/dev/null")
        {
            return false;
        }
        return Units.Select(u => TargetPath.Resolve(target, u)).Where(Directory.Exists).SelectMany(d => Directory.EnumerateDirectories(d!))
            .Where(d => Path.GetExtension(d) is ".wants" or ".requires").Select(d => new FileInfo(Path.Join(d, unit))).Any(f => f.Exists || f.LinkTarget is not null);
    }

    static string Word(NetworkStack stack) => stack switch
    {
        NetworkStack.None => "nothing",
        NetworkStack.SystemdNetworkd => "systemd-networkd",
        NetworkStack.Ifupdown => "ifupdown",
        NetworkStack.NetworkManager => "NetworkManager",
    };
}
