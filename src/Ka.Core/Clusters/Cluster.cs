using System.Collections.Immutable;
using Ka.Core.Disks;
using Ka.Core.Environments;

namespace Ka.Core.Clusters;

/// <summary>A node as the site's configuration describes it, all layers (cluster, group, node) merged.</summary>
/// <param name="Mac">Of the interface it boots from, lower case, colons.</param>
/// <param name="Address">IPv4 address on the deployment network.</param>
/// <param name="Rack">Where it stands; orders the chain. Null when not known.</param>
/// <param name="Firmware"><c>bios</c> or <c>uefi</c>.</param>
public sealed record ClusterNode(
    string Name,
    string Mac,
    string Address,
    string? Rack,
    string Firmware,
    PowerSettings Power,
    DiskSelector Disk,
    DiskLayout Layout,
    string? PartitionScript,
    ImmutableArray<string> Params)
{
    /// <summary>Whether its firmware starts only signed programs (UEFI 2.10 section 32): it gets shim and GRUB instead of iPXE.</summary>
    public bool SecureBoot { get; init; }

    /// <summary>The site's own program that is the node's serial line, with its arguments; empty for what the power driver has.</summary>
    public ImmutableArray<string> Console { get; init; } = [];
}

/// <summary>How a node's power is switched.</summary>
/// <param name="Kind">Name of the driver: <c>ipmi</c>, <c>redfish</c>, <c>pdu</c>, <c>ssh</c>, <c>wol</c>, <c>command</c>.</param>
/// <param name="Host">Address of the BMC.</param>
/// <param name="PasswordFile">Path of a file that only the server may read; the secret itself is never in the configuration.</param>
/// <param name="Cipher">IPMI cipher suite: 17 or 3, never 0.</param>
/// <param name="Commands">For <c>command</c> and <c>pdu</c>: <c>status</c>, <c>on</c>, <c>off</c>, <c>soft</c>, <c>reset</c>, <c>boot-network</c> → program and arguments.</param>
public sealed record PowerSettings(
    string Kind,
    string? Host,
    int Port,
    string? User,
    string? PasswordFile,
    int Cipher,
    ImmutableDictionary<string, ImmutableArray<string>> Commands)
{
    /// <summary>Name of the driver that switches on where <see cref="Kind"/> cannot: <c>wol</c>. Null for none.</summary>
    public string? OnKind { get; init; }

    /// <summary>Redfish: identifier of the machine below <c>/redfish/v1/Systems</c>; null when the BMC has only one.</summary>
    public string? System { get; init; }

    /// <summary>Redfish: SHA-256 of the BMC's certificate (DER), lower-case hexadecimal; null when it is checked as any other.</summary>
    public string? Fingerprint { get; init; }

    /// <summary>Redfish: file with the only authority that is believed (PEM); null for those of the system.</summary>
    public string? AuthorityFile { get; init; }

    /// <summary>Wake-on-LAN: IPv4 address to which the packet is sent, usually a network's broadcast address.</summary>
    public string? Broadcast { get; init; }

    /// <summary>PDU: name of the outlet that feeds the node.</summary>
    public string? Outlet { get; init; }

    /// <summary>PDU: all nodes of the site that the outlet feeds, this one too.</summary>
    public ImmutableArray<string> OutletNodes { get; init; } = [];
}

/// <summary>One strategy as the configuration lists it.</summary>
/// <param name="Do"><c>untrusted</c>, <c>kexec</c>, <c>trusted</c>, <c>prod</c>; a <see cref="BroadcastWay"/>; <c>kexec</c>, <c>classical</c>, <c>hard-reboot</c>.</param>
/// <param name="Level">First level of a reboot: <c>soft</c>, <c>hard</c>, <c>very-hard</c>.</param>
/// <param name="Timeout">For one node, from its turn, for the long wait of the strategy.</param>
/// <param name="FirstSign">How long nothing at all may be seen of a node that was reset.</param>
public sealed record StrategySettings(string Do, int Retries, TimeSpan Timeout, string Level, TimeSpan? FirstSign);

/// <summary>A cluster: nodes of one kind with the way to deploy them.</summary>
/// <param name="RebootWindow">Simultaneous resets.</param>
/// <param name="Verify">When the request does not say.</param>
/// <param name="Gather">How long the broadcast waits for late nodes.</param>
public sealed record Cluster(
    string Name,
    ImmutableArray<ClusterNode> Nodes,
    ImmutableArray<StrategySettings> MinimalEnv,
    ImmutableArray<StrategySettings> Install,
    ImmutableArray<StrategySettings> Boot,
    int RebootWindow,
    TimeSpan Gather,
    TimeSpan StepTimeout,
    ImmutableArray<PostInstall> PostInstalls,
    VerifyMode Verify = VerifyMode.Sample)
{
    /// <summary>What a strategy of the first macro step is unless the configuration says otherwise; only <c>untrusted</c> is tried by itself.</summary>
    public static readonly ImmutableArray<StrategySettings> KnownMinimalEnv =
    [
        new StrategySettings("untrusted", 2, TimeSpan.FromSeconds(300), "soft", TimeSpan.FromSeconds(120)),
        new StrategySettings("kexec", 0, TimeSpan.FromSeconds(120), "soft", TimeSpan.FromSeconds(60)),
        new StrategySettings("trusted", 0, TimeSpan.FromSeconds(60), "soft", null),
        new StrategySettings("prod", 0, TimeSpan.FromSeconds(60), "soft", null),
    ];

    public static readonly ImmutableArray<StrategySettings> DefaultMinimalEnv = [KnownMinimalEnv[0]];

    /// <summary>Every way to broadcast.</summary>
    public static readonly ImmutableArray<StrategySettings> KnownInstall =
        [.. BroadcastWays.All.Select(w => new StrategySettings(w.Word(), 1, TimeSpan.FromMinutes(20), "soft", null))];

    public static readonly ImmutableArray<StrategySettings> DefaultInstall = [KnownInstall.Single(s => s.Do == "chain")];

    /// <summary>What holds where the configuration is silent: the way is chosen for each operation.</summary>
    public static readonly ImmutableArray<StrategySettings> AutoInstall = [KnownInstall.Single(s => s.Do == "auto")];

    public static readonly ImmutableArray<StrategySettings> DefaultBoot =
    [
        new StrategySettings("kexec", 0, TimeSpan.FromSeconds(120), "soft", null),
        new StrategySettings("classical", 0, TimeSpan.FromSeconds(300), "soft", null),
        new StrategySettings("hard-reboot", 0, TimeSpan.FromSeconds(300), "hard", null),
    ];

    /// <summary>Scripts of the site that run before the disk is partitioned.</summary>
    public ImmutableArray<PostInstall> PreInstalls { get; init; } = [];

    public ImmutableArray<CustomOperation> Operations { get; init; } = [];

    /// <summary>Settings of the ways to broadcast that need some.</summary>
    public BroadcastSettings Broadcast { get; init; } = BroadcastSettings.None;

    /// <summary>Variables of the site for every script; those of an environment go over them.</summary>
    public ImmutableSortedDictionary<string, string> Variables { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Whether the server's own ssh key is put into deployed systems, so that it can kexec out of them and look into them later.</summary>
    public bool ServerKey { get; init; }

    /// <summary>Without any kexec, the first one too; where nothing is left the usual way is taken.</summary>
    public Cluster WithoutKexec()
    {
        var first = MinimalEnv.RemoveAll(s => s.Do == "kexec");
        var last = Boot.RemoveAll(s => s.Do == "kexec");
        return this with
        {
            MinimalEnv = first.IsEmpty ? DefaultMinimalEnv : first,
            Boot = last.IsEmpty ? DefaultBoot.RemoveAll(s => s.Do == "kexec") : last,
        };
    }
}
