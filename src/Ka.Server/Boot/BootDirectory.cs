using System.Net;
using System.Threading.Channels;
using Ka.Boot;
using Ka.Core.BootProfiles;
using Ka.Core.Clusters;
using Ka.Core.NodeSets;
using Ka.Engine.Ports;
using Ka.Protocol.Agents;
using Ka.Server.Agents;
using Ka.Server.Environments;
using Ka.Server.Hosting;

namespace Ka.Server.Boot;

/// <summary>
/// Tells the boot service what each node boots at this moment. The key in a node's URLs is derived from its boot nonce, so that the
/// files of an earlier boot are gone with it.
/// </summary>
public sealed class BootDirectory(Site site, NodeBoots boots, AgentHub hub, ServerSecrets secrets, FileStore files) : IBootDirectory
{
    public bool TryFindByMac(MacAddress mac, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BootNode? node)
    {
        node = site.FindByMac(mac.ToString()) is { } found ? Describe(found, mac) : null;
        return node is not null;
    }

    public bool TryFindByKey(string key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out BootNode? node)
    {
        node = null;
        // The key begins with the node's number, which saves a search; the rest decides.
        var dash = key.IndexOf('x', StringComparison.Ordinal);
        if (dash <= 0 || !uint.TryParse(key.AsSpan(0, dash), out var index) || index >= site.Ordered.Length)
            return false;
        var candidate = site.Ordered[(int)index];
        if (!MacAddress.TryParse(candidate.Mac, out var mac) || Describe(candidate, mac) is not { } described || described.Key != key)
            return false;
        node = described;
        return true;
    }

    BootNode Describe(ClusterNode node, MacAddress mac)
    {
        var wish = boots.WishOf(node.Name);
        var key = $"{site.IndexOf(node.Name)}x{secrets.Derive("boot-key", node.Name, wish.Nonce ?? "")[..32]}";
        return new BootNode(NodeName.Parse(node.Name), mac, IPAddress.Parse(node.Address), key, ProfileOf(node, wish)) { SecureBoot = node.SecureBoot };
    }

    BootProfile ProfileOf(ClusterNode node, BootWish wish)
    {
        if (wish.Profile is { } left)
            return new BootProfile.Custom(files.PathOf(left.Kernel), left.Initrd is { } initrd ? files.PathOf(initrd) : null, KernelParameters.Parse(left.Params));
        if (wish is not { Choice: BootChoice.Minimal, Workflow: { } workflow, Nonce: { } nonce })
            return new BootProfile.LocalDisk();
        var nodes = site.Configuration.Nodes;
        var own = KernelParameters.Parse(
            $"BOOTIF=01-{node.Mac.Replace(':', '-')} {AgentProtocol.ServerParameter}={nodes.Address}:{nodes.Agent} {AgentProtocol.FingerprintParameter}={secrets.Fingerprint} "
            + $"{AgentProtocol.CredentialParameter}={hub.CredentialOf(workflow, node.Name, nonce)} {AgentProtocol.NonceParameter}={nonce}");
        return new BootProfile.MinimalEnvironment(site.KernelPath, site.InitramfsPath, KernelParameters.Parse(string.Join(' ', site.Configuration.Minimal.Params)).With(own));
    }
}

/// <summary>Reads what the boot service saw and keeps how far each node came.</summary>
public sealed partial class BootWatch(Channel<BootEvent> events, NodeBoots boots, UnknownMachineList unknown, ILogger<BootWatch> log) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach (var seen in events.Reader.ReadAllAsync(stoppingToken))
        {
            LogSeen(seen.Kind, seen.Node?.Value ?? seen.Mac?.ToString() ?? "", seen.Detail);
            if (seen is { Kind: BootEventKind.UnknownMachine, Mac: { } mac, Traits: { } traits })
                unknown.Saw(mac, traits, seen.At);
            if (seen.Node is { } node && StageOf(seen.Kind) is { } stage)
                boots.Saw(node.Value, stage);
        }
    }

    static BootStage? StageOf(BootEventKind kind) => kind switch
    {
        BootEventKind.DhcpDiscover or BootEventKind.DhcpRequest or BootEventKind.DhcpAck or BootEventKind.TftpRequest or BootEventKind.LoaderFetched => BootStage.Dhcp,
        BootEventKind.ScriptFetched => BootStage.Script,
        BootEventKind.KernelFetched or BootEventKind.InitrdFetched => BootStage.Kernel,
        BootEventKind.UnknownMachine or BootEventKind.Refused => null,
    };

    [LoggerMessage(4001, LogLevel.Information, "boot {Kind} {Node} {Detail}")]
    partial void LogSeen(BootEventKind kind, string node, string detail);
}
